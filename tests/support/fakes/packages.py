"""Fake installed packages that provide agents."""

from pathlib import Path

#: What fake packages that run in the process of a test append.
OPENED: list[str] = []


def install(site: Path, name: str, module: str, *, entry: str | None = None) -> None:
    """Install version 1.0 of a one-module package. Its entry point names the module or `entry`."""
    (site / f"{name}.py").write_text(module)
    info = site / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    points = f"[mamba.agents]\n{name} = {entry or name}\n"
    (info / "entry_points.txt").write_text(points)
