"""Builds the operator console into the package of the API."""

import fcntl
import shutil
from hashlib import sha256
from pathlib import Path

from web.node import find_node

SOURCE_DIR = Path(__file__).parent / "ops"
BUILD_DIR = Path(__file__).parents[1] / "api" / "console" / "built"
#: Contains the digest of the sources that the page was built from.
_STAMP = ".sources"


def build(source: Path = SOURCE_DIR, built: Path = BUILD_DIR, *, option: str | None = None) -> bool:
    """Build the page if its sources have changed, and return whether it was built.

    `option` precedes the path of the output in the arguments of the script `build`. Only one
    process at a time builds. The finished page replaces the old one at the end.

    Raises:
        NodeMissingError: if there is no Node.js with npm.
        subprocess.CalledProcessError: if npm or a check fails. Its output contains the reason.
    """
    with (source / "package.json").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        digest = _digest(source)
        if _stamp(built) == digest:
            return False
        node = find_node()
        node.install(source)
        fresh = built.with_name(f"{built.name}.new")
        shutil.rmtree(fresh, ignore_errors=True)
        node.run(source, "build", *([option] if option else []), str(fresh))
        (fresh / _STAMP).write_text(digest)
        shutil.rmtree(built, ignore_errors=True)
        fresh.rename(built)
    return True


def _stamp(built: Path) -> str:
    stamp = built / _STAMP
    return stamp.read_text() if stamp.exists() else ""


def _digest(source: Path) -> str:
    files = [*source.glob("*.*"), *(source / "src").rglob("*")]
    digest = sha256()
    for file in sorted(file for file in files if file.is_file()):
        digest.update(f"{file.relative_to(source)}\0".encode() + file.read_bytes() + b"\0")
    return digest.hexdigest()
