import dataclasses

import numpy as np
import pytest

from fastslow.data.tracks.base import TrackData
from fastslow.data.tracks.junction import LONGEST, SHORTEST, make_junction, site_of
from fastslow.errors import InputError

SEED, SITES, EACH, RATE = 5, 6, 200, 25.0
BOUNDS = {"cyclist": (2.6, 6.3), "pedestrian": (0.7, 2.0)}  # m/s: of the quickest second of a track


@pytest.fixture(scope="module")
def tracks() -> TrackData:
    return make_junction(sites=SITES, tracks_per_site=EACH, seed=SEED)


def same(first: TrackData, second: TrackData) -> bool:
    parts = ((getattr(first, field.name), getattr(second, field.name)) for field in dataclasses.fields(TrackData))
    return all(np.array_equal(one, other) if isinstance(one, np.ndarray) else one == other for one, other in parts)


def motion(tracks: TrackData, number: int, width: int = 19):
    """Positions, velocities and accelerations of a track, smoothed over about 0.4 s."""
    rows = slice(*tracks.starts[number : number + 2])
    kernel = np.bartlett(width + 2)[1:-1] / np.bartlett(width + 2).sum()
    smooth = np.stack([np.convolve(axis, kernel, "valid") for axis in tracks.positions[rows].T], 1)
    velocity = np.diff(smooth, axis=0) * RATE
    return smooth[:-1], velocity, (velocity[10:] - velocity[:-10]) * RATE / 10


def waiting_places(number: int) -> np.ndarray:
    site = site_of(SEED, number)
    routes = np.flatnonzero(site.stop >= 0)
    places = site.place(routes, site.stop[routes], np.zeros(len(routes)))
    return np.stack([places.real, places.imag], 1)


def test_names_kinds_and_recordings(tracks):
    assert tracks.num_tracks == SITES * EACH
    assert tracks.recordings == tuple(f"junction-{k}" for k in range(SITES) for _ in range(EACH))
    assert tracks.names[0] == f"junction-0/{tracks.kinds[0]}-0"
    assert tracks.names[-1] == f"junction-{SITES - 1}/{tracks.kinds[-1]}-{EACH - 1}"
    for site in range(SITES):
        assert 0.3 < np.mean([kind == "cyclist" for kind in tracks.kinds[site * EACH : (site + 1) * EACH]]) < 0.7
    assert tracks.rates == (RATE,) * tracks.num_tracks


def test_same_seed_same_tracks_and_other_seed_others(tracks):
    assert same(make_junction(sites=SITES, tracks_per_site=EACH, seed=SEED), tracks)
    other = make_junction(tracks_per_site=EACH, seed=SEED + 1)
    assert not np.array_equal(other.positions[:99], tracks.positions[:99])


def test_a_track_does_not_depend_on_how_many_are_asked_for(tracks):
    few = make_junction(sites=2, tracks_per_site=7, seed=SEED)
    assert same(few, tracks.select([*range(7), *range(EACH, EACH + 7)]))
    many = make_junction(tracks_per_site=600, seed=SEED)  # more than are worked out at once
    assert same(many.select(range(EACH)), tracks.select(range(EACH)))


def test_kinds_may_be_one_and_stand_in_any_order(tracks):
    assert set(make_junction(tracks_per_site=5, kinds=["pedestrian"], seed=0).kinds) == {"pedestrian"}
    turned = make_junction(sites=SITES, tracks_per_site=EACH, kinds=("pedestrian", "cyclist"), seed=SEED)
    assert same(turned, tracks)


def test_global_random_state_is_neither_used_nor_changed():
    np.random.seed(1)  # noqa: NPY002
    state = np.random.get_state()[1].tolist()  # noqa: NPY002
    first = make_junction(tracks_per_site=5, seed=0)
    assert np.random.get_state()[1].tolist() == state  # noqa: NPY002
    np.random.seed(2)  # noqa: NPY002
    assert same(first, make_junction(tracks_per_site=5, seed=0))


