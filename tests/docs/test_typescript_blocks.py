"""The TypeScript of the front-end pages compiles with the real AI SDK and React types."""

import subprocess
from pathlib import Path

import pytest

from tests.support.ai_client.driver import VERSIONS, Version
from tests.support.chat_page.documented_code import FOLDER, write_project
from web.client import build_client
from web.node import find_node
from web.page import PLAYGROUND


@pytest.mark.parametrize("version", VERSIONS)
def test_typescript_of_the_pages_compiles(version: Version, tmp_path: Path) -> None:
    node = find_node()
    node.install(FOLDER)
    build_client()
    write_project(tmp_path, version)
    shown = PLAYGROUND.source / "src" / "code" / "App.tsx.txt"
    (tmp_path / "ShownApp.tsx").write_text(shown.read_text())

    compiler = FOLDER / "node_modules/typescript/bin/tsc"
    command = [node.path, compiler, "--project", tmp_path]
    compiled = subprocess.run(command, capture_output=True, text=True, check=False)

    assert compiled.returncode == 0, compiled.stdout + compiled.stderr
    assert {"Chat.tsx", "DisplayTools.tsx"} <= {path.name for path in tmp_path.glob("*.tsx")}
