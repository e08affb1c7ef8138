"""The architecture page lists every Redis key."""

import inspect
import re
from collections.abc import Callable, Iterator
from typing import Any

from shared.redis import keys
from tests.support.isolation import ROOT

#: Arguments of the functions in `shared.redis.keys`. All others are ids.
_QUEUE = keys.queue("<name>")
ARGUMENTS = {
    "name": "<name>",
    "queue": _QUEUE,
    "fair_owner": keys.fair_owner(_QUEUE, "<id>"),
}
#: Functions that return no key.
OTHERS = (keys.queue_name, keys.worker_commands)


def test_architecture_page_lists_every_redis_key() -> None:
    page = (ROOT / "docs/architecture.md").read_text()
    documented = set(re.findall(r"^\| `((?:mamba|arq):[^`]+)` \|", page, re.MULTILINE))

    assert documented == {*_constants(), *_built(), keys.wakeup(keys.QUEUE)}


def _constants() -> Iterator[str]:
    values: list[object] = [value for name, value in vars(keys).items() if name.isupper()]
    return (value for value in values if isinstance(value, str) and value.startswith("mamba:"))


def _built() -> Iterator[str]:
    functions = [
        function
        for name, function in inspect.getmembers(keys, inspect.isfunction)
        if function.__module__ == keys.__name__ and not name.startswith("_")
    ]
    for function in functions:
        if function not in OTHERS:
            yield re.sub(r"[0-9a-f]{64}", "<hash>", _call(function))


def _call(function: Callable[..., Any]) -> str:
    names = inspect.signature(function).parameters
    return function(*(ARGUMENTS.get(name, "<id>") for name in names))
