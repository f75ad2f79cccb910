"""Strokes of made-up characters, one at a time: lines, bows, hooks, loops, closed shapes, dots.

A stroke is drawn like a turtle draws: a few segments, each with a length, a corner before it and an arc along
it. Lengths are in units of about one character height; angles in radians, from right (0) to down (pi / 2).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

NUM_SEGMENTS = 6


class Segment(NamedTuple):
    """One piece of a stroke: turn by `corner`, then go `length` while turning by `arc`."""

    length: float
    corner: float
    arc: float


@dataclasses.dataclass(frozen=True)
class Stroke:
    """One stroke and its place.

    Attributes:
        segments: 1 to `NUM_SEGMENTS` pieces; the first corner is the heading.
        closed: whether the end is bent back onto the start.
        anchor: the earlier stroke that this one is placed by; 0 in stroke 0, which nothing places.
        anchor_at: the point of the anchor, from 0 (its start) to 1 (its end).
        own_at: the point of this stroke that is laid there.
        offset: (right, down) from the one point to the other.
        bridge: the earlier stroke that this one ends on, turned and scaled to reach it; -1 for none.
        bridge_at: the point of `bridge` where it ends.
    """

    segments: tuple[Segment, ...]
    closed: bool = False
    anchor: int = 0
    anchor_at: float = 0.0
    own_at: float = 0.0
    offset: tuple[float, float] = (0.0, 0.0)
    bridge: int = -1
    bridge_at: float = 0.0


def pick(rng: np.random.Generator, weights: Sequence[float]) -> int:
    """An index, drawn with the given weights."""
    left = rng.random() * sum(weights)
    for index, weight in enumerate(weights):
        left -= weight
        if left < 0:
            return index
    return len(weights) - 1


def sign(rng: np.random.Generator) -> float:
    """1 or -1, each half of the time."""
    return 1.0 if rng.random() < 0.5 else -1.0


def _heading(rng: np.random.Generator) -> float:
    """Down and right most of the time, as hands go; else along a diagonal, or anywhere."""
    kind = pick(rng, (0.42, 0.35, 0.15, 0.08))
    favourite = (
        math.pi / 2,
        0.0,
        math.pi / 4 + math.pi / 2 * int(rng.integers(3)),
        rng.uniform(-math.pi, math.pi),
    )
    return favourite[kind] + rng.normal(0.0, 0.12)


def _corner(rng: np.random.Generator) -> float:
    """How far a hand turns in a corner: about a right angle, or sharply back."""
    size = (math.pi / 2, math.pi * 3 / 4, math.pi / 4, math.pi * 0.92)[pick(rng, (0.5, 0.25, 0.15, 0.1))]
    return sign(rng) * (size + rng.normal(0.0, 0.12))


def _line(rng: np.random.Generator, size: float) -> Stroke:
    return Stroke((Segment(size * rng.uniform(0.5, 1.1), _heading(rng), rng.normal(0.0, 0.1)),))


def _bow(rng: np.random.Generator, size: float) -> Stroke:
    """An arc: a bow, a cup, or most of a circle."""
    arc = rng.uniform(0.6, 5.2)
    return Stroke((Segment(size * rng.uniform(0.35, 0.55) * (1 + 0.45 * arc), _heading(rng), sign(rng) * arc),))


def _zigzag(rng: np.random.Generator, size: float) -> Stroke:
    """Straight pieces with corners, which alternate or go round: L, V, Z, N, M and the like."""
    alternate = -1.0 if rng.random() < 0.6 else 1.0
    turn, segments = (
        _corner(rng),
        [Segment(size * rng.uniform(0.3, 1.0), _heading(rng), rng.normal(0.0, 0.1))],
    )
    for _ in range(1 + pick(rng, (0.5, 0.3, 0.2))):
        segments.append(Segment(size * rng.uniform(0.25, 0.9), turn, rng.normal(0.0, 0.1)))
        turn = alternate * turn + rng.normal(0.0, 0.15)
    return Stroke(tuple(segments))


def _hook(rng: np.random.Generator, size: float) -> Stroke:
    """A long line that bends at its end, at its start, or at both: J, h without its stem, S."""
    stem = Segment(size * rng.uniform(0.4, 0.9), 0.0, rng.normal(0.0, 0.1))
    segments = [stem, Segment(size * rng.uniform(0.2, 0.7), 0.0, sign(rng) * rng.uniform(1.0, 3.6))]
    if rng.random() < 0.4:
        segments.insert(0, Segment(size * rng.uniform(0.2, 0.6), 0.0, sign(rng) * rng.uniform(1.0, 3.6)))
    elif rng.random() < 0.5:
        segments.reverse()
    return Stroke((segments[0]._replace(corner=_heading(rng)), *segments[1:]))


def _wave(rng: np.random.Generator, size: float) -> Stroke:
    """Arcs in a row, with cusps (3, m, w) or without (S, snakes, spirals)."""
    side, alternate = sign(rng), rng.random() < 0.4
    cusp = 0.0 if alternate or rng.random() < 0.3 else -side * rng.uniform(1.8, 3.0)
    arc, length, growth = rng.uniform(1.5, 3.8), size * rng.uniform(0.5, 0.9), rng.uniform(0.65, 1.3)
    segments = [Segment(length, _heading(rng), side * arc)]
    for _ in range(1 + pick(rng, (0.6, 0.3, 0.1))):
        side, length = -side if alternate else side, length * growth
        segments.append(Segment(length, cusp, side * (arc + rng.normal(0.0, 0.3))))
    if rng.random() < 0.35:
        segments.append(Segment(size * rng.uniform(0.2, 0.7), rng.choice((0.0, cusp)), 0.0))
    return Stroke(tuple(segments))


def _loop(rng: np.random.Generator, size: float) -> Stroke:
    """A line that loops once and goes on: e, l, alpha, a 6 or a 9."""
    side = sign(rng)
    segments = [
        Segment(size * rng.uniform(0.2, 0.9), _heading(rng), rng.normal(0.0, 0.3)),
        Segment(size * rng.uniform(0.7, 1.5), rng.choice((0.0, side * 0.8)), side * rng.uniform(4.6, 6.6)),
    ]
    if rng.random() < 0.6:
        segments.append(Segment(size * rng.uniform(0.2, 0.8), 0.0, rng.normal(0.0, 0.7)))
    return Stroke(tuple(segments))


def _closed(rng: np.random.Generator, size: float) -> Stroke:
    """A circle, a half moon, or a polygon of three or four sides."""
    side, kind = sign(rng), pick(rng, (0.45, 0.2, 0.15, 0.2))
    if kind == 0:
        return Stroke((Segment(size * rng.uniform(1.0, 2.2), _heading(rng), side * 2 * math.pi),), closed=True)
    if kind == 1:
        moon = Segment(size * rng.uniform(0.9, 1.3), side * math.pi / 2, side * math.pi)
        return Stroke((Segment(size * rng.uniform(0.5, 0.9), _heading(rng), 0.0), moon), closed=True)
    num_sides, width, height = kind + 1, size * rng.uniform(0.4, 0.8), size * rng.uniform(0.4, 0.8)
    lengths = (width, height, width, height)[:num_sides]
    corners = [_heading(rng)] + [side * 2 * math.pi / num_sides] * (num_sides - 1)
    return Stroke(tuple(Segment(n, corner, 0.0) for n, corner in zip(lengths, corners, strict=True)), closed=True)


def dot(rng: np.random.Generator, size: float) -> Stroke:
    """A small blot, whatever the size asked for."""
    return Stroke((Segment(rng.uniform(0.12, 0.3), _heading(rng), 2 * math.pi),), closed=True)


def wander(rng: np.random.Generator, size: float) -> Stroke:
    """Any pieces in any order, as in cursive letters."""
    segments = [Segment(size * rng.uniform(0.3, 0.9), _heading(rng), 0.0)]
    for _ in range(1 + int(rng.integers(NUM_SEGMENTS - 1))):
        corner = _corner(rng) if rng.random() < 0.5 else 0.0
        arc = sign(rng) * rng.uniform(0.8, 4.5) if rng.random() < 0.6 else 0.0
        segments.append(Segment(size * rng.uniform(0.25, 0.6) * (1 + 0.2 * abs(arc)), corner, arc))
    return Stroke(tuple(segments))


_SHAPES: tuple[Callable[[np.random.Generator, float], Stroke], ...] = (
    _line,
    _bow,
    _zigzag,
    _hook,
    _wave,
    _loop,
    _closed,
    dot,
    wander,
)
_FIRST_WEIGHTS = (0.14, 0.11, 0.15, 0.14, 0.12, 0.10, 0.10, 0.02, 0.12)
_LATER_WEIGHTS = (0.36, 0.14, 0.12, 0.08, 0.05, 0.03, 0.08, 0.10, 0.04)


def shape(rng: np.random.Generator, size: float) -> Stroke:
    """Any kind of stroke; one of size 1 comes first in its character, and tends to be elaborate."""
    return _SHAPES[pick(rng, _FIRST_WEIGHTS if size == 1.0 else _LATER_WEIGHTS)](rng, size)
