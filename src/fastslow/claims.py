"""A folder that one process at a time may work in."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import platform
import time
from pathlib import Path

from fastslow.errors import InputError, shown, shown_path
from fastslow.files import in_words, read_json
from fastslow.processes import is_alive, this_machine

#: The file in a claimed folder; it says who holds the claim, and goes with it.
CLAIM_NAME = ".claim"
#: The byte that is locked: far behind the text, which Windows lets nobody read where it is locked.
_LOCKED_BYTE = 2**30
_TRIES = 100
_NO_LOCKS_HERE = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL}


class InUseError(InputError):
    """Another process, or another claim of this one, works in a folder."""


class Claim:
    """The right to write in a folder, held until `release`, the end of a `with` block, or the end of the process.

    The system keeps it as a lock on the file `.claim` and drops it when the process ends, however it ends: nobody has
    to clear up after a killed one. On a network file system without locks the file itself is the claim: it is made
    exclusively, and taken over once the process that it names has ended on this machine; there, two that take over one
    dead claim in the same instant are not told apart.

    Args:
        folder: made if missing.

    Raises:
        InUseError: if another process, or another claim of this one, holds it.
        ValueError: if the folder cannot be written to.
    """

    def __init__(self, folder: str | Path) -> None:
        self.path = Path(folder) / CLAIM_NAME
        with in_words(self.path):
            self._made = [parent for parent in self.path.parents if not parent.exists()]
            self._descriptor: int | None = self._take()

    def __enter__(self) -> Claim:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def release(self) -> None:
        """Gives the folder free; folders that were made for the claim and stayed empty go again."""
        if self._descriptor is None:
            return
        # Unix must remove the file before the lock is gone; Windows does not remove a file that is open.
        if os.name != "nt":
            self._remove()
        os.close(self._descriptor)
        self._descriptor = None
        if os.name == "nt":
            self._remove()
        with contextlib.suppress(OSError):  # one that is not empty ends it
            for folder in self._made:
                folder.rmdir()

    def _remove(self) -> None:
        with contextlib.suppress(OSError):
            self.path.unlink()

    def _take(self) -> int:
        missing: FileNotFoundError | None = None
        for _ in range(_TRIES):
            try:
                with contextlib.suppress(FileExistsError):
                    self.path.parent.mkdir(parents=True)
                descriptor, is_new = _open(self.path)
            except FileNotFoundError as error:  # the folder was made for another claim, and went with it this moment
                missing = error
                continue
            missing = None
            try:
                locked = _lock(descriptor)
                if locked is False or (locked is None and not is_new and not _is_abandoned(self.path)):
                    raise InUseError(_refusal(self.path))
                if locked is None or _is_file_at(descriptor, self.path):
                    _sign(descriptor)
                    return descriptor
            except BaseException:
                os.close(descriptor)
                raise
            os.close(descriptor)  # its holder gave it up, and removed it, between our opening and locking it
        if missing is not None:  # nor can it be made: below /proc, or a link to what is not there
            raise missing
        raise InUseError(_refusal(self.path))


def _open(path: Path) -> tuple[int, bool]:
    """The file open for reading and writing, and whether it was made by this call."""
    flags = os.O_RDWR | getattr(os, "O_CLOEXEC", 0)
    for _ in range(_TRIES):
        with contextlib.suppress(FileExistsError):
            return os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o644), True
        with contextlib.suppress(FileNotFoundError):  # removed meanwhile
            return os.open(path, flags), False
    raise InUseError(_refusal(path))


def _lock(descriptor: int) -> bool | None:
    """Whether this call got the lock; None where the file system has no locks."""
    try:
        _lock_on_windows(descriptor) if os.name == "nt" else _lock_on_unix(descriptor)
    except OSError as error:
        return None if error.errno in _NO_LOCKS_HERE else False
    return True


def _lock_on_unix(descriptor: int) -> None:
    import fcntl

    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _lock_on_windows(descriptor: int) -> None:
    import msvcrt

    os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
    msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]


def _is_file_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _sign(descriptor: int) -> None:
    holder = {
        "pid": os.getpid(), "machine": this_machine(), "host": platform.node(),
        "since": time.strftime("%Y-%m-%d %H:%M:%S"),
    }  # fmt: skip
    os.ftruncate(descriptor, 0)
    os.lseek(descriptor, 0, os.SEEK_SET)
    os.write(descriptor, json.dumps(holder).encode())


def _holder(path: Path) -> dict[str, object]:
    """What the file says; nothing where it says nothing, as between its making and its signing."""
    with contextlib.suppress(InputError):
        return read_json(path)
    return {}


def holder_of(folder: str | Path) -> str:
    """Who holds a claim on a folder, or did last and was killed: "process 7 on host since 2026-01-02 03:04:05"."""
    holder = _holder(Path(folder) / CLAIM_NAME)
    who = f"process {shown(holder.get('pid'))} on {shown(holder.get('host'))} since {shown(holder.get('since'))}"
    return who if holder else "another process"


def _is_abandoned(path: Path) -> bool:
    holder = _holder(path)
    pid = holder.get("pid")
    return holder.get("machine") == this_machine() and isinstance(pid, int) and not is_alive(pid)


def _refusal(path: Path) -> str:
    return (
        f"{shown_path(path.parent)} is in use by {holder_of(path.parent)}; wait for its end, or choose another name "
        f"(if it has ended, delete {CLAIM_NAME} in that folder)"
    )
