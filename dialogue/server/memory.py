"""How a server looks after its memory: the C library's, and Python's collector of cycles."""

from __future__ import annotations

import gc

from dialogue.training.memory import M_ARENA_MAX, collect_rarely, glibc

ARENAS = 2


def few_arenas() -> None:
    """Have all threads take memory from the same few places. Call it before there are any; only glibc hears it.

    By default each thread has a place of its own, and each keeps what the largest batch ever took there.
    """
    if (library := glibc()) is not None:
        library.mallopt(M_ARENA_MAX, ARENAS)


def settle() -> None:
    """Tell the collector that what there is now stays, so that it only looks at what turns make.

    A look at a whole bot stops every turn for a tenth of a second. What was told to stay before and is not used any
    more, such as the bot of another model, is let go of first.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()
    collect_rarely()
