"""Tables that people read, from the results that programs write."""

from __future__ import annotations

import json
import math
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from rich.table import Table
from rich.text import Text

from fastslow.errors import InputError
from fastslow.protocol.cells import HARDER
from fastslow.protocol.result import SHARE, Cell, Interval, Result, read_result

#: What the numbers of a result, and methods, are called.
ROW_NAMES = {
    "fastslow": "fast path on",
    "fast_path_off": "fast path off",
    "write_gate": "write gate on",
    "protonet": "prototypes, same encoder",
    "protonet_one_view": "prototypes, one view of each image",
    "nmn": "plain memory network, fine-tuned",
    "accuracy_new_classes": "the same, on classes not trained on",
}
#: Options that have a column of their own in a study that has them.
COLUMNS = ("task", "part", *HARDER, "model", "preset", "control", "length", "encoder")
#: The unit of squared errors of positions, m^2, that come after each step of a course.
COURSE = "m^2 of a course"
#: Units of numbers that come in long series over a run: figures show them, and no table of many runs.
SERIES = ("cosine", "loss per parameter", COURSE)
_NOTHING = "-"
#: Columns of a terminal that a table with a remark below it has at least: the remark is not wider than the table.
_CAPTION_WIDTH = 60
#: What names of facts begin with that are units of numbers.
_UNITS = "units."
#: What a title says of the option `rotations`.
_TURNED = {"classes": "each in four rotations", "episode": "each turned by an angle drawn for the episode"}


def accuracy_table(result: Result) -> Table:
    """The numbers of one result for a terminal, the model's own first."""
    table = Table(title=Text(printable(title_of(result))))
    table.add_column("")
    table.add_column(Text(printable(next(iter(result.numbers)))), justify="right")
    for name, number in named_numbers(result):
        table.add_row(Text(printable(name)), interval_text(number))
    if said := remarks(result):
        table.caption, table.min_width = Text(printable("; ".join(said))), _CAPTION_WIDTH
    return table


def remarks(result: Result) -> list[str]:
    """What a reader of an accuracy must know besides: classes trained on, classes and images left out, notes."""
    protocol = result.provenance.protocol
    counts = [
        protocol.get(name) for name in ("trained_on_classes", "classes_used", "classes_left_out", "images_left_out")
    ]
    trained, used, left_out, images = (count if isinstance(count, int) else 0 for count in counts)
    said = []
    if trained:
        said.append(f"{trained} of the {used + left_out} classes were trained on")
    if left_out:
        why = "too few images in each" + (", or too few classes in its alphabet" if "same_alphabet" in protocol else "")
        said.append(f"{left_out} of {used + left_out} classes, {images} images, left out: {why}")
    notes = protocol.get("notes")
    return said + [str(note) for note in notes] if isinstance(notes, list | tuple) else said


def title_of(result: Result) -> str:
    """What was measured, in words: "5-way 1-shot, omniglot test classes, within one alphabet"."""
    cell, protocol = result.cell, result.provenance.protocol
    words = [f"{protocol[name]}-{name[2:]}" for name in ("n_way", "n_shot") if name in protocol]
    where = f"{cell.data} {protocol['part']} classes" if "part" in protocol else cell.data
    harder = ["within one alphabet"] if protocol.get("same_alphabet") else []
    if isinstance(share := protocol.get("wrong_labels"), float):
        harder.append(f"{100 * share:g} % of the support labels wrong")
    if (turned := protocol.get("rotations")) in _TURNED:
        harder.append(_TURNED[turned])
    return ", ".join([*([" ".join(words)] if words else []), where, *harder])


def named_numbers(result: Result) -> list[tuple[str, Interval]]:
    """The numbers of a result by the names that people read; an accuracy bears its method's."""
    names = {name: result.cell.method if name == "accuracy" else name for name in result.numbers}
    return [(ROW_NAMES.get(names[name], names[name]), number) for name, number in result.numbers.items()]


def interval_text(number: Interval) -> str:
    """A mean with its 95 % interval: shares of one in percent, the rest in their unit."""
    scale, digits, unit = _format(number.unit)
    half = None if number.half_width is None else scale * number.half_width
    return f"{_with_error(scale * number.mean, half, digits)} {unit}".rstrip()


