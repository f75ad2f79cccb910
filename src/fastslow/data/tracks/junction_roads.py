"""The roads of a made-up junction, and the ways that cyclists and pedestrians take across it.

Places in the plane are complex numbers, x + 1j * y, in metres from the centre; directions are complex numbers of length
1, and 1j times one is that to the left of it. Traffic keeps to the right.
"""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Complex128, Float64

_BEND = np.deg2rad(25.0)  # of two arms, from which cyclists have different lanes for them
_STRAIGHT = np.deg2rad(150.0)  # between two arms, from which the pavement between them has no corner


class Arms(NamedTuple):
    """The roads that meet, counter-clockwise.

    Attributes:
        way: direction outward, shape (arms,).
        half: metres from the middle of the road to the kerb.
        walk: metres from there to the middle of either pavement.
        zebra: metres from the centre to the zebra crossing.
        minor: whether its traffic gives way; where there are lights, these have their green second.
    """

    way: Complex128[np.ndarray, " arms"]
    half: Float64[np.ndarray, " arms"]
    walk: Float64[np.ndarray, " arms"]
    zebra: Float64[np.ndarray, " arms"]
    minor: Bool[np.ndarray, " arms"]


class Route(NamedTuple):
    """One way across the site, before it is cut into points.

    Attributes:
        kind: of those who take it.
        line: corners or points, from where people come to where they go.
        rounding: metres over which its corners are rounded.
        weight: how often it is taken, beside others of the kind.
        stop: the place where people wait; None where they never do.
        second: whether its green is the second of a cycle.
        lit: whether it has a light.
        stopping: share of people who stop without a light.
        passing: speed of the others at that place, as a share of their own.
    """

    kind: str
    line: Complex128[np.ndarray, " points"]
    rounding: float
    weight: float
    stop: complex | None = None
    second: bool = False
    lit: bool = False
    stopping: float = 0.0
    passing: float = 1.0


def sample_arms(rng: np.random.Generator) -> Arms:
    """Three arms, of which two make up the main road, or four, of which each two face each other."""
    count = 3 if rng.random() < 0.45 else 4
    turns = np.array([0.0, 95.0, 180.0] if count == 3 else [0.0, 90.0, 180.0, 270.0])
    way = np.exp(1j * (np.deg2rad(turns + rng.uniform(-14.0, 14.0, count)) + rng.uniform(0.0, 2 * np.pi)))
    half = rng.uniform(3.2, 4.6, count)
    walk = half + rng.uniform(1.4, 2.0, count)
    reach = np.zeros(count)
    for arm in range(count):
        corner = _corner(way, walk, arm)
        for one in (arm, (arm + 1) % count):
            reach[one] = max(reach[one], (corner / way[one]).real)
    return Arms(way, half, walk, reach + rng.uniform(2.0, 3.5, count), np.arange(count) % 2 == 1)


def _corner(way: Complex128[np.ndarray, " arms"], walk: Float64[np.ndarray, " arms"], arm: int) -> complex:
    """Where the pavement to the left of an arm meets that to the right of the next, or comes nearest to the centre."""
    other = (arm + 1) % len(way)
    if np.angle(way[other] / way[arm]) % (2 * np.pi) > _STRAIGHT:
        return complex(0.5j * (walk[arm] * way[arm] - walk[other] * way[other]))
    gap = walk[arm] * way[arm] + walk[other] * way[other]
    along = (np.conj(gap) * way[other]).real / (np.conj(way[arm]) * way[other]).imag
    return complex(way[arm] * (along + 1j * walk[arm]))


