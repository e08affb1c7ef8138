"""The edge to lizard, whose annotations say little: what we use of it, with types."""

from collections.abc import Iterator, Sequence
from typing import Any, Protocol, cast

import lizard
from lizard_ext.lizardduplicate import LizardExtension as _Duplicates
from lizard_ext.lizardns import LizardExtension as _NestedStructures

_lizard = cast("Any", lizard)


class FunctionInfo(Protocol):
    name: str
    start_line: int
    end_line: int
    cyclomatic_complexity: int
    nloc: int
    parameter_count: int
    max_nested_structures: int


class Snippet(Protocol):
    file_name: str
    start_line: int
    end_line: int


def measure_functions(file_name: str, text: str) -> Sequence[FunctionInfo]:
    """The functions of a text in the language of its file name."""
    nested = cast("Any", _NestedStructures)()
    return _analyse(file_name, text, nested).function_list


def find_duplicates(files: dict[str, str]) -> Iterator[list[Snippet]]:
    """The groups of places, in texts by file name, that hold the same tokens."""
    comparison = cast("Any", _Duplicates)()
    infos = [_analyse(name, text, comparison) for name, text in files.items()]
    # A text that lizard gave up on has no hashes.
    for _ in comparison.cross_file_process([i for i in infos if hasattr(i, "hash_nodes")]):
        pass
    yield from comparison.get_duplicates()


def _analyse(file_name: str, text: str, extension: object) -> Any:  # noqa: ANN401
    analyzer = _lizard.FileAnalyzer([*_lizard.get_extensions([]), extension])
    return analyzer.analyze_source_code(file_name, text)
