"""What a run logged while it trained, line by line of `metrics.jsonl`, checked."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from fastslow.errors import InputError, shown, shown_reason
from fastslow.methods.config import CONTROLLERS
from fastslow.protocol.checks import check_number, check_text, refuse_large

#: A line is some hundred bytes, a run some thousand lines; bytes.
LARGEST_METRICS = 1 << 23
_LARGEST_LINE = 1 << 16
#: Times, losses and norms beyond this are damage, and no picture could show them.
_LARGEST = 1e12
_MOST_STAGES = 40


@dataclasses.dataclass(frozen=True)
class Quality:
    """How near predicted gradients are to true ones; NaN where that cannot be said, as where the true ones are zero.

    Attributes:
        cosine: 1 is the same direction.
        relative_error: the length of predicted - true, over that of true.
        predicted_norm: nats per unit.
        true_norm: nats per unit.
    """

    cosine: float
    relative_error: float
    predicted_norm: float
    true_norm: float


@dataclasses.dataclass(frozen=True)
class Point:
    """One line: where training stood at a validation.

    Attributes:
        stage: of the training.
        step: within the stage.
        seconds: in training steps, since the stage began.
        done: share of the whole training, in [0, 1].
        loss: running mean over the stage, the latest steps weighing most, nats.
        validation: accuracy, in [0, 1].
        gradients: by controller that learns fast.
    """

    stage: str
    step: int
    seconds: float
    done: float
    loss: float
    validation: float
    gradients: Mapping[str, Quality]


def read_metrics(path: Path) -> list[Point]:
    """All complete lines; the last one may just be being written.

    Raises:
        ValueError: if the file cannot be read, or a complete line is none that training writes; the message names both.
    """
    refuse_large(path, LARGEST_METRICS)
    try:
        lines = path.read_bytes().split(b"\n")[:-1]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error}") from error
    points = [_read_line(line, f"{path} has a line {number}") for number, line in enumerate(lines, 1)]
    if (count := sum(1 for _ in stages(points))) > _MOST_STAGES:
        raise InputError(f"{path} has {count} stages; a training has at most {_MOST_STAGES}: the file is damaged")
    return points


def stages(points: Sequence[Point]) -> Iterator[tuple[str, slice]]:
    """The stages in order, each with the points that belong to it."""
    first = 0
    for i in range(1, len(points) + 1):
        if i == len(points) or points[i].stage != points[first].stage:
            yield points[first].stage, slice(first, i)
            first = i


def training_time(points: Sequence[Point]) -> tuple[list[float], str]:
    """Time in training steps at each point, from the start of the run, and its unit: "s" or "min"."""
    times: list[float] = []
    before = 0.0
    for _, part in stages(points):
        times += [before + point.seconds for point in points[part]]
        before = times[-1]
    return (times, "s") if before < 180 else ([t / 60 for t in times], "min")


def has_gradients(points: Sequence[Point]) -> bool:
    """Whether any point says how good predicted gradients are."""
    return any(point.gradients for point in points)


def _read_line(line: bytes, where: str) -> Point:
    if len(line) > _LARGEST_LINE:
        raise InputError(f"{where} that has {len(line)} bytes; a training writes at most {_LARGEST_LINE}: delete it")
    try:
        content = json.loads(line.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where} that is no JSON ({shown_reason(error)}); delete that line") from error
    if not isinstance(content, dict):
        raise InputError(f"{where} that holds {type(content).__name__}; names and values were expected: delete it")
    try:
        return _point(content)
    except InputError as error:
        raise InputError(f"{where} that no training wrote: {error}; delete that line") from error


def _point(content: Mapping[str, object]) -> Point:
    stage, gradients = content.get("stage"), content.get("gradients", {})
    check_text("stage", stage, longest=100)
    if not isinstance(gradients, Mapping):
        raise InputError(f"got gradients={shown(gradients)}; qualities by controller were expected")
    step = _number(content, "step", 0.0, _LARGEST)
    return Point(
        stage=str(stage), step=int(step), seconds=_number(content, "seconds", 0.0, _LARGEST),
        done=_number(content, "done", 0.0, 1.0), loss=_number(content, "loss", -_LARGEST, _LARGEST),
        validation=_number(content, "validation", 0.0, 1.0),
        gradients={name: _quality(name, values) for name, values in gradients.items()},
    )  # fmt: skip


def _number(content: Mapping[str, object], name: str, least: float, most: float) -> float:
    value = content.get(name)
    check_number(name, value, least=least, most=most)
    assert isinstance(value, int | float)
    return float(value)


def _quality(name: str, values: object) -> Quality:
    if name not in CONTROLLERS:
        raise InputError(f"got gradients of {shown(name)}; the controllers are {', '.join(CONTROLLERS)}")
    if not isinstance(values, Mapping):
        raise InputError(f"got gradients.{name}={shown(values)}; names and values were expected")
    # A cosine of rounded numbers may lie a little beyond 1.
    names = {field.name: (-1.01, 1.01) if field.name == "cosine" else (0.0, _LARGEST)
             for field in dataclasses.fields(Quality)}  # fmt: skip
    known = {n: v for n, v in values.items() if not (v is None or (isinstance(v, float) and not math.isfinite(v)))}
    return Quality(**{n: _number(known, n, *bounds) if n in known or n not in values else math.nan
                      for n, bounds in names.items()})  # fmt: skip
