"""Builds the JavaScript client, `clients/js`. `python -m web.client` writes its tarball there."""

from pathlib import Path

from web.node import find_node
from web.page import CLIENT_DIR, Project

CLIENT_BUILD_DIR = CLIENT_DIR / "dist"


def build_client() -> bool:
    """Compile the package if its sources have changed, and return whether it was compiled.

    Raises:
        NodeMissingError: if there is no Node.js with npm.
        subprocess.CalledProcessError: if the compiler finds an error.
    """
    return Project(CLIENT_DIR, CLIENT_BUILD_DIR, option="--outDir").build()


def pack_client(folder: Path) -> Path:
    """Write the package as a tarball to the folder, and return its path."""
    build_client()
    for tarball in folder.glob("*.tgz"):
        tarball.unlink()
    options = ("--silent", "--ignore-scripts", "--pack-destination", str(folder))
    find_node().npm_command(CLIENT_DIR, "pack", *options)
    [packed] = folder.glob("*.tgz")
    return packed


if __name__ == "__main__":
    print(pack_client(CLIENT_DIR))
