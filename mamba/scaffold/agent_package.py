"""The files of a new agent package. The template is the example in `examples/python-agent`."""

import re
import shlex
from collections.abc import Mapping
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from shared.agent_name import AgentName
from shared.agents.agent_card import BUILT_IN_AGENTS
from shared.errors import SettingsError

#: The wheel of Mamba contains a copy of the example. An editable installation uses the original.
_COPY = Path(__file__).with_name("agent_package_files")
_ORIGINAL = Path(__file__).parents[2] / "examples/python-agent"
_NAMES = ("README.md", "pyproject.toml", "billing_agent.py", "test_billing_agent.py")
#: The name of the example's agent, module, or package.
_EXAMPLE_NAME = re.compile(r"billing(_agent|-agent|)")

_agent_name: TypeAdapter[str] = TypeAdapter(AgentName)


def check_agent_name(name: str) -> None:
    """Check the name of a new agent.

    Raises:
        SettingsError: if it is invalid, or a built-in agent has it.
    """
    try:
        _agent_name.validate_python(name)
    except ValidationError:
        raise SettingsError(
            f"The agent name {name!r} is invalid. Use at most 64 lowercase letters, digits, `_` and"
            " `-`, and start with a letter."
        ) from None
    if name in {card.name for card in BUILT_IN_AGENTS}:
        raise SettingsError(f"{name!r} is the name of a built-in agent. Choose another one.")


def package_name(agent: str) -> str:
    """Return the name of an agent's package: `weather-agent` for `weather` and `weather-agent`."""
    stem = agent.removesuffix("-agent").removesuffix("_agent")
    return f"{stem}-agent".replace("_", "-")


def package_files(agent: str) -> Mapping[str, str]:
    """Return the files with their paths."""
    folder = _COPY if _COPY.exists() else _ORIGINAL
    package = package_name(agent)
    names = {"": agent, "-agent": package, "_agent": package.replace("-", "_")}

    def renamed(text: str) -> str:
        return _EXAMPLE_NAME.sub(lambda found: names[found[1]], text)

    return {renamed(name): renamed((folder / name).read_text(encoding="utf-8")) for name in _NAMES}


def next_steps(folder: Path, agent: str) -> str:
    # Without a slash, pip would take the path for the name of a package.
    path = folder if folder.is_absolute() else f"./{folder}"
    return f"""\
Created {folder}

Next steps:
  1. Install the package, and run its test:
       pip install -e {shlex.quote(f"{path}[test]")} && pytest {shlex.quote(str(folder))}
  2. Start Mamba, and open http://localhost:8000/:
       mamba dev
  3. Choose the agent {agent}, and write: Refund invoice A17
  4. Replace its instructions and tools.
"""
