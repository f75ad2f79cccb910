"""What readers of tables share: columns by their names, numbers in one fast pass, and the line to blame if it fails."""

from __future__ import annotations

import codecs
import dataclasses
import io
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int64

from fastslow.errors import InputError, shown, shown_path, shown_reason
from fastslow.files import read_bytes

#: The largest file that is read, bytes: some two million rows of inD's. Reading takes about five times as much memory.
MAX_BYTES = 2**28
#: What columns may be parted by.
DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", " ": "single spaces", "|": "bars"}
#: The longest text in a column, bytes, and the whole numbers from which on a float skips some.
_MAX_TEXT, _MAX_WHOLE = 100, 2**53
_NUMBER = re.compile(rb"\s*[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?\s*")
_MEND = "mend the line, or remove it"


class Texts(NamedTuple):
    """A column of texts.

    Attributes:
        values: the different texts, sorted; spaces and quotation marks around them are taken off.
        codes: which of them stands in each row, shape (rows,).
    """

    values: tuple[str, ...]
    codes: Int64[np.ndarray, " rows"]


@dataclasses.dataclass(frozen=True)
class Columns:
    """Columns of one file.

    Attributes:
        name: of the file, for messages.
        lines: the line of the file that each row stands on, from 1, shape (rows,).
        numbers: by column, finite numbers, shape (rows,).
        texts: by column.
    """

    name: str
    lines: Int64[np.ndarray, " rows"]
    numbers: Mapping[str, Float64[np.ndarray, " rows"]]
    texts: Mapping[str, Texts]

    def refuse(self, column: str, wrong: Bool[np.ndarray, " rows"], expected: str) -> None:
        """Refuses the file if any row is wrong; `expected` says what its value in a column should have been.

        Raises:
            InputError: at the first that is wrong; the message has the file, the line and the value.
        """
        if not wrong.any():
            return
        row = int(wrong.argmax())
        texts = self.texts.get(column)
        got = shown(texts.values[texts.codes[row]]) if texts else f"{self.numbers[column][row]:.15g}"
        raise InputError(f"{self.name}, line {self.lines[row]}: got {column}={got}; {expected} was expected: {_MEND}")

    def whole(self, column: str, least: int = 0, most: int = _MAX_WHOLE) -> Int64[np.ndarray, " rows"]:
        """A column of whole numbers, shape (rows,).

        Raises:
            InputError: at the first that is none, below `least` or above `most`.
        """
        values = self.numbers[column]
        wrong = (values != np.round(values)) | (values < least) | (values > most)
        self.refuse(column, wrong, f"a whole number from {least} to {most}")
        return values.astype(np.int64)


def read_columns(
    path: str | Path,
    *,
    numbers: Sequence[str],
    texts: Sequence[str] = (),
    optional: Collection[str] = (),
    delimiter: str = ",",
    header: Sequence[str] | None = None,
    max_bytes: int = MAX_BYTES,
) -> Columns:
    """Reads some columns of a text file in UTF-8, wherever they stand in it; the others may hold anything.

    Lines may end as on any system. Empty ones are passed over, and so are a byte-order mark and spaces around a value.
    A value may not hold the delimiter, even in quotation marks.

    Args:
        path: the file.
        numbers: names of the columns to read as numbers.
        texts: names of the columns to read as texts: each of 1 to 100 bytes, in quotation marks or not.
        optional: those of both that the file may lack; they are then left out.
        delimiter: what columns are parted by, one of `DELIMITERS`.
        header: the names of all columns, if the first line of the file does not have them.
        max_bytes: the largest file that is read.

    Raises:
        InputError: if the file is missing, too large, empty or no text; lacks a column or has it twice; a line has too
            many columns or too few; or a value is no finite number, or no text. The message has the file and the line.
    """
    if delimiter not in DELIMITERS:
        raise InputError(f"got delimiter={shown(delimiter)}; choose from {', '.join(map(repr, DELIMITERS))}")
    lines = _read_lines(path, max_bytes)
    rows, names = (lines, list(header)) if header is not None else _part_header(lines, delimiter)
    places = {}
    for column in (*numbers, *texts):
        if names.count(column) > 1:
            raise InputError(f"{lines.name} has two columns named {shown(column)}; rename or remove one of them")
        if column in names:
            places[column] = names.index(column)
        elif column not in optional:
            raise InputError(
                f"{lines.name} has no column {shown(column)}, but {shown(names)}; name it so in the first line, "
                f"and part columns by {DELIMITERS[delimiter]}{_other_delimiter(lines, delimiter)}"
            )
    table = _as_table(rows, len(names), delimiter)
    return Columns(
        rows.name,
        rows.lines,
        _read_numbers(table, {column: places[column] for column in numbers if column in places}),
        {column: _read_texts(table, column, places[column]) for column in texts if column in places},
    )


