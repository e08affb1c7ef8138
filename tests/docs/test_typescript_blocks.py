"""The TypeScript of the front-end pages compiles with the real AI SDK and React types."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from web.client import CLIENT_BUILD_DIR, build_client
from web.node import find_node

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "tests/support/chat_page"
PAGES = sorted((ROOT / "docs/frontend").glob("*.md"))
#: Packages that the pages use, but that are not installed.
STUBS = "declare module 'recharts';\ndeclare module 'react-markdown';\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with the TypeScript of each page, which has one or more modules."""
    folder = tmp_path_factory.mktemp("pages")
    (folder / "node_modules").symlink_to(FOLDER / "node_modules")
    (folder / "stubs.d.ts").write_text(STUBS)
    for page in PAGES:
        for number, module in enumerate(_modules(page.read_text())):
            (folder / f"{page.stem}-{number}.tsx").write_text(module)
    for name in ("app.tsx", "transports.ts"):
        (folder / name).write_text((FOLDER / name).read_text())
    config = json.loads((FOLDER / "tsconfig.json").read_text())
    types = {"@mamba-server/client": [str(CLIENT_BUILD_DIR / "index.d.ts")]}
    config["compilerOptions"]["paths"] = types
    config["include"] = ["*.ts", "*.tsx"]
    (folder / "tsconfig.json").write_text(json.dumps(config))
    return folder


def _modules(page: str) -> list[str]:
    """Return the blocks of a page. Blocks without imports continue the first module of the page."""
    blocks = re.findall(r"```tsx?\n(.*?)```", page, re.DOTALL)
    modules: list[str] = []
    for block in blocks:
        if not modules or (block.startswith("import") and "recharts" not in block):
            modules.append(block)
        else:
            modules[0] += block
    return modules


def test_typescript_of_the_pages_compiles(folder: Path) -> None:
    node = find_node()
    node.install(FOLDER)
    build_client()

    compiler = FOLDER / "node_modules/typescript/bin/tsc"
    command = [node.path, compiler, "--project", folder]
    compiled = subprocess.run(command, capture_output=True, text=True, check=False)

    assert compiled.returncode == 0, compiled.stdout + compiled.stderr
    assert {"chat-0.tsx", "display-tools-0.tsx"} <= {path.name for path in folder.glob("*.tsx")}
