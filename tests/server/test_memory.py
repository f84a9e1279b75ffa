"""What keeps the memory of a server where it is."""

import gc
import subprocess
import sys
import weakref

import pytest

from dialogue.server.memory import ARENAS, settle


class Loop:
    """Only the collector of cycles can let go of it."""

    def __init__(self):
        self.itself = self


def test_a_bot_that_was_told_to_stay_goes_when_another_takes_its_place():
    try:
        bot = Loop()
        gone = weakref.ref(bot)
        settle()
        del bot
        gc.collect()
        assert gone() is not None, "the collector does not look at what stays"
        settle()
        assert gone() is None
    finally:
        gc.unfreeze()


PLACES = """
import ctypes, sys, threading
from dialogue.server.memory import few_arenas
if sys.argv[2] == "few":
    few_arenas()
together = threading.Barrier(8)
library = ctypes.CDLL(None)
library.malloc.restype = library.fopen.restype = ctypes.c_void_p

def take():
    together.wait()
    library.malloc(ctypes.c_size_t(100_000))
    together.wait()

threads = [threading.Thread(target=take) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
file = ctypes.c_void_p(library.fopen(sys.argv[1].encode(), b"w"))
library.malloc_info(0, file)
library.fclose(file)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc alone has places to count")
def test_threads_take_memory_from_few_places(tmp_path):
    found = {}
    for how in ("few", "many"):
        subprocess.run([sys.executable, "-c", PLACES, str(tmp_path / how), how], check=True, timeout=60)
        found[how] = (tmp_path / how).read_text().count("<heap nr")
    assert found["few"] <= ARENAS < found["many"]
