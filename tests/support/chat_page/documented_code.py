"""The TypeScript of the front-end pages, as one project for each version of the AI SDK."""

import json
import re
from pathlib import Path

from tests.support.ai_client.driver import Version
from web.client import CLIENT_BUILD_DIR

FOLDER = Path(__file__).parent
DOCS = FOLDER.parents[2] / "docs/frontend"
_PACKAGES = FOLDER / "node_modules"
_BLOCK = re.compile(r"```tsx?\n(.*?)```", re.DOTALL)
_NAMED = re.compile(r"// (\w+\.tsx?)\n")
_EXAMPLE = re.compile(r"// (examples/\S+)\n")


def write_project(folder: Path, version: Version) -> None:
    """Write the modules of the pages, the pages of the tests, and a configuration for them."""
    (folder / "node_modules").symlink_to(_PACKAGES)
    for name, module in documented_modules(version).items():
        (folder / name).write_text(module)
    for name in ("app.tsx", "documented.tsx", "transports.ts"):
        (folder / name).write_text((FOLDER / name).read_text())
    for name in ("stock_chat.tsx", "stock_display_tool.tsx"):
        module = (FOLDER / name).read_text()
        (folder / name).write_text(_without_approvals(module) if version == "5" else module)
    config = json.loads((FOLDER / "tsconfig.json").read_text())
    paths = {name: [str(path)] for name, path in package_paths(version).items()}
    types = {"@mamba-server/client": [str(CLIENT_BUILD_DIR / "index.d.ts")]}
    config["compilerOptions"]["paths"] = paths | types
    (folder / "tsconfig.json").write_text(json.dumps(config))


def package_paths(version: Version) -> dict[str, Path]:
    """Return the folders of the AI SDK's packages."""
    if version == "7":
        return {"ai": _PACKAGES / "ai", "@ai-sdk/react": _PACKAGES / "@ai-sdk/react"}
    hooks = _PACKAGES / f"ai-react-{version}"
    return {"ai": hooks / "node_modules/ai", "@ai-sdk/react": hooks}


def documented_modules(version: Version) -> dict[str, str]:
    """Return the modules of all pages by file name.

    A block that starts with a comment with a file name begins a module. The unnamed blocks of a
    page continue its module, or else they are modules. The files of `examples/` are left out.
    """
    modules: dict[str, str] = {}
    for page in sorted(DOCS.glob("*.md")):
        name = ""
        for number, block in enumerate(_BLOCK.findall(page.read_text())):
            if _EXAMPLE.match(block):
                continue
            named = _NAMED.match(block)
            name = named[1] if named else name or f"{page.stem}-{number}.tsx"
            modules[name] = modules.get(name, "") + block
    if version == "5":
        del modules["Approval.tsx"]
        return {name: _without_approvals(module) for name, module in modules.items()}
    return modules


def example_blocks() -> dict[str, str]:
    """Return the blocks that are files of `examples/` by path, without the comment with it."""
    found: dict[str, str] = {}
    for page in sorted(DOCS.glob("*.md")):
        for block in _BLOCK.findall(page.read_text()):
            if named := _EXAMPLE.match(block):
                found[named[1]] = block[named.end() :]
    return found


def blocks(page: str, language: str) -> list[str]:
    """Return the blocks of a page, such as `chat`, in a language."""
    text = (DOCS / f"{page}.md").read_text()
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def _without_approvals(module: str) -> str:
    lines = module.splitlines(keepends=True)
    return "".join(line for line in lines if not line.endswith("// AI SDK 6\n"))
