"""What readers of tables share: columns by their names, numbers in one fast pass, and the line to blame if it fails."""

from __future__ import annotations

import dataclasses
import io
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int32, Int64

from fastslow.data.tracks.lines import MAX_BYTES, Lines, blocks, read_lines
from fastslow.errors import InputError, shown, shown_path, shown_reason

#: What columns may be parted by.
DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", " ": "single spaces", "|": "bars"}
#: The longest text in a column, bytes, and the whole numbers from which on a float skips some.
_MAX_TEXT, _MAX_WHOLE = 100, 2**53
#: The most columns, and values in all of them: two million rows of inD's.
_MAX_COLUMNS, _MAX_VALUES = 1000, 2**25
#: Rows whose texts are looked at at once, and the most different ones in a column.
_ROWS, _MAX_TEXTS = 2**14, 2**18
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
        numbers: names of the columns to read as numbers, in quotation marks or not.
        texts: names of the columns to read as texts: each of 1 to 100 bytes, likewise.
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
    return parse_columns(
        read_lines(path, max_bytes), numbers=numbers, texts=texts, optional=optional, delimiter=delimiter, header=header
    )


def parse_columns(
    lines: Lines,
    *,
    numbers: Sequence[str],
    texts: Sequence[str] = (),
    optional: Collection[str] = (),
    delimiter: str = ",",
    header: Sequence[str] | None = None,
) -> Columns:
    """As `read_columns`, of lines that were read."""
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
        rows.numbers,
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


def _part_header(lines: Lines, delimiter: str) -> tuple[Lines, list[str]]:
    """The rows below the first line, and the names in it."""
    if (count := lines.counts(0, delimiter.encode())) >= _MAX_COLUMNS:
        raise InputError(f"{lines.name} has {count + 1} columns; at most {_MAX_COLUMNS} are read: remove some of them")
    names = [part.decode("utf-8").strip().strip('"') for part in lines.line(0).split(delimiter.encode())]
    if len(lines.numbers) == 1:
        raise InputError(f"{lines.name} holds no rows below its first line; copy it again")
    return lines.below(1), names


def _other_delimiter(lines: Lines, delimiter: str) -> str:
    """A hint at what parts columns instead, if the first line does not have the delimiter at all."""
    counts = {other: lines.counts(0, other.encode()) for other in DELIMITERS}
    likely = max(counts, key=lambda other: counts[other])
    return "" if counts[delimiter] or not counts[likely] else f" (they look parted by {DELIMITERS[likely]})"


class _Table(NamedTuple):
    """Rows, and the place in the file of each delimiter, shape (rows, columns - 1)."""

    rows: Lines
    stops: Int32[np.ndarray, "rows stops"]
    delimiter: str

    def edges(self, place: int) -> tuple[Int64[np.ndarray, " rows"], Int64[np.ndarray, " rows"]]:
        """Where a column's values begin and end."""
        starts = self.stops[:, place - 1].astype(np.int64) + 1 if place else self.rows.starts
        return starts, self.stops[:, place].astype(np.int64) if place < self.stops.shape[1] else self.rows.ends

    def refusal(self, row: int, column: str, place: int, expected: str) -> InputError:
        """What is said of a value."""
        start, end = (int(edge[row]) for edge in self.edges(place))
        got = self.rows.content[start : min(end, start + 2 * _MAX_TEXT)].decode("utf-8", "replace")
        line = self.rows.numbers[row]
        return InputError(f"{self.rows.name}, line {line}: got {column}={shown(got)}; {expected} was expected: {_MEND}")


