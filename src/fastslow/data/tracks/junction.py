"""Cyclists and pedestrians at made-up road junctions: the tracks that the library has without any download."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int64

from fastslow.data.checks import is_real, refuse_unless_whole
from fastslow.data.tracks.base import TrackData, joined
from fastslow.data.tracks.junction_motion import Trips, move
from fastslow.data.tracks.junction_site import Site, sample_site
from fastslow.errors import InputError, shown

#: Seconds that the shortest and the longest track last.
SHORTEST, LONGEST = 6.0, 20.0

_MAX_RATE = 100.0  # Hz
_STEPS = 25  # a second, at the least, in which motion is worked out
_CHUNK = 512  # tracks worked out at once, so that any number of them takes little memory
_NUM_UNIFORM, _NUM_NORMAL = 14, 3
_EARLIEST = 12.0  # seconds after which a track may end though its route goes on
_ENTRY = 5.0  # metres at the beginning of a route, somewhere on which a track begins
_STANDING = 0.12  # share of tracks that begin with somebody who stands


class _Manner(NamedTuple):
    """How people of one kind move.

    Attributes:
        speed: mean, deviation, least and most of the speeds they like best, m/s.
        rise: least and most acceleration, m/s^2.
        aside: deviation of how far to the left of the route somebody keeps, metres.
        wander: how far they sway from there, metres.
        wave: shortest length of a sway, metres; the longest is twice that.
        queue: deviation of how far before the stopping place they stand, metres.
    """

    speed: tuple[float, float, float, float]
    rise: tuple[float, float]
    aside: float
    wander: float
    wave: float
    queue: float


_MANNERS = {
    "cyclist": _Manner((4.4, 0.7, 3.0, 6.0), (0.7, 1.3), 0.22, 0.12, 14.0, 1.2),
    "pedestrian": _Manner((1.35, 0.2, 0.8, 1.8), (0.5, 1.0), 0.40, 0.08, 4.0, 0.3),
}


class _Draws(NamedTuple):
    """What is random about some tracks: when they begin, numbers for each, and the source of the noise."""

    begins: Float64[np.ndarray, " tracks"]
    uniform: Float64[np.ndarray, "tracks numbers"]
    normal: Float64[np.ndarray, "tracks fewer"]
    noises: np.random.Generator


def make_junction(
    *,
    sites: int = 1,
    tracks_per_site: int = 300,
    kinds: Sequence[str] = ("cyclist", "pedestrian"),
    seed: int,
    rate: float | int = 25.0,
) -> TrackData:
    """Makes up tracks of people who cross road junctions.

    A site is a random junction of 3 or 4 arms, with lights or with a right of way: lanes of cyclists who turn or ride
    straight on, pavements, zebra crossings, and places before which people slow down and wait. All tracks of a site
    share these, so that place tells where a track goes, and whether it stops. People do not see each other.

    Site k depends on (seed, k) only, and its track j on (seed, k, j), `kinds` and `rate` only: asking for more sites or
    more tracks leaves those that were there as they were. The global random state is neither used nor changed.
    Positions are whole millimetres, so that what machines differ in, the last bits of a sine, does not show.

    Args:
        sites: how many junctions, at least 1; recordings "junction-0", "junction-1", ...
        tracks_per_site: how many tracks at each, at least 1, named "junction-0/cyclist-17" by kind and number.
        kinds: of "cyclist" and "pedestrian", one or both, in whatever order, equally frequent.
        seed: not negative; another seed gives other sites.
        rate: samples a second, from 1 to 100 Hz.

    Returns:
        Site by site, in the order in which tracks begin on the site's clock; they last from 6 to 20 seconds. Positions
        are measured with a noise of 1 to 2 cm.

    Raises:
        InputError: if an argument is of the wrong kind or out of its range.
    """
    sites, seed = refuse_unless_whole("sites", sites, 1), refuse_unless_whole("seed", seed, 0)
    tracks_per_site = refuse_unless_whole("tracks_per_site", tracks_per_site, 1)
    chosen = tuple(kind for kind in _MANNERS if isinstance(kinds, list | tuple) and kind in kinds)
    if not chosen or len(chosen) != len(kinds):
        raise InputError(f"got kinds={shown(kinds)}; give one or both of {', '.join(_MANNERS)}, each once, in a tuple")
    if not is_real(rate) or not 1 <= rate <= _MAX_RATE:
        raise InputError(f"got rate={shown(rate)}; give samples a second, from 1 to {_MAX_RATE:g} Hz")
    return joined([_site_tracks((seed, number), tracks_per_site, chosen, float(rate)) for number in range(sites)])


def site_of(seed: int, number: int) -> Site:
    """The site "junction-NUMBER" of a seed of `make_junction`: its routes, and where people wait on them."""
    return sample_site(np.random.default_rng((seed, number, 0)))


def _site_tracks(seed: tuple[int, int], count: int, kinds: tuple[str, ...], rate: float) -> TrackData:
    """The tracks of one site."""
    gaps, choices, habits, noises = (np.random.default_rng((*seed, part)) for part in range(1, 5))
    site, begin = site_of(*seed), 0.0
    parts = []
    for first in range(0, count, _CHUNK):
        size = min(_CHUNK, count - first)
        begins = np.cumsum([begin, *gaps.exponential(site.gap, size)])[1:]
        begin = float(begins[-1])
        numbers = choices.random((size, _NUM_UNIFORM)), habits.standard_normal((size, _NUM_NORMAL))
        draws = _Draws(begins, *numbers, noises)
        parts.append(_some_tracks(site, draws, kinds, rate, f"junction-{seed[1]}", first))
    return joined(parts)


def _some_tracks(
    site: Site, draws: _Draws, kinds: tuple[str, ...], rate: float, recording: str, first: int
) -> TrackData:
    """Tracks of one site as a table, numbered from `first`."""
    finer = math.ceil(_STEPS / rate)
    frames = np.round(draws.begins * rate).astype(np.int64)
    people = [kinds[number] for number in (draws.uniform[:, 0] * len(kinds)).astype(np.int64).tolist()]
    trips = _trips(site, people, draws, frames / rate)
    most = math.floor(LONGEST * rate)
    along = move(site, trips, most * finer, 1 / (rate * finer))[:, ::finer]
    until = (draws.uniform[:, 1] * (LONGEST - _EARLIEST) + _EARLIEST) * rate
    inside = (along <= site.length[trips.route][:, None]) & (np.arange(most + 1) <= until[:, None])
    inside[:, : math.ceil(SHORTEST * rate) + 1] = True
    aside = trips.aside[:, None] + _sway(people, draws.uniform, along)
    places = site.place(np.broadcast_to(trips.route[:, None], along.shape), along, aside)
    noise = draws.noises.standard_normal((*along.shape, 2)) * (0.01 + 0.01 * draws.uniform[:, 2, None, None])
    positions = np.stack([places.real, places.imag], 2) + noise
    track, moment = np.nonzero(inside)
    return TrackData(
        np.round(positions[inside], 3), (frames[track] + moment) / rate, track,
        names=tuple(f"{recording}/{kind}-{number}" for number, kind in enumerate(people, first)),
        kinds=tuple(people), recordings=(recording,) * len(people), rates=(rate,) * len(people),
    )  # fmt: skip


def _trips(site: Site, people: Sequence[str], draws: _Draws, begin: Float64[np.ndarray, " tracks"]) -> Trips:
    """What each sets out to do; `people` are of which kind."""
    manners = [_MANNERS[kind] for kind in people]
    _, _, _, which, where, still, stops, wait, rise, react, *_ = draws.uniform.T
    mean, deviation, slowest, fastest = np.array([manner.speed for manner in manners]).T
    least, most = np.array([manner.rise for manner in manners]).T
    queue, aside = np.array([(manner.queue, manner.aside) for manner in manners]).T
    route = _routes(site, people, which)
    cruise = np.clip(mean + deviation * draws.normal[:, 0], slowest, fastest)
    place = site.stop[route]
    stop = np.where(place >= 0, place - queue * np.abs(draws.normal[:, 1]), -1.0)
    stands = still < _STANDING
    return Trips(
        route=route,
        begin=begin,
        along=np.where(stands & (place >= 0), stop, _ENTRY * where),
        aside=aside * np.clip(draws.normal[:, 2], -2.0, 2.0),
        speed=np.where(stands, 0.0, cruise),
        cruise=cruise,
        rise=least + (most - least) * rise,
        stop=stop,
        passing=cruise * site.passing[route],
        wait=np.where(stops < site.stopping[route], 1.5 + 5.0 * wait**2, 0.0),
        react=0.3 + 0.7 * react,
    )


def _routes(site: Site, people: Sequence[str], which: Float64[np.ndarray, " tracks"]) -> Int64[np.ndarray, " tracks"]:
    """The route of each: one of its kind, by a number from 0 to 1."""
    route = np.zeros(len(people), np.int64)
    for kind in _MANNERS:
        own = np.flatnonzero([its == kind for its in site.kinds])
        edges = np.cumsum(site.share[own])[:-1]
        tracks = np.flatnonzero([its == kind for its in people])
        route[tracks] = own[np.searchsorted(edges, which[tracks], "right")]
    return route


def _sway(
    people: Sequence[str],
    uniform: Float64[np.ndarray, "tracks numbers"],
    along: Float64[np.ndarray, "tracks moments"],
) -> Float64[np.ndarray, "tracks moments"]:
    """How far each is to the left of where it keeps, metres: two waves along the route."""
    wander, wave = np.array([(_MANNERS[kind].wander, _MANNERS[kind].wave) for kind in people]).T
    turns = along[..., None] / (wave[:, None] * (1 + uniform[:, -4:-2]))[:, None] + uniform[:, None, -2:]
    return np.asarray(wander[:, None] * np.sin(2 * np.pi * turns).mean(2))
