"""How many threads compute."""

from __future__ import annotations

import sys

_limit = 1


def limit_threads(threads: int) -> None:
    """From here on BLAS and, where it is loaded, torch compute with so many threads, and models that are then opened.

    What a bot computes comes in small pieces. Several threads wait for each other longer than they work on one, and on
    a busy machine they do it at full speed.
    """
    from threadpoolctl import threadpool_limits

    global _limit
    _limit = threads
    threadpool_limits(threads, user_api="blas")
    if (torch := sys.modules.get("torch")) is not None:
        torch.set_num_threads(threads)


def limit() -> int:
    """How many threads a model is opened with: 1, unless told otherwise."""
    return _limit
