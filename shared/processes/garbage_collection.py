"""Settings of the garbage collector for processes that serve many streams."""

import gc


def tune_garbage_collection() -> None:
    """Exclude everything loaded at start-up from garbage collection, and collect less often.

    A full collection over those objects would stall every stream.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