def read_results(paths: Iterable[Path]) -> list[Result]:
    """Results from JSON files, each once.

    Raises:
        ValueError: if a file is missing or holds no result, or if two hold different numbers of one cell; the message
            names them.
    """
    found: dict[str, tuple[Path, Result]] = {}
    for path in paths:
        result = read_result(path)
        other, same = found.setdefault(result.cell.key, (path, result))
        if same != result:
            raise InputError(
                f"{other} and {path} are of the same run by every option and the seed, and differ: give one of them"
            )
    return [result for _, result in found.values()]


def rows_of(results: Iterable[Result]) -> list[list[Result]]:
    """Results in groups that differ in nothing but the seed: neither in the cell nor in the protocol.

    Returns:
        Rows in the order of their names, 600 before 6000; each in the order of its seeds.
    """
    rows: dict[str, list[Result]] = defaultdict(list)
    for result in sorted(results, key=lambda result: result.cell.seed):
        rows[json.dumps(_facts(result), sort_keys=True)].append(result)
    return sorted(rows.values(), key=lambda row: _order(row[0].cell))


def results_page(results: Sequence[Result]) -> str:
    """Markdown tables, one a study: one row for all runs that differ in the seed alone, mean and spread over seeds."""
    studies: dict[str, list[Result]] = defaultdict(list)
    for result in sorted(results, key=lambda result: result.cell.study, reverse=True):
        studies[result.cell.study].append(result)
    return "\n".join(f"## {escape(study)}\n\n{_study_table(rows_of(each))}" for study, each in studies.items())


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table of cells that are escaped already."""
    lines = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def escape(value: str) -> str:
    """Text for a cell of a Markdown table: nothing in it ends the cell or the line, or is taken for HTML or a link."""
    text = re.sub(r"([\\|`*\[])", r"\\\1", printable(value))
    return text.replace("&", "&amp;").replace("<", "&lt;") or _NOTHING


def printable(text: str) -> str:
    """Text on one line, without signs that a terminal obeys."""
    return "".join(sign if sign.isprintable() else " " for sign in text)


def mean_over_seeds(numbers: Sequence[Interval], *, unit: bool = True) -> str:
    """Mean, its standard error over seeds where there are several, its unit unless told not to, and how many seeds."""
    if not numbers:
        return _NOTHING
    scale, digits, named = _format(numbers[0].unit)
    means = [scale * number.mean for number in numbers]
    error = stdev(means) / math.sqrt(len(means)) if len(means) > 1 else None
    said = f" {escape(named)}" if unit and named != "%" else ""
    return f"{_with_error(mean(means), error, digits)}{said} ({len(means)})"


def _with_error(number: float, error: float | None, digits: str) -> str:
    """Both as exact as two digits of the error, unless their places are fixed."""
    if error is None:
        return f"{number:{digits}}"
    if digits.endswith("g") and 0 < error < math.inf:
        digits = f".{max(0, 1 - math.floor(math.log10(error)))}f"
    return f"{number:{digits}} ± {error:{digits}}"


def _study_table(rows: Sequence[Sequence[Result]]) -> str:
    table = _columns(rows) | _measured(rows)
    lines = zip(*table.values(), strict=True)
    return markdown_table([escape(name) for name in table], lines) + _in_common(rows)


def _columns(rows: Sequence[Sequence[Result]]) -> dict[str, list[str]]:
    """What was run, by column: and where rows would look the same, how they differ."""
    cells = [row[0].cell for row in rows]
    columns = {"data": [cell.data for cell in cells], "method": [cell.method for cell in cells]}
    columns |= {name: [_plain(cell.options.get(name)) for cell in cells] for name in COLUMNS}
    columns = {name: [escape(value) for value in column] for name, column in columns.items()}
    columns = {name: column for name, column in columns.items() if name == "data" or set(column) - {_NOTHING, "test"}}
    looks = list(zip(*columns.values(), strict=True))
    facts = [_flat(_facts(row[0])) for row in rows]
    alike = [[f for f, other in zip(facts, looks, strict=True) if other == look] for look in looks]
    apart = [escape(_differences(fact, others)) for fact, others in zip(facts, alike, strict=True)]
    return columns | ({"differs in": apart} if set(apart) != {_NOTHING} else {})


def _measured(rows: Sequence[Sequence[Result]]) -> dict[str, list[str]]:
    """The outcome, by column."""
    units = {name: number.unit for row in rows for result in row for name, number in result.numbers.items()}
    main, *more = [name for name, unit in units.items() if unit not in SERIES] or units
    columns = {
        f"{main}, mean of seeds": [_mean_of(row, main) for row in rows],
        "each seed (95 % interval)": [", ".join(_each(row, main)) or _NOTHING for row in rows],
        **{ROW_NAMES.get(name, name): [_mean_of(row, name) for row in rows] for name in more},
        "minutes": [_minutes(row) for row in rows],
    }
    return {name: column for name, column in columns.items() if set(column) != {_NOTHING}}


def _facts(result: Result) -> dict[str, Any]:
    """Everything but the seed that can tell one row from another, by name."""
    cell = result.cell
    return {
        "study": cell.study, "data": cell.data, "method": cell.method, "options": dict(cell.options),
        "protocol": dict(result.provenance.protocol),
        _UNITS.removesuffix("."): {name: number.unit for name, number in sorted(result.numbers.items())},
    }  # fmt: skip


def _differences(facts: Mapping[str, str], alike: Sequence[Mapping[str, str]]) -> str:
    """The facts in which a row differs from others that look the same in all columns; "" where it is alone.

    What was measured of one row and not of another is none; the unit in which it was is.
    """
    names = sorted({name for other in alike for name in other})
    found = {name: {other.get(name, _NOTHING) for other in alike} for name in names}
    units = [name for name in names if name.startswith(_UNITS)]
    found |= {name: found[name] - {_NOTHING} for name in units}
    apart = [name for name in names if len(found[name]) > 1]
    return ", ".join(f"{name.removeprefix('options.')}={facts.get(name, _NOTHING)}" for name in apart)


def _flat(facts: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Values by dotted names, as JSON, so that no two different ones look alike."""
    flat: dict[str, str] = {}
    for name, value in facts.items():
        if isinstance(value, Mapping) and value:
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = json.dumps(value)
    return flat


