"""Hides agents of packages that are installed in this environment.

Python imports this module at its start, because its folder is in PYTHONPATH. Packages that a test
installs in a separate folder remain visible.
"""

import importlib.metadata
import sysconfig
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path
from typing import cast

_ENVIRONMENT = {Path(sysconfig.get_path(name)).resolve() for name in ("purelib", "platlib")}
_GROUP = "mamba.agents"
_entry_points = importlib.metadata.entry_points


def _is_visible(point: EntryPoint) -> bool:
    if point.group != _GROUP or point.dist is None:
        return True
    return Path(str(point.dist.locate_file(""))).resolve() not in _ENVIRONMENT


def _visible_entry_points(**parameters: str) -> EntryPoints:
    found = cast("EntryPoints", _entry_points(**parameters))
    return EntryPoints(filter(_is_visible, found))


importlib.metadata.entry_points = _visible_entry_points
