"""The message that `mamba dev` prints when it is ready."""

import sys

_LOCAL_HOSTS = {"127.0.0.1", "0.0.0.0", "::", "::1", "localhost"}

_DEMO = """
The built-in demo model answers. For a real one, restart with one of these set:
  OPENAI_API_KEY=sk-…
  OPENAI_BASE_URL=http://localhost:11434/v1    (any OpenAI-compatible endpoint)
"""


def welcome(host: str, port: int, *, demo: bool, redis: str = "") -> str:
    """`redis` is the URL of the embedded server, which other `mamba` commands need."""
    address = f"{'localhost' if host in _LOCAL_HOSTS else host}:{port}"
    return f"""
Mamba Server is ready. Open http://{address}/
{_DEMO if demo else ""}
Send a message from another terminal:
  {_chat(address, '"messages":[{"role":"user","content":"Hello"}]')}

Watch the system, and check it for problems:
{_operator_commands(redis, demo=demo)}

Press Ctrl-C to stop everything.
"""


def _operator_commands(redis: str, *, demo: bool) -> str:
    """Return the commands, with the settings that the environment of another terminal lacks."""
    settings = [f"MAMBA_REDIS__URL={redis}"] if redis else []
    if demo:
        settings.append("MAMBA_OPENAI__DEMO=true")
    export = [f"export {' '.join(settings)}"] if settings else []
    lines = [*export, f"{_program()} top", f"{_program()} doctor"]
    return "\n".join(f"  {line}" for line in lines)


def _program() -> str:
    return sys.argv[0] if sys.argv[0].endswith("mamba") else "python -m mamba"


def _chat(address: str, body: str) -> str:
    return f"curl -N {address}/chat -H 'content-type: application/json' -d '{{{body}}}'"