def test_sites_differ():
    sites = [site_of(SEED, number) for number in range(12)]
    assert {len(site.kinds) for site in sites} == {36, 52}, "3 and 4 arms"
    assert {bool(site.lit.any()) for site in sites} == {True, False}
    assert len({round(float(site.length[0]), 3) for site in sites}) > 6


@pytest.mark.parametrize("rate", [1, 10.0, 12.5, 29.97, 60.0])
def test_times_are_frames_of_the_clock_of_the_site(rate):
    tracks = make_junction(tracks_per_site=40, seed=SEED, rate=rate)
    frames = tracks.times * rate
    assert np.allclose(frames, np.round(frames), atol=1e-6)
    assert (np.diff(np.round(frames))[np.diff(tracks.track) == 0] == 1).all()
    begins, ends = tracks.times[tracks.starts[:-1]], tracks.times[tracks.starts[1:] - 1]
    assert (np.diff(begins) >= 0).all()
    assert (ends - begins).min() >= SHORTEST - 1e-9
    assert (ends - begins).max() <= LONGEST + 1e-9
    assert set(tracks.rates) == {float(rate)}


def test_motion_hardly_depends_on_the_rate(tracks):
    slow = make_junction(tracks_per_site=EACH, seed=SEED, rate=5.0)
    gaps = []
    for number in range(EACH):
        fine, coarse = (part.positions[slice(*part.starts[number : number + 2])] for part in (tracks, slow))
        count = min(len(fine[::5]), len(coarse))
        gaps.append(np.linalg.norm(fine[::5][:count] - coarse[:count], axis=1).mean())
    assert np.median(gaps) < 0.5, "metres: another frame to begin with, and another noise"


def test_beginnings_are_as_irregular_as_those_of_chance(tracks):
    gaps = np.diff(tracks.times[tracks.starts[: EACH + 1]])[: EACH - 1]
    assert 0.8 < gaps.std() / gaps.mean() < 1.2


def test_speeds_and_accelerations_are_those_of_people(tracks):
    for kind, (least, most) in BOUNDS.items():
        numbers = [number for number, its in enumerate(tracks.kinds) if its == kind]
        _, velocities, accelerations = zip(*(motion(tracks, number) for number in numbers), strict=True)
        speeds = [np.linalg.norm(velocity, axis=1) for velocity in velocities]
        quickest = np.array([np.quantile(speed, 0.95) for speed in speeds])
        assert least < np.quantile(quickest, 0.05)
        assert max(speed.max() for speed in speeds) < most
        size = np.linalg.norm(np.concatenate(accelerations), axis=1)
        assert np.quantile(size, 0.99) < 1.8, "m/s^2"
        assert size.max() < 3.0
        stopped = np.array([(speed < 0.3).mean() > 0.05 for speed in speeds])
        assert 0.2 < stopped.mean() < 0.6, "some wait, others do not"


def test_noise_is_of_one_to_two_centimetres(tracks):
    within = np.diff(tracks.track, n=3) == 0
    same_track = within & (tracks.track[3:] == tracks.track[:-3])
    noise = np.diff(tracks.positions, n=3, axis=0)[same_track] / np.sqrt(20)
    assert 0.01 < noise.std() < 0.02
    assert np.array_equal(np.round(tracks.positions, 3), tracks.positions), "whole millimetres"


