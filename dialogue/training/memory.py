"""How much memory training takes, and how to take less."""

from __future__ import annotations

import ctypes
import gc
import resource
import sys
from pathlib import Path

# Of glibc's mallopt(3): from which size on a block comes straight from the system and goes back when it is freed, how
# much free memory the process may keep otherwise, and in how many places.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8
LARGE, KEPT = 32 << 20, 1 << 30
STATM = Path("/proc/self/statm")  # of Linux: pages in all, pages held, ...
MUCH = 600 << 20  # bytes; below, what the next stage needs anew costs more than it is worth
YOUNG = 20_000  # objects; a turn makes some thousands, a stage of training many more, nearly none of them in cycles


def keep_freed_memory() -> None:
    """Have the C library keep freed blocks for the next batch instead of giving them back and asking anew.

    A step of training makes and frees tensors of a few MB each; by default glibc returns them to the system, and
    clearing the pages it gets again costs as much as half of the computing. `release` gives back what a stage is done
    with. Elsewhere than on glibc nothing happens.
    """
    if (library := glibc()) is not None:
        library.mallopt(M_MMAP_THRESHOLD, LARGE)
        library.mallopt(M_TRIM_THRESHOLD, KEPT)
        library.mallopt(M_ARENA_MAX, 1)


def collect_rarely() -> None:
    """Have Python look for cycles of dead objects at every `YOUNG` new ones, not at every 700."""
    gc.set_threshold(YOUNG, *gc.get_threshold()[1:])


def release() -> None:
    """Give freed memory back to the system, between one stage of training and the next, where it is much."""
    if (library := glibc()) is not None and held() > MUCH:
        library.malloc_trim(0)


def held() -> int:
    """The memory that this process holds now, in bytes, or where the system does not tell the most it has held."""
    if not STATM.is_file():
        return int(peak_mb() * (1 << 20))
    return int(STATM.read_text("ascii").split()[1]) * resource.getpagesize()


def peak_mb() -> float:
    """The most memory this process has held, in MB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024 * 1024 if sys.platform == "darwin" else 1024)


def glibc() -> ctypes.CDLL | None:
    """The C library, where it is glibc."""
    library = ctypes.CDLL(None) if sys.platform == "linux" else None
    return library if library is not None and hasattr(library, "malloc_trim") else None
