"""`python -m worker.review`: reads sources as JSON from stdin and writes the report to stdout.

It runs as a subprocess with limits, because some code takes a parser minutes or gigabytes.
"""

import resource
import sys

from pydantic import TypeAdapter

from worker.review.analysis import analyze
from worker.review.source import ReviewSource

_CPU_SECONDS = 30
_MEMORY_BYTES = 1024**3


def main() -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (_CPU_SECONDS, _CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    sources = TypeAdapter(list[ReviewSource]).validate_json(sys.stdin.buffer.read())
    sys.stdout.write(analyze(sources).model_dump_json())


if __name__ == "__main__":
    main()