def test_people_stand_where_the_site_has_them_wait(tracks):
    near, standing = [], []
    stops_of = [waiting_places(site) for site in range(SITES)]
    for number in range(tracks.num_tracks):
        places, velocity, _ = motion(tracks, number)
        stops = stops_of[number // EACH]
        near.append(np.linalg.norm(places[::10, None] - stops, axis=2).min(1) < 3.0)
        standing.append(np.linalg.norm(velocity[::10], axis=1) < 0.3)
    near, standing = np.concatenate(near), np.concatenate(standing)
    assert standing[near].mean() > 0.2
    assert standing[near].mean() > 10 * standing[~near].mean()


def moments(tracks: TrackData, numbers, seconds: float = 2.0):
    """Place, velocity and the displacement that follows, every 0.8 s of some tracks."""
    ahead, back = int(seconds * RATE), 12
    found = []
    for number in numbers:
        places = tracks.positions[slice(*tracks.starts[number : number + 2])]
        at = np.arange(back, len(places) - ahead, 20)
        found.append((places[at], (places[at] - places[at - back]) * RATE / back, places[at + ahead] - places[at]))
    return [np.concatenate(part) for part in zip(*found, strict=True)]


def how_and_where(place, velocity, width):
    """Place, heading and speed as one point, so that 1 is near: `width` is metres and, times 0.4, metres a second."""
    speed = np.linalg.norm(velocity, axis=1, keepdims=True)
    return np.hstack([place / width, velocity / np.maximum(speed, 0.3) / 0.4, speed / (0.4 * width)])


def told_by_place(place, velocity, earlier, width):
    """The mean displacement of earlier tracks nearby with like heading and speed; constant velocity where is none."""
    one, other = how_and_where(place, velocity, width), how_and_where(*earlier[:2], width)
    apart = np.square(one).sum(1)[:, None] + np.square(other).sum(1) - 2 * one @ other.T
    weight, null = np.exp(-apart / 2), 0.3
    return (weight @ earlier[2] + null * 2.0 * velocity) / (weight.sum(1, keepdims=True) + null)


@pytest.mark.parametrize(("kind", "share", "width"), [("cyclist", 0.7, 1.2), ("pedestrian", 0.85, 0.5)])
def test_place_tells_where_people_go_and_that_of_another_site_does_not(kind, share, width):
    tracks = make_junction(sites=4, tracks_per_site=EACH, kinds=(kind,), seed=SEED)
    own, other, constant = [], [], []
    for site in range(4):
        first = site * EACH
        place, velocity, true = moments(tracks, range(first + EACH * 3 // 4, first + EACH))
        earlier = moments(tracks, range(first, first + EACH * 3 // 4))
        away = (site + 1) % 4 * EACH
        foreign = moments(tracks, range(away, away + EACH * 3 // 4))
        foreign[0] = foreign[0] - foreign[0].mean(0) + earlier[0].mean(0)  # one site laid on the other
        for errors, guess in (
            (constant, 2.0 * velocity),
            (own, told_by_place(place, velocity, earlier, width)),
            (other, told_by_place(place, velocity, foreign, width)),
        ):
            errors.append(np.linalg.norm(guess - true, axis=1).mean())
    assert np.mean(own) < share * np.mean(constant)
    assert np.mean(other) > np.mean(constant)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("sites", 0, "sites is 0; give a whole number of at least 1"),
        ("tracks_per_site", -1, "tracks_per_site is -1; give a whole number of at least 1"),
        ("tracks_per_site", True, "tracks_per_site is True; give a whole number of at least 1"),
        ("seed", -1, "seed is -1; give a whole number of at least 0"),
        ("kinds", (), r"got kinds=\(\); give one or both of cyclist, pedestrian"),
        ("kinds", ("car",), r"got kinds=\('car',\); give one or both of cyclist, pedestrian"),
        ("kinds", ("cyclist", "cyclist"), "each once, in a tuple"),
        ("kinds", "cyclist", "got kinds='cyclist'; give one or both"),
        ("rate", 0.0, "got rate=0.0; give samples a second, from 1 to 100 Hz"),
        ("rate", 1000, "got rate=1000; give samples a second"),
        ("rate", float("nan"), "got rate=nan; give samples a second"),
        ("rate", True, "got rate=True; give samples a second"),
    ],
)
def test_refuses_bad_arguments(name, value, message):
    arguments = {"tracks_per_site": 2, "seed": 0, name: value}
    with pytest.raises(InputError, match=message):
        make_junction(**arguments)
