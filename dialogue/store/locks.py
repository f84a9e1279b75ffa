"""The exclusive right to run a turn, held by something that dies with its process: by SQLite's side a locked file."""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import BinaryIO, Protocol

from dialogue.errors import StoreError

_POLL_SECONDS = 0.005


class Held:
    """Locks that are held until a block ends, but for those that are kept longer.

    Args:
        names: whose they are.
        let_go: of several of them. May be called from any thread.
    """

    def __init__(self, names: Sequence[str], let_go: Callable[[Sequence[str]], None]) -> None:
        self.names = set(names)
        self._let_go = let_go

    def keep(self, name: str) -> Callable[[], None]:
        """Hold one beyond the block, until what is returned is called."""
        self.names.remove(name)
        return partial(self._let_go, [name])

    def end(self) -> None:
        """Let go of those that are not kept."""
        if self.names:
            self._let_go(list(self.names))


class Locks(Protocol):
    """Named locks between threads and processes."""

    def hold(self, name: str) -> AbstractContextManager[None]:
        """Wait for the lock, hold it for the length of the block. Raises `StoreError` when the wait takes too long."""
        ...

    def hold_free(self, names: Sequence[str]) -> AbstractContextManager[Held]:
        """Hold those of several locks that nobody holds, for the length of the block. Waits for none."""
        ...


class FileLocks:
    """A locked file for each lock in use: the operating system unlocks it when its process ends.

    Args:
        beside: the files are called like this one, with an ending of their own.
        timeout: seconds to wait.
    """

    def __init__(self, beside: Path, timeout: float) -> None:
        self.beside = beside
        self.timeout = timeout

    @contextlib.contextmanager
    def hold(self, name: str) -> Iterator[None]:
        """See `Locks`."""
        deadline = time.monotonic() + self.timeout
        while (file := self._try(name)) is None:
            if time.monotonic() > deadline:
                raise busy(name, self.timeout)
            time.sleep(_POLL_SECONDS)
        try:
            yield
        finally:
            self._unlock(name, file)

    @contextlib.contextmanager
    def hold_free(self, names: Sequence[str]) -> Iterator[Held]:
        """See `Locks`."""
        files: dict[str, BinaryIO] = {}

        def let_go(several: Sequence[str]) -> None:
            for name in several:
                self._unlock(name, files[name])

        try:
            for name in names:
                if (file := self._try(name)) is not None:
                    files[name] = file
        except StoreError:
            let_go(list(files))
            raise
        held = Held(list(files), let_go)
        try:
            yield held
        finally:
            held.end()

    def _path(self, name: str) -> Path:
        digest = hashlib.sha256(name.encode()).hexdigest()[:32]
        return self.beside.with_name(f"{self.beside.name}-turn-{digest}")

    def _try(self, name: str) -> BinaryIO | None:
        path = self._path(name)
        try:
            return _try_lock(path)
        except OSError as error:
            raise StoreError(f"cannot lock {name} with the file {path}: {error.strerror or error}") from error

    def _unlock(self, name: str, file: BinaryIO) -> None:
        with file:
            _remove(self._path(name))


def busy(name: str, seconds: float) -> StoreError:
    """That a lock was waited for in vain."""
    return StoreError(f"{name} is busy: waited {seconds:g} s for another turn of it to end")


def _try_lock(path: Path) -> BinaryIO | None:
    """The locked file; None when somebody else has it."""
    file = path.open("ab")
    try:
        locked = _lock(file) and _is_at(file, path)
    except OSError:
        file.close()
        raise
    if locked:
        return file
    file.close()
    return None


def _is_at(file: BinaryIO, path: Path) -> bool:
    """Whether the file is still the one under its name: its last holder removed it before unlocking it."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


if sys.platform == "win32":
    import msvcrt

    def _lock(file: BinaryIO) -> bool:
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except PermissionError:
            return False
        return True

    def _remove(path: Path) -> None:
        """An open file cannot be removed here: it stays, empty."""

else:
    import fcntl

    def _lock(file: BinaryIO) -> bool:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _remove(path: Path) -> None:
        path.unlink(missing_ok=True)