def _plain(value: object) -> str:
    """An option as a column shows it."""
    if value in (None, "", {}, []):
        return _NOTHING
    if isinstance(value, Mapping):
        return ", ".join(f"{name}={written}" for name, written in _flat(value).items())
    return value if isinstance(value, str) else json.dumps(value)


def _mean_of(row: Sequence[Result], name: str) -> str:
    return mean_over_seeds([result.numbers[name] for result in row if name in result.numbers])


def _each(row: Sequence[Result], name: str) -> list[str]:
    return [escape(interval_text(result.numbers[name]).removesuffix(" %")) for result in row if name in result.numbers]


def _minutes(row: Sequence[Result]) -> str:
    seconds = [s for result in row if (s := result.provenance.training_seconds) is not None]
    return f"{mean(seconds) / 60:.0f}" if seconds else _NOTHING


def _in_common(rows: Sequence[Sequence[Result]]) -> str:
    """A line of what the protocol fixed alike for all rows, one of them or many."""
    all_facts = [_flat(dict(row[0].provenance.protocol)) for row in rows]
    common = [f"{name} {value}" for name, value in all_facts[0].items()
              if all(facts.get(name) == value for facts in all_facts)]  # fmt: skip
    return f"\nIn all rows: {escape(', '.join(common))}.\n" if common else ""


def _format(unit: str) -> tuple[float, str, str]:
    """Factor, format and unit in which numbers of a unit are written."""
    return (100.0, ".2f", "%") if unit == SHARE else (1.0, ".4g", unit)


def _order(cell: Cell) -> str:
    """What rows are sorted by: their name without its checksum, then their options; without one before with it."""
    options = ", ".join(f"{name}={value}" for name, value in sorted(cell.options.items()))
    return _by_number(f"{cell.row.rpartition('-')[0]} {options}")


def _by_number(text: str) -> str:
    """A text to sort by, in which 600 comes before 6000 and 5-way before 20-way."""
    return re.sub(r"\d+", lambda number: number[0].zfill(12), text)
