"""The files of `examples/` that are code blocks of the front-end pages.

`python -m tests.support.examples.documented_files` writes them, as `make docs` does.
"""

from pathlib import Path

from tests.support.chat_page.documented_code import documented_modules, example_blocks

ROOT = Path(__file__).parents[3]
EXAMPLES = ROOT / "examples"
#: The components of the pages, and the folders with a copy of them.
_COMPONENTS = ("Approval.tsx", "Chat.tsx", "DisplayTools.tsx")
_COMPONENT_FOLDERS = (EXAMPLES / "nextjs/components", EXAMPLES / "vite-react/src")


def documented_files() -> dict[Path, str]:
    """Return the files with their documented content. Comments with a file's name are left out."""
    modules = documented_modules("7")
    components = {
        folder / name: modules[name].partition("\n")[2]
        for folder in _COMPONENT_FOLDERS
        for name in _COMPONENTS
    }
    return components | {ROOT / path: block for path, block in example_blocks().items()}


def main() -> None:
    for path, content in documented_files().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


if __name__ == "__main__":
    main()