def cyclists(rng: np.random.Generator, arms: Arms, lit: bool) -> list[Route]:
    """From each arm to each other; who turns left, rides further to the left from the start."""
    count = len(arms.way)
    lane, far = arms.half - rng.uniform(0.8, 1.2, count), arms.zebra + rng.uniform(19.0, 25.0, count)
    weight = rng.dirichlet(np.full(count, 2.0), count) * rng.dirichlet(np.full(count, 3.0))[:, None]
    stopping = np.where(arms.minor, rng.uniform(0.5, 0.9, count), rng.uniform(0.0, 0.1, count))
    passing = np.where(arms.minor, rng.uniform(0.4, 0.7, count), rng.uniform(0.85, 1.0, count))
    routes = []
    for start, end in itertools.permutations(range(count), 2):
        way_in, way_out = -arms.way[start], arms.way[end]
        turn = np.angle(way_out / way_in)
        lane_in = 1j * way_in * ((1.5 if turn > _BEND else 0.3 if turn >= -_BEND else 0.0) - lane[start])
        lane_out = -1j * way_out * lane[end]
        enter = lane_in - (arms.zebra[start] - 1.0) * way_in
        leave = lane_out + (arms.zebra[end] - 1.0) * way_out
        curve = _curve(enter, way_in, leave, way_out)
        line = np.array([lane_in - far[start] * way_in, *curve, lane_out + far[end] * way_out])
        stop = complex(lane_in - (arms.zebra[start] + 3.0) * way_in)
        routes.append(
            Route("cyclist", line, 3.0, weight[start, end], stop, bool(arms.minor[start]), lit,
                  float(stopping[start]), 1.0 if lit else float(passing[start]))
        )  # fmt: skip
    return routes


def across(rng: np.random.Generator, arms: Arms, lit: bool) -> list[Route]:
    """Over the zebra crossing of each arm, from either side, to and from the pavements of this arm and the next."""
    count, left = len(arms.way), 1j * arms.way
    far = arms.zebra + rng.uniform(9.0, 12.0, count)
    weight = rng.dirichlet(np.full(count, 2.0))
    stopping, passing = rng.uniform(0.1, 0.8, count), rng.uniform(0.6, 0.9, count)
    routes = []
    for arm, side in itertools.product(range(count), (1, -1)):
        ends = []
        for at in (side, -side):
            other, corner = ((arm + 1) % count, arm) if at == 1 else ((arm - 1) % count, (arm - 1) % count)
            own = far[arm] * arms.way[arm] + at * arms.walk[arm] * left[arm]
            others = far[other] * arms.way[other] - at * arms.walk[other] * left[other]
            ends.append(([own], [others, _corner(arms.way, arms.walk, corner)]))
        edges = [arms.zebra[arm] * arms.way[arm] + at * arms.walk[arm] * left[arm] for at in (side, -side)]
        stop = complex(arms.zebra[arm] * arms.way[arm] + side * (arms.half[arm] + 0.5) * left[arm])
        liking = weight[arm] * rng.dirichlet(np.full(4, 1.0))
        for (start, end), one in zip(itertools.product(*ends), liking, strict=True):
            routes.append(
                Route("pedestrian", np.array([*start, *edges, *end[::-1]]), 3.0, one, stop, not arms.minor[arm], lit,
                      float(stopping[arm]), 1.0 if lit else float(passing[arm]))
            )  # fmt: skip
    return routes


def along(rng: np.random.Generator, arms: Arms) -> list[Route]:
    """Round the corners on the pavement; at one of them, before a shop, many stand for a while."""
    count, left = len(arms.way), 1j * arms.way
    far = arms.zebra + rng.uniform(9.0, 12.0, count)
    weight, shop = rng.dirichlet(np.full(count, 2.0)) * 0.4, int(rng.integers(count))
    stopping, before = float(rng.uniform(0.5, 0.9)), float(rng.uniform(1.0, 4.0))
    routes = []
    for arm in range(count):
        other = (arm + 1) % count
        start = far[arm] * arms.way[arm] + arms.walk[arm] * left[arm]
        end = far[other] * arms.way[other] - arms.walk[other] * left[other]
        window = complex((arms.zebra[arm] + before) * arms.way[arm] + arms.walk[arm] * left[arm])
        line = np.array([start, _corner(arms.way, arms.walk, arm), end])
        stop, stops = (window, stopping) if arm == shop else (None, 0.0)
        routes += [Route("pedestrian", each, 3.0, weight[arm] / 2, stop, stopping=stops) for each in (line, line[::-1])]
    return routes


def _curve(start: complex, way_in: complex, end: complex, way_out: complex) -> Complex128[np.ndarray, " points"]:
    """From one point and direction to another: a cubic Bezier curve, the nearest to an arc of a circle there is."""
    turn = abs(float(np.angle(way_out / way_in)))
    reach = abs(end - start) * (2 / 3 * np.tan(turn / 4) / np.sin(turn / 2) if turn > 1e-3 else 1 / 3)
    t = np.linspace(0.0, 1.0, 60)
    inner = 3 * (1 - t) ** 2 * t * (start + reach * way_in) + 3 * (1 - t) * t**2 * (end - reach * way_out)
    return (1 - t) ** 3 * start + inner + t**3 * end