def entries(folder: str | Path, expected: str) -> list[Path]:
    """What lies in a folder, sorted by name; hidden entries aside. `expected` is what it should hold, for messages.

    Raises:
        InputError: if there is no such folder, or it cannot be read.
    """
    try:
        return sorted(entry for entry in Path(folder).iterdir() if not entry.name.startswith("."))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise InputError(f"{shown_path(folder)} is not a folder; give one that holds {expected}") from error
    except (OSError, ValueError) as error:
        raise InputError(f"{shown_path(folder)} cannot be read ({shown_reason(error)}); see its permissions") from error


def refuse_kinds(kinds: Sequence[str], known: Collection[str]) -> None:
    """Refuses a choice of classes that is empty, a single text, or has one that is not known.

    Raises:
        InputError: the message says which are known.
    """
    unknown = [kinds] if isinstance(kinds, str) or not kinds else [kind for kind in kinds if kind not in known]
    if unknown:
        raise InputError(f"got {shown(unknown[0])} in kinds; give a list of one or more of {', '.join(sorted(known))}")


class _Lines(NamedTuple):
    """The lines of a file that are not empty: where each begins and ends, and its number."""

    name: str
    content: bytes
    starts: Int64[np.ndarray, " rows"]
    ends: Int64[np.ndarray, " rows"]
    lines: Int64[np.ndarray, " rows"]

    def fields(self, row: int, delimiter: str) -> list[bytes]:
        """The values of a row."""
        return self.content[self.starts[row] : self.ends[row]].split(delimiter.encode())


def _read_lines(path: str | Path, max_bytes: int) -> _Lines:
    name = shown_path(path)
    content = read_bytes(path, max_bytes).removeprefix(codecs.BOM_UTF8)
    if not content or content.isspace():
        raise InputError(f"{name} is empty; rows of numbers were expected: copy it again")
    if b"\r" in content:
        content = content.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    if not content.endswith(b"\n"):
        content += b"\n"
    codes = np.frombuffer(content, np.uint8)
    control = np.flatnonzero(codes < ord(" "))
    which = codes[control]
    _refuse_no_text(name, content, control[(which != ord("\n")) & (which != ord("\t"))])
    ends = control[which == ord("\n")]
    starts = np.concatenate([[0], ends[:-1] + 1])
    kept = np.flatnonzero(ends > starts)
    return _Lines(name, content, starts[kept], ends[kept], kept + 1)


def _refuse_no_text(name: str, content: bytes, strange: Int64[np.ndarray, " places"]) -> None:
    """Refuses bytes that are no UTF-8, and strange control characters, which readers of numbers take for spaces."""
    place, reason = (int(strange[0]), "a control character") if len(strange) else (0, "")
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as error:
        place, reason = error.start, error.reason
    if reason:
        line = content.count(b"\n", 0, place) + 1
        raise InputError(f"{name}, line {line}, is no text in UTF-8 ({reason}); save it as UTF-8, or copy it again")


def _part_header(lines: _Lines, delimiter: str) -> tuple[_Lines, list[str]]:
    """The rows below the first line, and the names in it."""
    names = [part.decode("utf-8").strip().strip('"') for part in lines.fields(0, delimiter)]
    if len(lines.lines) == 1:
        raise InputError(f"{lines.name} holds no rows below its first line; copy it again")
    return lines._replace(starts=lines.starts[1:], ends=lines.ends[1:], lines=lines.lines[1:]), names


def _other_delimiter(lines: _Lines, delimiter: str) -> str:
    """A hint at what parts columns instead, if the first line does not have the delimiter at all."""
    counts = {other: lines.content.count(other.encode(), 0, int(lines.ends[0])) for other in DELIMITERS}
    likely = max(counts, key=lambda other: counts[other])
    return "" if counts[delimiter] or not counts[likely] else f" (they look parted by {DELIMITERS[likely]})"


