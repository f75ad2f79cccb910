"""The lines of a file of text: where each begins and ends, found in little memory, and what is no text refused."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Int64, UInt8

from fastslow.errors import InputError, shown_path
from fastslow.files import read_bytes

#: The largest file that is read, bytes, and the most lines of it: as many as inD's and the Stanford Drone Dataset's
#: largest have, and more. Reading takes up to four times as much memory.
MAX_BYTES, MAX_LINES = 2**28, 2**21
#: What is looked at at once, bytes.
_BLOCK = 2**22


class Lines(NamedTuple):
    """The lines of a file that are not empty: where each begins and ends, and its number from 1."""

    name: str
    content: bytes
    starts: Int64[np.ndarray, " rows"]
    ends: Int64[np.ndarray, " rows"]
    numbers: Int64[np.ndarray, " rows"]

    def line(self, row: int) -> bytes:
        """What stands there."""
        return self.content[self.starts[row] : self.ends[row]]

    def counts(self, row: int, part: bytes) -> int:
        """How often a byte stands there."""
        return self.content.count(part, int(self.starts[row]), int(self.ends[row]))

    def below(self, row: int) -> Lines:
        """The lines from one on."""
        return self._replace(starts=self.starts[row:], ends=self.ends[row:], numbers=self.numbers[row:])


def read_lines(path: str | Path, max_bytes: int = MAX_BYTES) -> Lines:
    """The lines of a file; see `lines_of`.

    Raises:
        InputError: if it is missing, too large, empty or no text in UTF-8; the message has the file and the line.
    """
    return lines_of(shown_path(path), read_bytes(path, max_bytes))


def lines_of(name: str, content: bytes) -> Lines:
    """The lines of a text in UTF-8. They may end as on any system; a byte-order mark is passed over.

    Args:
        name: of what holds it, for messages.
        content: the text.

    Raises:
        InputError: if it is empty, has too many lines, or is no text: characters that no one types are none.
    """
    content = content.removeprefix(codecs.BOM_UTF8)
    if not content or content.isspace():
        raise InputError(f"{name} is empty; rows of numbers were expected: copy it again")
    if b"\r" in content:
        content = content.replace(b"\r\n", b"\n")
        content = content.replace(b"\r", b"\n")
    if not content.endswith(b"\n"):
        content += b"\n"
    _refuse_no_text(name, content)
    count = content.count(b"\n")
    if count > MAX_LINES:
        raise InputError(f"{name} has {count} lines; at most {MAX_LINES} are read: divide it into several files")
    ends = np.concatenate([at + np.flatnonzero(block == ord("\n")) for at, block in blocks(content)])
    starts = np.concatenate([[0], ends[:-1] + 1])
    kept = np.flatnonzero(ends > starts)
    return Lines(name, content, starts[kept], ends[kept], kept + 1)


def blocks(content: bytes, start: int = 0) -> Iterator[tuple[int, UInt8[np.ndarray, " bytes"]]]:
    """Pieces of a file as numbers, each with the place at which it begins."""
    codes = np.frombuffer(content, np.uint8)
    for at in range(start, len(content), _BLOCK):
        yield at, codes[at : at + _BLOCK]


def _refuse_no_text(name: str, content: bytes) -> None:
    """Refuses bytes that are no UTF-8, and strange control characters, which readers of numbers take for spaces."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    for at, codes in blocks(content):
        strange = np.flatnonzero((codes < ord(" ")) & (codes != ord("\n")) & (codes != ord("\t")))
        place, reason = (int(strange[0]), "a control character") if len(strange) else (0, "")
        waiting = len(decoder.getstate()[0])
        try:
            decoder.decode(codes.tobytes(), final=at + len(codes) == len(content))
        except UnicodeDecodeError as error:
            if not reason or error.start - waiting < place:
                place, reason = error.start - waiting, error.reason
        if reason:
            line = content.count(b"\n", 0, at + place) + 1
            raise InputError(f"{name}, line {line}, is no text in UTF-8 ({reason}); save it as UTF-8, or copy it again")
