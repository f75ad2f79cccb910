"""How people move along the routes of a made-up site: they set off, slow down for curves, wait, and go on."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int64

from fastslow.data.tracks.junction_site import BRAKE, STEP, Site

_MOST = 1.5  # m/s^2, of which nobody does more, neither faster nor slower
_AHEAD = 0.5  # seconds that people look ahead
_EASE = 0.3  # seconds in which an acceleration sets in
_STANDS = 0.15  # m/s below which somebody stands
_SHORTEST = 0.25  # of a curve of the route: the way inside it of those who keep aside
_NEAR = 0.3  # metres beyond the stopping place at which one still waits


class Trips(NamedTuple):
    """What somebody sets out to do, for each of some people.

    Attributes:
        route: number of the route.
        begin: when, seconds on the clock of the site.
        along: where on the route, metres.
        aside: how far to the left of the route they keep, metres.
        speed: with which they begin, m/s.
        cruise: which they like best, m/s.
        rise: their acceleration, m/s^2.
        stop: where on the route they wait, if they have to, metres; negative for nowhere.
        passing: speed at that place of those who need not wait, m/s.
        wait: seconds that they stand there, where there is no light.
        react: seconds until they take notice of a light.
    """

    route: Int64[np.ndarray, " tracks"]
    begin: Float64[np.ndarray, " tracks"]
    along: Float64[np.ndarray, " tracks"]
    aside: Float64[np.ndarray, " tracks"]
    speed: Float64[np.ndarray, " tracks"]
    cruise: Float64[np.ndarray, " tracks"]
    rise: Float64[np.ndarray, " tracks"]
    stop: Float64[np.ndarray, " tracks"]
    passing: Float64[np.ndarray, " tracks"]
    wait: Float64[np.ndarray, " tracks"]
    react: Float64[np.ndarray, " tracks"]


def move(site: Site, trips: Trips, steps: int, dt: float) -> Float64[np.ndarray, "tracks moments"]:
    """How far each has come along the route, metres, now and after each of the steps of `dt` seconds.

    Each has a speed that suits: the one liked best, as far as the curves allow it and a stopping place ahead. The
    acceleration draws the speed towards it, within bounds, and sets in smoothly.
    """
    along, speed = trips.along, trips.speed
    acceleration, stood = np.zeros_like(along), np.zeros_like(along)
    waits = np.zeros(len(along), bool)
    moments = np.empty((steps + 1, len(along)))
    moments[0] = along
    for step in range(steps):
        red = _is_red(site, trips, trips.begin + step * dt)
        room = trips.stop - along
        blocked = np.where(site.lit[trips.route], red, stood < trips.wait) & (room > -_NEAR)
        waits = blocked & (waits | (speed**2 / (2 * _MOST) + _EASE * speed < room) | (speed < _STANDS))
        stood += dt * (waits & (speed < _STANDS))
        index = np.minimum((along / STEP).astype(np.int64), site.bend.shape[1] - 1)
        shorter = np.clip(1 - site.bend[trips.route, index] * trips.aside, _SHORTEST, 2.0)
        force = (_suitable(site, trips, along, speed, waits, shorter) - speed) / _AHEAD
        acceleration = acceleration + (np.clip(force, -_MOST, trips.rise) - acceleration) * min(dt / _EASE, 1.0)
        faster = np.maximum(speed + acceleration * dt, 0.0)
        acceleration = np.where(faster > 0, acceleration, np.maximum(acceleration, 0.0))
        along = along + (speed + faster) / 2 * dt / shorter
        speed = faster
        moments[step + 1] = along
    return moments.T


def _is_red(site: Site, trips: Trips, time: Float64[np.ndarray, " tracks"]) -> Bool[np.ndarray, " tracks"]:
    """Whether the light of the route was red when its state now was taken notice of."""
    start, end = site.green[trips.route].T
    return np.asarray(((time - trips.react) / site.cycle - start) % 1.0 >= end - start)


def _suitable(
    site: Site,
    trips: Trips,
    along: Float64[np.ndarray, " tracks"],
    speed: Float64[np.ndarray, " tracks"],
    waits: Bool[np.ndarray, " tracks"],
    shorter: Float64[np.ndarray, " tracks"],
) -> Float64[np.ndarray, " tracks"]:
    """The speed that suits each where they are about to be, m/s.

    Their own curve is to that of the route as `shorter` to 1.
    """
    soon = along + _AHEAD * speed
    index = np.minimum((soon / STEP).astype(np.int64), site.limit.shape[1] - 1)
    least = np.where(waits, 0.0, trips.passing)
    before = np.sqrt(least**2 + 2 * BRAKE * np.maximum(trips.stop - soon, 0.0))
    ahead = waits | (trips.stop > along)
    calm = np.minimum(trips.cruise, site.limit[trips.route, index] * np.sqrt(shorter))
    return np.asarray(np.where(ahead, np.minimum(calm, before), calm))
