"""A result: what was run, what it gave, and what the numbers depend on. Written once, read in one place.

Values are checked where a result is made, strictly: text is no number, `true` is none either, and what JSON cannot hold
is refused. What is read from a file is then as good as what a run wrote.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from fastslow.errors import InputError, shown
from fastslow.files import read_json, write_json
from fastslow.protocol.checks import LARGEST, check_number, check_plain, check_text, refuse_large

T = TypeVar("T", "Interval", "Cell", "Provenance")

#: 1 was a flat object of a few-shot run's accuracies, without a schema number.
SCHEMA = 2
#: Options that a cell's name shows beside study, data and method, where it has them.
NAMING = ("task", "preset", "control", "length")
#: Characters of these words in a key: with checksum and seed, of 12 digits at most, it has 100, as a folder's name may.
LONGEST_WORDS = 74
#: The unit of accuracies and the like: shares of one, in [0, 1].
SHARE = "share"
#: A result file is a few kilobytes; what is larger than this is something else, and not read, bytes.
LARGEST_FILE = 1 << 19


@dataclasses.dataclass(frozen=True)
class Interval:
    """A mean and its 95 % interval.

    Attributes:
        mean: in the unit of the number.
        half_width: of the 95 % interval; None where there was one measurement only.
        count: measurements behind it, such as episodes.
        unit: "share" for shares of one, in [0, 1], as accuracies are; else such as "m" or "s".
    """

    mean: float
    half_width: float | None
    count: int
    unit: str = SHARE

    def __post_init__(self) -> None:
        self.check(vars(self))

    @classmethod
    def of(cls, values: Sequence[float], unit: str = SHARE) -> Interval:
        """Of measurements, at least one, as if they were normal."""
        mean, count = math.fsum(values) / len(values), len(values)
        if count == 1:
            return cls(mean, None, count, unit)
        variance = math.fsum((value - mean) ** 2 for value in values) / (count - 1)
        return cls(mean, 1.96 * math.sqrt(variance / count), count, unit)

    @staticmethod
    def check(values: Mapping[str, Any]) -> None:
        """Refuses values that no interval can have; by name, so that what a file holds can be checked first."""
        share = values["unit"] == SHARE
        check_text("unit", values["unit"], longest=40)
        check_number("mean", values["mean"], least=0.0 if share else -LARGEST, most=1.0 if share else LARGEST)
        if values["half_width"] is not None:
            check_number("half_width", values["half_width"], most=1.0 if share else LARGEST)
        check_number("count", values["count"], least=1.0, whole=True)


@dataclasses.dataclass(frozen=True)
class Cell:
    """One run of a study, by everything that can change its numbers.

    A row of a table is all of it but the seed.

    Attributes:
        study: name of the study, such as "fewshot".
        method: name in `METHODS`.
        data: name of the data, or the last part of a folder's path.
        options: plain JSON values by name; everything that differs between runs but seed, paths and bookkeeping.
        seed: of weights and training.
    """

    study: str
    method: str
    data: str
    options: Mapping[str, Any]
    seed: int

    def __post_init__(self) -> None:
        self.check(vars(self))

    @staticmethod
    def check(values: Mapping[str, Any]) -> None:
        """Refuses values that no cell can have, by name."""
        for name in ("study", "method", "data"):
            check_text(name, values[name], longest=255)
        check_plain("options", values["options"])
        check_number("seed", values["seed"], whole=True)

    @property
    def row(self) -> str:
        """What all cells that differ in the seed alone share: a readable name and a checksum of everything."""
        return f"{self._name()}-{self._digest()}"

    @property
    def key(self) -> str:
        """Names the run folder and the result file; no two different cells have the same one."""
        return f"{self.row}-seed{self.seed}"

    def _name(self) -> str:
        naming = [str(self.options[name]) for name in NAMING if self.options.get(name) not in (None, "", "none")]
        words = "-".join([self.study, self.data, self.method, *naming])
        return re.sub(r"[^\w.+-]+", "_", words, flags=re.ASCII)[:LONGEST_WORDS]

    def _digest(self) -> str:
        content = {**dataclasses.asdict(self), "options": dict(self.options)}
        del content["seed"]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:8]


@dataclasses.dataclass(frozen=True)
class Provenance:
    """What numbers depend on besides the cell.

    Attributes:
        command: repeats the measurement.
        versions: of python, fastslow, torch and numpy.
        processor: model name of the processor; "" where it was not recorded.
        seconds: measuring took.
        training_seconds: steps of training took, by the clock or, on one thread of the CPU, of that thread's processor
            time; None where nothing was trained.
        peak_memory_mib: of the process.
        protocol: what the study's protocol fixes: part, split and its checksum, episodes and their seed, ...
        options: every option as it was, bookkeeping included.
    """

    command: str
    versions: Mapping[str, str]
    processor: str = ""
    seconds: float | None = None
    training_seconds: float | None = None
    peak_memory_mib: float | None = None
    protocol: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        self.check(vars(self))

    @staticmethod
    def check(values: Mapping[str, Any]) -> None:
        """Refuses values that no provenance can have, by name."""
        for name in ("command", "processor"):
            check_text(name, values[name], longest=1 << 16, empty=True)
        for name in ("versions", "protocol", "options"):
            check_plain(name, values[name])
        for name, version in values["versions"].items():
            check_text(f"versions.{name}", version)
        for name in ("seconds", "training_seconds", "peak_memory_mib"):
            if values[name] is not None:
                check_number(name, values[name])


@dataclasses.dataclass(frozen=True)
class Result:
    """One cell measured.

    Attributes:
        cell: what was run.
        numbers: by name, the main one first: "accuracy", then what stands beside it.
        provenance: what they depend on.
        schema: of the file.
    """

    cell: Cell
    numbers: Mapping[str, Interval]
    provenance: Provenance
    schema: int = SCHEMA

    def __post_init__(self) -> None:
        if not self.numbers:
            raise InputError("got no numbers; a result has at least one")
        for name in self.numbers:
            check_text("a number's name", name, longest=255)


def write_result(path: Path, result: Result) -> None:
    """Writes a result as JSON, atomically."""
    write_json(path, dataclasses.asdict(result))


def read_result(path: str | Path) -> Result:
    """Reads a result.

    Raises:
        ValueError: if the file is missing, no result, or holds values that no result can have; the message names it.
    """
    path = Path(path)
    refuse_large(path, LARGEST_FILE)
    content = read_json(path)
    try:
        return _result(content)
    except InputError as error:
        raise InputError(f"{path} holds no result: {error}") from error


def _result(content: Mapping[str, Any]) -> Result:
    """A result of what JSON gives."""
    if type(content.get("schema")) is not int or content["schema"] != SCHEMA:
        raise InputError(f"got schema={shown(content.get('schema'))}; this version reads schema {SCHEMA}")
    values = _values(Result, content)
    if not isinstance(values["numbers"], Mapping):
        raise InputError(f"got numbers={shown(values['numbers'])}; intervals by name were expected")
    numbers = {name: _built(Interval, number) for name, number in values["numbers"].items()}
    return Result(_built(Cell, values["cell"]), numbers, _built(Provenance, values["provenance"]))


def _built(kind: type[T], content: object) -> T:
    values = _values(kind, content)
    kind.check(values)
    # JSON writes 1.0 as it is, but whoever wrote a file by hand may have written 1.
    floats = {name for name, type_ in kind.__annotations__.items() if "float" in type_}
    arguments: dict[str, Any] = {k: float(v) if k in floats and v is not None else v for k, v in values.items()}
    return kind(**arguments)


def _values(kind: type, content: object) -> dict[str, Any]:
    """The arguments of a dataclass, none missing and none unknown, defaults among them."""
    what = kind.__name__.lower()
    if not isinstance(content, Mapping):
        raise InputError(f"got {what}={shown(content)}; an object of names and values was expected")
    fields = {field.name: field for field in dataclasses.fields(kind)}
    if unknown := sorted(set(content) - set(fields)):
        raise InputError(f"got {shown(unknown[0])} in {what}; it has {', '.join(fields)}")
    values = {name: content[name] if name in content else _default(field) for name, field in fields.items()}
    if missing := [name for name, value in values.items() if value is dataclasses.MISSING]:
        raise InputError(f"{what} has no {missing[0]}; give it, or have the run measured again")
    return values


def _default(field: dataclasses.Field[Any]) -> object:
    return field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