class _Table(NamedTuple):
    """Rows, and the place in the file before each value and behind the last one, shape (rows, columns + 1)."""

    rows: _Lines
    edges: Int64[np.ndarray, "rows columns_and_one"]
    delimiter: str

    def refusal(self, row: int, column: str, place: int, expected: str) -> InputError:
        """What is said of a value."""
        start, end = self.edges[row, place] + 1, self.edges[row, place + 1]
        got = self.rows.content[start : min(end, start + 2 * _MAX_TEXT)].decode("utf-8", "replace")
        line = self.rows.lines[row]
        return InputError(f"{self.rows.name}, line {line}: got {column}={shown(got)}; {expected} was expected: {_MEND}")


def _as_table(rows: _Lines, width: int, delimiter: str) -> _Table:
    """Refuses rows that have not as many columns as `width`."""
    stops = np.flatnonzero(np.frombuffer(rows.content, np.uint8) == ord(delimiter))
    stops = stops[np.searchsorted(stops, rows.starts[0]) :]
    counts = np.searchsorted(stops, rows.ends) - np.searchsorted(stops, rows.starts) + 1
    if len(wrong := np.flatnonzero(counts != width)):
        row = int(wrong[0])
        cure = _MEND if row < len(rows.lines) - 1 else "the file is cut short, copy it again"
        raise InputError(
            f"{rows.name}, line {rows.lines[row]}: got {counts[row]} columns; {width}, parted by "
            f"{DELIMITERS[delimiter]}, were expected{_other_delimiter(rows, delimiter)}: {cure}"
        )
    edges = np.column_stack([rows.starts - 1, stops.reshape(len(rows.lines), width - 1), rows.ends])
    return _Table(rows, edges, delimiter)


def _read_numbers(table: _Table, places: Mapping[str, int]) -> dict[str, Float64[np.ndarray, " rows"]]:
    if not places:
        return {}
    file = io.BytesIO(table.rows.content)
    file.seek(int(table.rows.starts[0]))
    columns, reason = list(places.values()), None
    try:
        values = np.loadtxt(file, delimiter=table.delimiter, usecols=columns, comments=None, ndmin=2, encoding="latin1")
        wrong = np.argwhere(~np.isfinite(values))
    except ValueError as error:
        wrong, reason = _first_that_is_none(table, columns), error
    if len(wrong) or reason:
        row, which = wrong[0].tolist()
        expected = "a finite number, with a point before its decimals,"
        raise table.refusal(row, list(places)[which], columns[which], expected) from reason
    return dict(zip(places, np.ascontiguousarray(values.T), strict=True))


def _first_that_is_none(table: _Table, columns: Sequence[int]) -> Int64[np.ndarray, "1 2"]:
    """The row of the first value that is no number, and which of the columns it stands in."""
    for row in range(len(table.edges)):
        fields = table.rows.fields(row, table.delimiter)
        for which, place in enumerate(columns):
            if not _NUMBER.fullmatch(fields[place]):
                return np.array([[row, which]])
    raise InputError(f"{table.rows.name} holds a value that is no number; give numbers such as -12.5")


def _read_texts(table: _Table, column: str, place: int) -> Texts:
    starts = table.edges[:, place] + 1
    lengths = table.edges[:, place + 1] - starts
    width = int(lengths.clip(1, _MAX_TEXT).max())
    padded = np.frombuffer(table.rows.content + bytes(width), np.uint8)
    letters = np.lib.stride_tricks.sliding_window_view(padded, width)[starts]
    letters[np.arange(width) >= lengths[:, None]] = 0
    fresh = np.concatenate([[True], (letters[1:] != letters[:-1]).any(1)])  # neighbours are mostly alike: sort few
    found, codes = np.unique(letters[fresh].view(f"S{width}")[:, 0], return_inverse=True)
    codes = codes[np.cumsum(fresh) - 1]
    bare = [_bare(text.decode("utf-8", "replace")) for text in found.tolist()]
    wrong = np.array([not text or '"' in text for text in bare])[codes] | (lengths > _MAX_TEXT)
    if wrong.any():
        expected = f"a text of 1 to {_MAX_TEXT} bytes without quotation marks inside"
        raise table.refusal(int(wrong.argmax()), column, place, expected)
    numbers = {text: number for number, text in enumerate(sorted(set(bare)))}
    return Texts(tuple(numbers), np.array([numbers[text] for text in bare], np.int64)[codes])


def _bare(text: str) -> str:
    """A text without spaces and one pair of quotation marks around it."""
    text = text.strip()
    return text[1:-1].strip() if len(text) > 1 and text[0] == text[-1] == '"' else text
