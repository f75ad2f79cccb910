"""An append-only file of JSON records that are on the disk once `sync` has returned.

A record is its length (4 bytes, big-endian), a check of that length (4 bytes: CRC-32), the first 16 bytes of a SHA-256
over the check of the record before it and its content, and the content: JSON in ASCII that ends in a newline. The first
record says what the others build on, and comes into being with the file. So a record that is changed, missing among
others, doubled or moved is found; and one that the end of the process or of the power cut short can be told from that:
the file ends before its announced end, or in zero bytes that no JSON ends in.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fastslow.errors import InputError, shown_path
from fastslow.files import from_json, read_bytes, write_atomically

_HEAD = struct.Struct(">II16s")
#: The largest journal that is read back, bytes.
_MAX_BYTES = 2**30
#: So that the check of a length of 0 is not 0.
_SALT = b"fastslow"
_FIRST = bytes(16)


class Journal:
    """An open journal.

    Args:
        path: of a file that `create` made.

    Attributes:
        header: the first record.
        found: the records after it that were in the file when it was opened.
        num_synced_bytes: of the file, all of them on the disk.

    Raises:
        ValueError: if the file is missing or damaged; a last record that is cut short, and so was never acknowledged,
            is taken off instead.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        content = read_bytes(path, _MAX_BYTES)
        records, self.num_synced_bytes, self._check = _records(content, path)
        self.header, self.found = records[0], records[1:]
        self._pending: list[bytes] = []
        self._descriptor: int | None = os.open(path, os.O_RDWR | getattr(os, "O_BINARY", 0))
        if len(content) > self.num_synced_bytes:
            self.roll_back()

    @classmethod
    def create(cls, path: Path, header: Mapping[str, Any]) -> Journal:
        """A journal of no records but the first, in the place of any that is there; the old one or the new, never half.

        Raises:
            ValueError: if no file can be written there.
        """
        content = _record(header, _FIRST)[0]
        write_atomically(path, lambda temporary: temporary.write_bytes(content))
        return cls(path)

    def append(self, record: Mapping[str, Any]) -> None:
        """Takes a record; it is in the file once `sync` returns."""
        content, self._check = _record(record, self._check)
        self._pending.append(content)

    def sync(self) -> None:
        """Brings the records taken to the disk.

        Raises:
            OSError: if that cannot be; `roll_back` then takes them off again.
        """
        content = b"".join(self._pending)
        if not content:
            return
        if self.num_bytes > _MAX_BYTES:
            raise OSError(errno.EFBIG, "the journal is full")
        descriptor = self._open()
        os.lseek(descriptor, self.num_synced_bytes, os.SEEK_SET)
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        os.fsync(descriptor)
        self.num_synced_bytes += len(content)
        self._pending.clear()

    def roll_back(self) -> None:
        """Cuts the file to what was synced; what was taken since is gone, and the journal is to be opened anew.

        Raises:
            OSError: if that cannot be.
        """
        descriptor = self._open()
        os.ftruncate(descriptor, self.num_synced_bytes)
        os.fsync(descriptor)

    def close(self) -> None:
        """Lets the file go, as it is on the disk."""
        if self._descriptor is not None:
            with contextlib.suppress(OSError):
                os.close(self._descriptor)
            self._descriptor = None

    @property
    def num_bytes(self) -> int:
        """Of the file, what is not yet synced included."""
        return self.num_synced_bytes + sum(map(len, self._pending))

    def _open(self) -> int:
        if self._descriptor is None:
            raise OSError(errno.EBADF, "the journal is closed")
        return self._descriptor


def _record(record: Mapping[str, Any], before: bytes) -> tuple[bytes, bytes]:
    """A record's bytes, and its check, given that of the one before."""
    content = json.dumps(record, allow_nan=False).encode("ascii") + b"\n"
    check = _check(content, before)
    return _HEAD.pack(len(content), _length_check(len(content)), check) + content, check


def _check(content: bytes | memoryview, before: bytes) -> bytes:
    digest = hashlib.sha256(before)
    digest.update(content)
    return digest.digest()[:16]


def _length_check(length: int) -> int:
    return zlib.crc32(length.to_bytes(4, "big") + _SALT)


def _records(content: bytes, path: Path) -> tuple[list[dict[str, Any]], int, bytes]:
    """The whole records of a file, where the last of them ends, and its check."""
    records: list[dict[str, Any]] = []
    begin, check = 0, _FIRST
    while begin < len(content):
        name = f"{shown_path(path)}, record {len(records)},"
        if len(content) - begin < _HEAD.size or not any(content[begin:]):
            break
        length, length_check, expected = _HEAD.unpack_from(content, begin)
        end = begin + _HEAD.size + length
        if length_check != _length_check(length):
            raise _damaged(name, "its length has changed")
        if end > len(content):
            break
        body = content[begin + _HEAD.size : end]
        if (found := _check(body, check)) != expected:
            if end == len(content) and body.endswith(b"\0"):
                break
            raise _damaged(name, "its checksum is another")
        records.append(from_json(body.decode("ascii", "replace"), name))
        begin, check = end, found
    if not records:
        raise _damaged(shown_path(path), "it has no first record")
    return records, begin, check


def _damaged(name: str, reason: str) -> InputError:
    return InputError(
        f"{name} is damaged ({reason}), and with it what was taught from there on: bring the file back from a copy, or "
        "move it away to go on from the snapshot beside it"
    )
