"""Builds the operator's console: what npm brings, checked and bundled into the API's package."""

import fcntl
import shutil
from hashlib import sha256
from pathlib import Path

from web.node import find_node

SOURCE_DIR = Path(__file__).parent / "ops"
BUILD_DIR = Path(__file__).parents[1] / "api" / "console" / "built"
#: Of which sources a page was built.
_STAMP = ".sources"


def build(source: Path = SOURCE_DIR, built: Path = BUILD_DIR) -> bool:
    """Build the page, if its sources are others than when it was built; whether it was.

    Of several processes one does it, and one that serves it meanwhile finds one page or the other.

    Raises:
        NodeMissingError: if there is no Node.js with npm.
        subprocess.CalledProcessError: if npm or a check fails; it has said why.
    """
    with (source / "package.json").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        digest = _digest(source)
        if _stamp(built) == digest:
            return False
        node = find_node()
        node.install(source)
        fresh = built.with_name("built.new")
        node.run(source, "build", str(fresh))
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
