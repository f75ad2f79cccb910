"""A result: what was run, what it gave, and what the numbers depend on. Written once, read in one place."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fastslow.config import parse
from fastslow.errors import InputError
from fastslow.files import read_json, write_json

#: 1 was a flat object of a few-shot run's accuracies, without a schema number.
SCHEMA = 2


@dataclasses.dataclass(frozen=True)
class Interval:
    """A mean and its 95 % interval.

    Attributes:
        mean: in the unit of the number; accuracies are shares in [0, 1].
        half_width: of the 95 % interval; None where there was one measurement only.
        count: measurements behind it, such as episodes.
    """

    mean: float
    half_width: float | None
    count: int

    def __post_init__(self) -> None:
        if not math.isfinite(self.mean) or not 0 <= (self.half_width or 0.0) < math.inf or self.count < 1:
            raise InputError(f"got {self}; a mean is finite, a half width finite and not negative, a count at least 1")


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

    @property
    def row(self) -> str:
        """What all cells that differ in the seed alone share: a readable name and a checksum of everything."""
        return f"{self._name()}-{self._digest()}"

    @property
    def key(self) -> str:
        """Names the run folder and the result file; no two different cells have the same one."""
        return f"{self._name()}-{self._digest()}-seed{self.seed}"

    def _name(self) -> str:
        words = [self.study, self.data, self.method, *(str(self.options[n]) for n in NAMING if self.options.get(n))]
        return re.sub(r"[^\w.+-]+", "_", "-".join(words))[:100]

    def _digest(self) -> str:
        content = {**dataclasses.asdict(self), "options": dict(self.options)}
        del content["seed"]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:8]


#: Options that a cell's name shows beside study, data and method, where it has them.
NAMING = ("task", "preset", "control", "length")


@dataclasses.dataclass(frozen=True)
class Provenance:
    """What numbers depend on besides the cell.

    Attributes:
        command: repeats the measurement.
        versions: of python, fastslow, torch and numpy.
        processor: model name of the processor; "" where it was not recorded.
        seconds: measuring took.
        training_seconds: training took, all of it; None where nothing was trained.
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
        if self.schema != SCHEMA:
            raise InputError(f"got a result of schema {self.schema}; this version reads schema {SCHEMA}")
        if not self.numbers:
            raise InputError("got a result without numbers; it needs at least one")


def write_result(path: Path, result: Result) -> None:
    """Writes a result as JSON, atomically."""
    write_json(path, dataclasses.asdict(result))


def read_result(path: Path) -> Result:
    """Reads a result.

    Raises:
        ValueError: if the file is missing, no result, or holds values that no result can have; the message names it.
    """
    try:
        return parse(Result, read_json(path))
    except InputError as error:
        raise InputError(f"{path} holds no result: {error}") from error
