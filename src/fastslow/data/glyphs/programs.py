"""Random stroke programs: what makes one class of `fastslow.data.glyphs.glyphs` differ from another.

Where a stroke goes is said relative to an earlier one, so that motor noise carries along what is attached.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import numpy as np

from fastslow.data.glyphs.strokes import Segment, Stroke, dot, pick, shape, sign, wander

NUM_STROKES = 5


@dataclasses.dataclass(frozen=True)
class Program:
    """What makes a class: 1 to `NUM_STROKES` strokes, and the longer side of the whole in pixels."""

    strokes: tuple[Stroke, ...]
    size: float


def sample_program(rng: np.random.Generator) -> Program:
    """Draws one class."""
    num_strokes = 1 + pick(rng, (0.33, 0.30, 0.20, 0.11, 0.06))
    strokes = [shape(rng, 1.0)]
    if num_strokes == 1 and len(strokes[0].segments) == 1 and rng.random() < 0.7:
        strokes[0] = wander(rng, 1.0)
    while len(strokes) < num_strokes:
        strokes.append(_RELATIONS[pick(rng, _RELATION_WEIGHTS)](rng, strokes))
    return Program(tuple(strokes), min(max(rng.normal(17.0, 3.0), 8.0), 23.0))


def _spot(rng: np.random.Generator) -> float:
    """A point that hands aim at: the start, the end, the middle, or anywhere."""
    return (0.0, 1.0, 0.5, rng.uniform(0.1, 0.9))[pick(rng, (0.28, 0.28, 0.2, 0.24))]


def _attach(rng: np.random.Generator, strokes: list[Stroke]) -> Stroke:
    """A stroke that starts on, ends on or crosses an earlier one."""
    stroke, own_at = shape(rng, rng.uniform(0.35, 0.95)), (0.0, 1.0, 0.5)[pick(rng, (0.55, 0.15, 0.3))]
    anchor = int(rng.integers(len(strokes)))
    return dataclasses.replace(stroke, anchor=anchor, anchor_at=_spot(rng), own_at=own_at)


def _bridge(rng: np.random.Generator, strokes: list[Stroke]) -> Stroke:
    """A line, bow or corner from a point of one stroke to a point of another or the same: A, D, H, P."""
    kind = pick(rng, (0.5, 0.3, 0.2))
    arc = sign(rng) * rng.uniform(1.5, 4.0) if kind == 1 else 0.0
    segments = [Segment(1.0, 0.0, arc)]
    if kind == 2:
        segments.append(Segment(rng.uniform(0.5, 1.5), sign(rng) * rng.uniform(0.9, 2.0), 0.0))
    anchor, bridge = (int(n) for n in rng.integers(len(strokes), size=2))
    start, end = _spot(rng), _spot(rng)
    if anchor == bridge and abs(start - end) < 0.3:
        end = start + 0.5 if start < 0.5 else start - 0.5
    return Stroke(tuple(segments), anchor=anchor, anchor_at=start, bridge=bridge, bridge_at=end)


def _repeat(rng: np.random.Generator, strokes: list[Stroke]) -> Stroke:
    """An earlier stroke again, beside, above or below it."""
    anchor = int(rng.integers(len(strokes)))
    gap, across = rng.uniform(0.25, 0.6) * sign(rng), rng.random() < 0.6
    offset = (gap, rng.normal(0.0, 0.05)) if across else (rng.normal(0.0, 0.05), gap)
    first = strokes[anchor]
    return Stroke(first.segments, first.closed, anchor, 0.0, 0.0, offset)


def _mirror(rng: np.random.Generator, strokes: list[Stroke]) -> Stroke:
    """An earlier stroke mirrored left to right or top to bottom, apart from it or joined to an end of it."""
    anchor, upright = int(rng.integers(len(strokes))), rng.random() < 0.65
    first = strokes[anchor].segments
    heading = (math.pi if upright else 0.0) - first[0].corner
    flipped = [Segment(n, -corner, -arc) for n, corner, arc in first]
    gap = 0.0 if rng.random() < 0.6 else sign(rng) * rng.uniform(0.2, 0.6)
    at = float(rng.integers(2))
    segments = (flipped[0]._replace(corner=heading), *flipped[1:])
    return Stroke(segments, strokes[anchor].closed, anchor, at, at, (gap, 0.0) if upright else (0.0, gap))


def _beside(rng: np.random.Generator, strokes: list[Stroke]) -> Stroke:
    """A stroke apart from the others: a dot, an accent, a bar above or below, a second part."""
    stroke = dot(rng, 1.0) if rng.random() < 0.25 else shape(rng, rng.uniform(0.3, 0.8))
    direction = math.pi / 2 * int(rng.integers(4)) + rng.normal(0.0, 0.35)
    distance = rng.uniform(0.3, 0.8)
    offset = (distance * math.cos(direction), distance * math.sin(direction))
    return dataclasses.replace(stroke, anchor_at=0.5, own_at=0.5, anchor=int(rng.integers(len(strokes))), offset=offset)


_RELATIONS: tuple[Callable[[np.random.Generator, list[Stroke]], Stroke], ...] = (
    _attach,
    _bridge,
    _repeat,
    _mirror,
    _beside,
)
_RELATION_WEIGHTS = (0.45, 0.18, 0.11, 0.08, 0.18)
