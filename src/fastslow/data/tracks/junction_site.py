"""A made-up site: its routes point by point, where people wait on them, and how often they are taken."""

from __future__ import annotations

import dataclasses

import numpy as np
from jaxtyping import Bool, Complex128, Float64, Int64

from fastslow.data.tracks.junction_roads import across, along, cyclists, sample_arms

STEP = 0.25
"""Metres between two points of a route."""
BRAKE = 1.0
"""How hard people brake for what they see in time, m/s^2."""

_SIDEWAYS = 1.2  # m/s^2 that people take in curves
_DECIMALS = 5  # of what routes are made of, so that the last bits, in which machines differ, go no further
_LATE = 0.12  # of a cycle of the lights in which neither road has green


@dataclasses.dataclass(frozen=True)
class Site:
    """All that tracks of one site have in common.

    Attributes:
        kinds: who takes each route.
        points: every `STEP` metres of each route, and straight on beyond its end, x + 1j * y in metres.
        ways: directions there.
        bend: by how much the route turns left there, 1 / metres.
        limit: the most that the curve there, or one that comes, allows, m/s.
        length: of each route, metres.
        stop: metres along each route to the place where people wait; negative where there is none.
        lit: whether each route has a light.
        green: from when to when it is green, as shares of a cycle; not used without a light.
        stopping: share of people who stop without a light.
        passing: speed of the others there, as a share of their own.
        share: how often each route is taken; those of one kind add up to 1.
        cycle: seconds of a cycle of the lights.
        gap: mean seconds between the beginnings of two tracks.
    """

    kinds: tuple[str, ...]
    points: Complex128[np.ndarray, "routes points"]
    ways: Complex128[np.ndarray, "routes points"]
    bend: Float64[np.ndarray, "routes points"]
    limit: Float64[np.ndarray, "routes points"]
    length: Float64[np.ndarray, " routes"]
    stop: Float64[np.ndarray, " routes"]
    lit: Bool[np.ndarray, " routes"]
    green: Float64[np.ndarray, "routes 2"]
    stopping: Float64[np.ndarray, " routes"]
    passing: Float64[np.ndarray, " routes"]
    share: Float64[np.ndarray, " routes"]
    cycle: float
    gap: float

    def place(
        self,
        route: Int64[np.ndarray, "*shape"],
        along: Float64[np.ndarray, "*shape"],
        aside: Float64[np.ndarray, "*shape"],
    ) -> Complex128[np.ndarray, "*shape"]:
        """The point so many metres along a route and so many to the left of it."""
        index = np.minimum((along / STEP).astype(np.int64), self.points.shape[1] - 2)
        part = along / STEP - index
        point, way = (
            (1 - part) * values[route, index] + part * values[route, index + 1] for values in (self.points, self.ways)
        )
        return np.asarray(point + 1j * aside * way)


def sample_site(rng: np.random.Generator) -> Site:
    """Draws one site: 3 or 4 arms, with lights or without."""
    arms, lit = sample_arms(rng), bool(rng.random() < 0.5)
    routes = [*cyclists(rng, arms, lit), *across(rng, arms, lit), *along(rng, arms)]
    centre = complex(*rng.uniform(-20.0, 20.0, 2))
    lines = [centre + _rounded(route.line, route.rounding) for route in routes]
    longest = max(map(len, lines))
    points = np.stack([np.append(line, _beyond(line, longest - len(line))) for line in lines]).round(_DECIMALS)
    steps = np.pad(np.diff(points), ((0, 0), (0, 1)), "edge")
    bend = np.pad(np.angle(steps[:, 1:] / steps[:, :-1]) / STEP, ((0, 0), (1, 0)), "edge").round(_DECIMALS)
    kinds = tuple(route.kind for route in routes)
    weight = np.array([route.weight for route in routes])
    total = np.array([weight[[other == kind for other in kinds]].sum() for kind in kinds])
    begin, change = rng.uniform(0.0, 1.0), rng.uniform(0.4, 0.6)
    green = np.array([(change, 1 - _LATE) if route.second else (0.0, change - _LATE) for route in routes])
    return Site(
        kinds=kinds,
        points=points,
        ways=(steps / np.abs(steps)).round(_DECIMALS),
        bend=bend,
        limit=_limits(bend),
        length=np.array([STEP * (len(line) - 1) for line in lines]),
        stop=np.array([_stop(line, centre, route.stop) for line, route in zip(lines, routes, strict=True)]),
        lit=np.array([route.lit for route in routes]),
        green=green + begin,
        stopping=np.array([route.stopping for route in routes]),
        passing=np.array([route.passing for route in routes]),
        share=weight / total,
        cycle=float(rng.uniform(20.0, 28.0)),
        gap=float(rng.uniform(1.0, 3.0)),
    )


def _even(line: Complex128[np.ndarray, " corners"]) -> Complex128[np.ndarray, " points"]:
    """The same line with a point every `STEP` metres."""
    along = np.append(0.0, np.cumsum(np.abs(np.diff(line))))
    return np.asarray(np.interp(np.arange(0.0, along[-1], STEP), along, line))


def _beyond(line: Complex128[np.ndarray, " points"], count: int) -> Complex128[np.ndarray, " more"]:
    """So many points more, straight on."""
    return np.asarray(line[-1] + np.arange(1, count + 1) * (line[-1] - line[-2]))


def _rounded(line: Complex128[np.ndarray, " corners"], metres: float) -> Complex128[np.ndarray, " points"]:
    """The line with rounded corners: each point is the mean of those around."""
    even, reach = _even(line), int(metres / STEP)
    kernel = np.ones(2 * reach + 1)
    wide = np.concatenate([_beyond(even[::-1], reach)[::-1], even, _beyond(even, reach)])
    return _even(np.convolve(wide, kernel / kernel.sum(), "valid"))


def _limits(bend: Float64[np.ndarray, "routes points"]) -> Float64[np.ndarray, "routes points"]:
    """Speeds for which curves are not too sharp, and from which one can brake for those that come, m/s."""
    curve = _SIDEWAYS / np.maximum(np.abs(bend), 1e-3)
    ahead = 2 * BRAKE * STEP * np.arange(bend.shape[1])
    return np.asarray(np.sqrt(np.minimum.accumulate((curve + ahead)[:, ::-1], 1)[:, ::-1] - ahead))


def _stop(line: Complex128[np.ndarray, " points"], centre: complex, stop: complex | None) -> float:
    return -1.0 if stop is None else STEP * int(np.argmin(np.abs(line - centre - stop)))
