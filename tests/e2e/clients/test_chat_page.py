"""The component of docs/frontend/chat.md compiles with the real AI SDK and React types."""

import re
import shutil
import subprocess
from pathlib import Path

from web.node import find_node

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "tests/support/chat_page"


def test_chat_component_compiles(tmp_path: Path) -> None:
    node = find_node()
    node.install(FOLDER)
    page = (ROOT / "docs/frontend/chat.md").read_text()
    [component] = re.findall(r"```tsx\n(.*?)```", page, re.DOTALL)
    (tmp_path / "Chat.tsx").write_text(component)
    (tmp_path / "node_modules").symlink_to(FOLDER / "node_modules")
    for path in (FOLDER / "tsconfig.json", ROOT / "clients/resilient-fetch.d.ts"):
        shutil.copy(path, tmp_path)

    compiler = FOLDER / "node_modules/typescript/bin/tsc"
    command = [node.path, compiler, "--project", tmp_path]
    compiled = subprocess.run(command, capture_output=True, text=True, check=False)

    assert compiled.returncode == 0, compiled.stdout + compiled.stderr
