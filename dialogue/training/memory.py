"""How much memory training takes, and how to take less."""

from __future__ import annotations

import ctypes
import resource
import sys

M_MMAP_THRESHOLD, LARGE = -3, 256 * 1024


def return_freed_memory() -> None:
    """Have the C library give large freed blocks back to the system at once.

    By default glibc raises the size from which it does so, and the arrays of one training stage stay with the process
    through all later ones: a third of the peak of a small bot. Elsewhere than on glibc nothing happens.
    """
    if sys.platform == "linux":
        try:
            ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, LARGE)
        except AttributeError:  # another C library
            return


def peak_mb() -> float:
    """The most memory this process has held, in MB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024 * 1024 if sys.platform == "darwin" else 1024)