def _as_table(rows: Lines, width: int, delimiter: str) -> _Table:
    """Refuses rows that have not as many columns as `width`."""
    mark, start = delimiter.encode(), int(rows.starts[0])
    count, wanted = rows.content.count(mark, start), len(rows.numbers) * (width - 1)
    if wanted > _MAX_VALUES:
        raise InputError(f"{rows.name} holds over {_MAX_VALUES} values, the most that are read; divide it into several")
    if count == wanted:
        stops, filled = np.empty(count, np.int32), 0  # as many as there are: pieces of them would be there twice
        for at, codes in blocks(rows.content, start):
            found = np.flatnonzero(codes == ord(delimiter))
            stops[filled : filled + len(found)] = found + at
            filled += len(found)
        places = stops.reshape(len(rows.numbers), width - 1)
        if width == 1 or ((places[:, 0] >= rows.starts) & (places[:, -1] < rows.ends)).all():
            return _Table(rows, places, delimiter)
    row = next(row for row in range(len(rows.numbers)) if rows.counts(row, mark) != width - 1)
    cure = _MEND if row < len(rows.numbers) - 1 else "the file is cut short, copy it again"
    raise InputError(
        f"{rows.name}, line {rows.numbers[row]}: got {rows.counts(row, mark) + 1} columns; {width}, parted by "
        f"{DELIMITERS[delimiter]}, were expected{_other_delimiter(rows, delimiter)}: {cure}"
    )


def _read_numbers(table: _Table, places: Mapping[str, int]) -> dict[str, Float64[np.ndarray, " rows"]]:
    if not places:
        return {}
    file = io.BytesIO(table.rows.content)
    file.seek(int(table.rows.starts[0]))
    columns, reason = list(places.values()), None
    try:
        values = np.loadtxt(
            file, delimiter=table.delimiter, usecols=columns, comments=None, ndmin=2, encoding="latin1",
            quotechar='"' if b'"' in table.rows.content else None,
        )  # fmt: skip
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
    for row in range(len(table.rows.numbers)):
        fields = table.rows.line(row).split(table.delimiter.encode())
        for which, place in enumerate(columns):
            if not _NUMBER.fullmatch(_bare(fields[place].decode("latin1")).encode("latin1")):
                return np.array([[row, which]])
    raise InputError(f"{table.rows.name} holds a value that is no number; give numbers such as -12.5")


def _read_texts(table: _Table, column: str, place: int) -> Texts:
    starts, ends = table.edges(place)
    found: dict[bytes, int] = {}
    codes = np.empty(len(starts), np.int64)
    for at in range(0, len(starts), _ROWS):
        rows = slice(at, at + _ROWS)
        codes[rows] = _codes(table.rows.content, starts[rows], ends[rows], found)
        if len(found) > _MAX_TEXTS:
            raise InputError(f"{table.rows.name} holds over {_MAX_TEXTS} different texts in {column}; divide it")
    bare = [_bare(text.decode("utf-8", "replace")) for text in found]
    wrong = np.array([not text or '"' in text for text in bare])[codes] | (ends - starts > _MAX_TEXT)
    if wrong.any():
        expected = f"a text of 1 to {_MAX_TEXT} bytes without quotation marks inside"
        raise table.refusal(int(wrong.argmax()), column, place, expected)
    numbers = {text: number for number, text in enumerate(sorted(set(bare)))}
    return Texts(tuple(numbers), np.array([numbers[text] for text in bare], np.int64)[codes])


def _codes(
    content: bytes, starts: Int64[np.ndarray, " rows"], ends: Int64[np.ndarray, " rows"], found: dict[bytes, int]
) -> Int64[np.ndarray, " rows"]:
    """The number of each text, cut to what may be one; new ones are added to those found."""
    lengths = (ends - starts).clip(0, _MAX_TEXT)
    width = int(lengths.max(initial=1))
    letters = np.frombuffer(content, np.uint8).take(starts[:, None] + np.arange(width), mode="clip")
    letters[np.arange(width) >= lengths[:, None]] = 0
    fresh = np.concatenate([[True], (letters[1:] != letters[:-1]).any(1)])  # neighbours are mostly alike: sort few
    texts, codes = np.unique(letters[fresh].view(f"S{width}")[:, 0], return_inverse=True)
    numbers = np.array([found.setdefault(text, len(found)) for text in texts.tolist()], np.int64)
    return np.asarray(numbers[codes][np.cumsum(fresh) - 1])


def _bare(text: str) -> str:
    """A text without spaces and one pair of quotation marks around it."""
    text = text.strip()
    return text[1:-1].strip() if len(text) > 1 and text[0] == text[-1] == '"' else text
