"""Builds the pages of the API into its package."""

import fcntl
import os
import shutil
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from web.node import find_node

ROOT = Path(__file__).parents[1]
SHARED_DIR = ROOT / "web" / "shared"
CLIENT_DIR = ROOT / "clients" / "js"
#: Contains the digest of the sources that the page was built from.
_STAMP = ".sources"


@dataclass(frozen=True)
class Project:
    """An npm package and the folder of its build. `uses` are further folders with its sources.

    `option` precedes the path of the output in the arguments of the script `build`.
    """

    source: Path
    built: Path
    uses: tuple[Path, ...] = ()
    option: str | None = None

    def build(self) -> bool:
        """Build the package if its sources have changed, and return whether it was built.

        Only one process at a time builds. The finished build replaces the old one at the end.

        Raises:
            NodeMissingError: if there is no Node.js with npm.
            subprocess.CalledProcessError: if npm or a check fails. Its output contains the reason.
        """
        with (self.source / "package.json").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if self.is_current():
                return False
            digest = self._digest()
            node = find_node()
            node.install(self.source)
            fresh = self.built.with_name(f"{self.built.name}.new")
            shutil.rmtree(fresh, ignore_errors=True)
            options = [self.option] if self.option else []
            node.run(self.source, "build", *options, str(fresh))
            (fresh / _STAMP).write_text(digest)
            shutil.rmtree(self.built, ignore_errors=True)
            fresh.rename(self.built)
        return True

    def is_current(self) -> bool:
        """Return whether the package was built from the sources as they are now."""
        return self._stamp() == self._digest()

    def _digest(self) -> str:
        folders = (self.source / "src", *self.uses)
        files = [
            *self.source.glob("*.*"),
            *(file for folder in folders for file in folder.rglob("*")),
        ]
        digest = sha256()
        for file in sorted(file for file in files if file.is_file()):
            name = os.path.relpath(file, self.source)
            digest.update(f"{name}\0".encode() + file.read_bytes() + b"\0")
        return digest.hexdigest()

    def _stamp(self) -> str:
        stamp = self.built / _STAMP
        return stamp.read_text() if stamp.exists() else ""


CONSOLE = Project(ROOT / "web" / "ops", ROOT / "api" / "console" / "built", (SHARED_DIR,))
PLAYGROUND = Project(
    ROOT / "web" / "playground",
    ROOT / "api" / "pages" / "built",
    (SHARED_DIR, CLIENT_DIR / "src", ROOT / "docs" / "frontend"),
)
