"""A typed interface to lizard, which has no useful annotations."""

from collections.abc import Iterator
from typing import Any, Protocol, cast

import lizard
from lizard_ext.lizardduplicate import LizardExtension as _Duplicates

_lizard = cast("Any", lizard)


class Snippet(Protocol):
    file_name: str
    start_line: int
    end_line: int


def find_duplicates(files: dict[str, str]) -> Iterator[list[Snippet]]:
    """Yield groups of snippets with the same tokens. `files` maps file names to texts."""
    comparison = cast("Any", _Duplicates)()
    infos = [_analyze(name, text, comparison) for name, text in files.items()]
    # A text that lizard failed to parse has no hashes.
    for _ in comparison.cross_file_process([i for i in infos if hasattr(i, "hash_nodes")]):
        pass
    yield from comparison.get_duplicates()


def _analyze(file_name: str, text: str, extension: object) -> Any:  # noqa: ANN401
    analyzer = _lizard.FileAnalyzer([*_lizard.get_extensions([]), extension])
    return analyzer.analyze_source_code(file_name, text)
