"""`FastSlowForecaster`: forecasts at once, better ones where it has seen others go, and all within bounds."""

from __future__ import annotations

import dataclasses
import doctest
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import fastslow.estimators.forecaster
from fastslow import FastSlowForecaster
from fastslow.core.motion import samples_needed
from fastslow.core.motion_frames import AlignedFrame
from fastslow.core.motion_network import Layer, MotionNetwork
from fastslow.data.tracks.base import TrackData
from fastslow.data.tracks.junction import make_junction
from fastslow.data.tracks.resample import windows_of
from fastslow.errors import InputError
from fastslow.tensors import load_tensors, save_tensors
from track_sample import straight, turning

RATE = 10.0


def shown(forecaster, tracks, upto=None):
    """Feeds tracks sample by sample, each to the end or up to a sample."""
    starts = tracks.starts.tolist()
    for number in range(tracks.num_tracks):
        for row in range(starts[number], starts[number + 1] if upto is None else starts[number] + upto):
            forecaster.update(tracks.names[number], tracks.times[row], *tracks.positions[row])
    return forecaster


def error(forecaster, tracks, upto=25):
    """Mean distance at the horizon, of forecasts made at one sample of each track."""
    fresh = shown(forecaster, tracks, upto)
    ends = tracks.positions[tracks.starts[:-1] + upto - 1 + forecaster.steps]
    return float(
        np.mean(
            [np.hypot(*(fresh.predict(name).positions[-1] - end)) for name, end in zip(tracks.names, ends, strict=True)]
        )
    )


def test_the_examples_in_the_documentation_work():
    assert doctest.testmod(fastslow.estimators.forecaster).failed == 0


@pytest.mark.parametrize("slopes", [True, False])
def test_where_others_have_turned_the_next_one_is_expected_to_turn_and_nowhere_else(slopes):
    plain, learned = (FastSlowForecaster(rate=RATE, slopes=slopes, line=False) for _ in range(2))
    learned.fit(turning())
    others = turning(seed=1)
    assert error(learned, others) < 0.4 * error(plain, others)
    somewhere = straight(60, rate=RATE)
    far = TrackData(**{**vars(somewhere), "positions": somewhere.positions + 500.0})
    plain.rule_.damping = learned.rule_.damping
    assert error(learned, far) == pytest.approx(error(plain, far), abs=1e-3)


def test_with_a_line_what_is_the_same_everywhere_is_expected_of_who_is_far():
    plain, learned = FastSlowForecaster(rate=RATE), FastSlowForecaster(rate=RATE).fit(turning())
    somewhere = straight(60, rate=RATE)
    far = TrackData(**{**vars(somewhere), "positions": somewhere.positions + 500.0})
    plain.rule_.damping = learned.rule_.damping
    assert error(learned, far) < 1.5 * error(plain, far)  # all that it has seen of other places has turned


def test_a_stream_teaches_what_whole_tracks_teach():
    tracks = turning(5)
    stream, whole = shown(FastSlowForecaster(rate=RATE), tracks), FastSlowForecaster(rate=RATE).partial_fit(tracks)
    assert stream.rule_.memory.num_written == whole.rule_.memory.num_written > 0
    for name, part in stream.rule_.memory.arrays().items():
        assert np.allclose(part, whole.rule_.memory.arrays()[name])


@pytest.mark.parametrize("missing", [0.02, 0.1, 0.3])
def test_whole_tracks_teach_what_a_stream_does_where_frames_are_missing(missing):
    whole = turning(10, length=100, rate=25.0)
    seen = np.random.default_rng(0).random(len(whole.times)) >= missing
    some = dataclasses.replace(whole, positions=whole.positions[seen], times=whole.times[seen], track=whole.track[seen])
    at_once, stream = FastSlowForecaster(horizon=1.0).partial_fit(some), FastSlowForecaster(horizon=1.0)
    for number, t, (x, y) in zip(some.track.tolist(), some.times, some.positions, strict=True):
        stream.update(number, t, x, y)
    assert at_once.rule_.memory.num_written == stream.rule_.memory.num_written > 10
    assert FastSlowForecaster(horizon=1.0).fit(some).rule_.memory.num_written == stream.rule_.memory.num_written
    assert not FastSlowForecaster(horizon=1.0, max_gap=0.01).partial_fit(some).rule_.memory.num_written > 200


def test_many_moments_are_learned_a_block_at_a_time(monkeypatch):
    whole = FastSlowForecaster(rate=RATE).fit(turning(9)).partial_fit(turning(5, seed=1))
    monkeypatch.setattr("fastslow.data.tracks.resample._MOMENTS", 7)
    blocks = FastSlowForecaster(rate=RATE).fit(turning(9)).partial_fit(turning(5, seed=1))
    assert blocks.rule_.damping == whole.rule_.damping
    for name, part in blocks.rule_.memory.arrays().items():
        assert np.allclose(part, whole.rule_.memory.arrays()[name])


def test_updates_at_another_rate_are_interpolated_and_gaps_begin_a_history_anew():
    forecaster = FastSlowForecaster(rate=RATE, horizon=1.0)
    for step in range(40):
        forecaster.update("a", 0.07 * step, 0.07 * step, 0.0)
    forecast = forecaster.predict("a")
    assert forecast.times[0] == pytest.approx(2.8, abs=1e-6)
    assert np.allclose(forecast.positions[:, 0], forecast.times)
    forecaster.update("a", 4.0, 4.0, 0.0)
    with pytest.raises(InputError, match=r"track 'a' has 1 samples at 10 Hz; a forecast needs"):
        forecaster.predict("a")


@pytest.mark.parametrize("place", [5.5e6, 1e9 - 100.0])
def test_answers_are_those_near_zero_however_far_away_coordinates_begin(tmp_path, place):
    """Coordinates such as UTM's: their squares leave nothing of the metre that tells one place from the next."""
    tracks, others = turning(), turning(8, seed=1)
    answers = []
    for origin in (0.0, place):
        moved, then = (
            TrackData(**{**vars(data), "positions": data.positions + origin}) for data in (tracks, others)
        )  # fmt: skip
        forecaster = FastSlowForecaster(rate=RATE, max_slots=32).fit(moved)
        forecaster.save(tmp_path / "f.safetensors")
        forecaster = shown(FastSlowForecaster.load(tmp_path / "f.safetensors"), then, 25)
        forecasts = [*forecaster.predict_all().values(), *(forecaster.predict(name) for name in then.names)]
        answers.append([(f.positions - origin, f.spread, f.evidence, f.plain - origin) for f in forecasts])
        assert min(f.evidence for f in forecasts) > 0.5
    for near, far in zip(*answers, strict=True):
        for one, other in zip(near, far, strict=True):
            assert np.allclose(one, other, rtol=1e-4, atol=2e-5)


def test_the_spread_tells_how_far_off_forecasts_are():
    learned, others = FastSlowForecaster(rate=RATE).fit(turning(100)), turning(60, seed=1)
    shown(learned, others, 25)
    ends = others.positions[others.starts[:-1] + 24 + learned.steps]
    forecasts = [learned.predict(name) for name in others.names]
    off = np.sqrt(np.mean([np.sum((f.positions[-1] - end) ** 2) for f, end in zip(forecasts, ends, strict=True)]))
    told = np.sqrt(np.mean([f.spread[-1] ** 2 for f in forecasts]))
    assert 0.5 < told / off < 2.0
    assert all(f.spread[-1] > f.spread[0] >= 0 for f in forecasts)
    assert min(f.evidence for f in forecasts) > 0.5


def test_all_at_once_is_each_by_itself():
    learned = shown(FastSlowForecaster(rate=RATE).fit(turning()), turning(4, seed=2), 25)
    learned.update("new", 0.0, 0.0, 0.0)
    together = learned.predict_all()
    assert list(together) == ["p0", "p1", "p2", "p3"]
    for name, forecast in together.items():
        assert all(np.allclose(a, b) for a, b in zip(forecast, learned.predict(name), strict=True))
    assert FastSlowForecaster().predict_all() == {}


def test_memory_stays_within_its_bounds_and_tracks_without_news_are_forgotten():
    forecaster = FastSlowForecaster(rate=RATE, horizon=0.5, max_slots=16, drop_after=2.0)
    for number in range(300):
        for step in range(samples_needed(RATE) + 6):
            forecaster.update(number, number + step / RATE, 0.1 * step + number, 0.0)
    assert forecaster.rule_.memory.size == 16
    assert len(forecaster._live) < 5
    with pytest.raises(InputError, match="nothing has been heard of it, or not for 2 s"):
        forecaster.predict(0)
    long = FastSlowForecaster(rate=RATE, horizon=0.5)
    for step in range(2000):
        long.update("a", step / RATE, 0.1 * step, 0.0)
    assert len(long._live._tracks["a"].samples) < 200


def test_what_was_saved_forecasts_alike(tmp_path):
    learned = FastSlowForecaster(rate=RATE, horizon=1.5, max_gap=0.3).fit(turning())
    learned.save(tmp_path / "f.safetensors")
    again = FastSlowForecaster.load(tmp_path / "f.safetensors")
    assert (again.rate, again.horizon, again.max_gap, again.rule_.damping) == (RATE, 1.5, 0.3, learned.rule_.damping)
    others = turning(5, seed=3)
    assert error(again, others) == error(learned, others)
    with pytest.raises(InputError, match=r"ends in \.safetensors"):
        learned.save(tmp_path / "f.pt")


@pytest.mark.parametrize(
    ("number", "of_slots", "known"),
    [(2, {"slopes": False}, ()), (3, {"slopes": False}, ("slopes",))],
)
def test_files_of_formats_of_before_are_read_and_answer_as_they_did(tmp_path, number, of_slots, known):
    path, others = tmp_path / "f.safetensors", turning(5, seed=3)
    learned = FastSlowForecaster(rate=RATE, max_slots=16, **of_slots).fit(turning())
    learned.save(path)
    tensors, header = load_tensors(path, 2**28)
    parameters = {k: v for k, v in header["parameters"].items() if k in known or k not in ("slopes", "line")}
    old = {k: v for k, v in header.items() if not k.startswith("sha")} | {"format": number, "parameters": parameters}
    save_tensors(path, tensors, old)
    again = FastSlowForecaster.load(path)
    assert (again.slopes, again.line) == (learned.slopes, learned.line)
    assert error(again, others) == error(learned, others)
    for other in {2, 3, 4} - {number}:
        save_tensors(path, tensors, old | {"format": other})
        with pytest.raises(InputError, match=r"f\.safetensors holds a forecaster that cannot be read"):
            FastSlowForecaster.load(path)


def test_a_file_of_the_format_whose_lines_were_others_is_refused(tmp_path):
    path = tmp_path / "f.safetensors"
    FastSlowForecaster(rate=RATE).save(path)
    tensors, header = load_tensors(path, 2**28)
    parameters = {name: value for name, value in header["parameters"].items() if name != "line"}
    save_tensors(path, tensors, header | {"format": 3, "parameters": parameters})
    with pytest.raises(InputError, match=r"f\.safetensors .*of format 3 none is read that has slopes; teach it anew"):
        FastSlowForecaster.load(path)


def test_kinds_of_slots_that_there_are_not_are_refused():
    for name in ("slopes", "line"):
        with pytest.raises(InputError, match=f"got {name}=1; True or False was expected"):
            FastSlowForecaster(**{name: 1})
    assert not FastSlowForecaster(slopes=False).line


def test_what_pedestrians_do_alike_everywhere_is_learned_where_none_has_been():
    """A network that says nothing, and walkers who all slow down."""
    network = small_network(scale=0.0)
    of_all, of_places = (FastSlowForecaster(rate=RATE, network=network, line=line) for line in (True, False))
    tracks = slowing(300)
    for one in (of_all, of_places):
        one.partial_fit(tracks)
    far = slowing(30, seed=1)
    far = TrackData(**{**vars(far), "positions": far.positions + 500.0})
    assert error(of_all, far) < 0.7 * error(of_places, far)


def slowing(count, seed=0):
    """Walkers all over a square, at some speed, a tenth of which they lose each second from the first on."""
    random = np.random.default_rng(seed)
    times = np.arange(50) / RATE
    angle, speed = random.uniform(0, 2 * np.pi, count), random.uniform(0.8, 2.0, count)
    along = (speed[:, None] * (times - 0.05 * times**2))[..., None] * np.stack([np.cos(angle), np.sin(angle)], 1)[
        :, None
    ]
    positions = random.uniform(-20, 20, (count, 1, 2)) + along
    names = tuple(f"s{k}" for k in range(count))
    return TrackData(
        positions.reshape(-1, 2), np.tile(times, count), np.repeat(np.arange(count), 50), names,
        ("pedestrian",) * count, ("r",) * count, (RATE,) * count, {},
    )  # fmt: skip


@pytest.mark.no_cover  # lines that others run
@settings(deadline=None, max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_damaged_file_is_refused_by_name(tmp_path, data):
    path = tmp_path / "f.safetensors"
    FastSlowForecaster(rate=RATE, max_slots=4).fit(turning(3)).save(path)
    content = bytearray(path.read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(bytes(content))
    with pytest.raises(InputError, match=r"f\.safetensors"):
        FastSlowForecaster.load(path)


@pytest.mark.parametrize(
    "change",
    [
        {"damping": 2.0}, {"damping": True}, {"num_written": 0}, {"num_written": "x"}, {"widths": [1, 2]},
        {"parameters": {"rate": -1}}, {"parameters": {"unknown": 1}}, {"kind": "x"}, {"format": 1}, {"parameters": {}},
        {"parameters": []}, {"num_written": 1}, {"num_written": -1}, {"num_written": 10**400}, {"widths": {}},
    ],
)  # fmt: skip
def test_a_header_that_is_none_is_refused_by_name(tmp_path, change):
    path = tmp_path / "f.safetensors"
    FastSlowForecaster(rate=RATE, max_slots=4).fit(turning(3)).save(path)
    tensors, header = load_tensors(path, 2**28)
    save_tensors(path, tensors, {k: v for k, v in header.items() if not k.startswith("sha")} | change)
    with pytest.raises(InputError, match=r"f\.safetensors holds"):
        FastSlowForecaster.load(path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rate": 0}, "got rate=0; a positive number was expected"), ({"horizon": float("nan")}, "got horizon=nan"),
        ({"horizon": 0.01}, "that is not one step"), ({"widths": (1, 1, 0, 1)}, r"got widths\.speed=0; a pos"),
        ({"max_slots": 1}, "whole number of at least 2"), ({"max_slots": 10**7}, "at most 4096"),
        ({"max_slots": "9"}, "max_slots is '9'"), ({"empty": "9"}, "got empty='9'"),
        ({"widths": 5}, "got widths=5"), ({"learn_every": True}, "got learn_every=True"),
        ({"horizon": 1e200, "rate": 1e200}, "or too many"), ({"learn_every": 1e308}, "or too many"),
        ({"rate": 10**400}, "got rate=1000.*; a positive number was expected"), ({"empty": 10**400}, "got empty=1000"),
        ({"widths": "abcd"}, "got widths='abcd'"), ({"widths": ("a", 1, 1, 1)}, r"got widths\.place='a'"),
        ({"widths": (1, 1, 1, 10**400)}, r"got widths\.change=10"), ({"widths": (1e-300, 1, 1, 1)}, "at least 1e-09"),
        ({"rate": 1e6, "horizon": 1e-3}, "at most 10000 samples a second"), ({"max_gap": 3e7}, "give .* a shorter gap"),
        ({"max_slots": 4096, "horizon": 400.0}, "at most 4194304 steps in all slots were expected: give fewer slots"),
    ],
)  # fmt: skip
def test_options_that_make_no_sense_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        FastSlowForecaster(**options)


def test_what_cannot_be_learned_or_asked_is_refused_in_words():
    forecaster = FastSlowForecaster(rate=RATE)
    with pytest.raises(InputError, match=r"got 1 tracks, none of 3\.1 s without a gap"):
        forecaster.fit(straight(20, rate=RATE))
    forecaster.update("a", 0.0, 0.0, 0.0)
    for t, x, message in (
        (0.0, 1.0, "time must rise"), (1.0, float("nan"), "finite numbers were expected"),
        (1.0, 1e160, "finite numbers were expected, below"), (None, 0.0, "three numbers were expected"),
    ):  # fmt: skip
        with pytest.raises(InputError, match=message):
            forecaster.update("a", t, x, 0.0)
    shown(forecaster, straight(30, rate=RATE))
    for horizon in (0, -1.0, 2.5, True, "x", np.float32(2.5), np.float32("nan"), np.True_, 10**400, np.complex64(1)):
        with pytest.raises(InputError, match="this forecaster looks up to 2 s ahead"):
            forecaster.predict("t0", horizon)
    for horizon in (0.5, np.float32(0.5), np.float16(0.5)):
        assert len(forecaster.predict("t0", horizon).positions) == 5


@pytest.mark.usefixtures("as_users_call_it")
@pytest.mark.parametrize("track", [["a"], {}, np.zeros(2)], ids=lambda track: type(track).__name__)
def test_what_is_no_name_of_a_track_is_refused(track):
    one = FastSlowForecaster(rate=RATE)
    for ask in (one.predict, one.ready, one.end, lambda name: one.update(name, 1, 0, 0)):
        with pytest.raises(InputError, match=r"got track .* \(unhashable type: .*; a name was expected"):
            ask(track)


@pytest.mark.usefixtures("as_users_call_it")
@pytest.mark.parametrize(
    ("given", "words"),
    [
        (np.zeros((3, 2)), r"ndarray of shape \(3, 2\)"), (torch.zeros(4, 2), r"Tensor of shape \(4, 2\)"),
        ([[0.0, 1.0]], r"\[\[0\.0, 1\.0\]\]"), ({"a": 1}, r"\{'a': 1\}"), (Path("a.csv"), r"\w+Path\('a\.csv'\)"),
        ("a.csv", "'a.csv'"), (None, "None"), (np.ndarray, "<class 'numpy.ndarray'>"),
    ],
)  # fmt: skip
def test_what_is_no_table_of_tracks_is_refused_with_the_way_to_make_one(given, words):
    forecaster = FastSlowForecaster(rate=RATE)
    for learn in (forecaster.fit, forecaster.partial_fit):
        with pytest.raises(InputError, match=f"^got {words}; a TrackData was expected: fastslow.data.load_tracks"):
            learn(given)


@pytest.mark.usefixtures("as_users_call_it")
@pytest.mark.parametrize("path", [None, 5, b"a.safetensors", ["a.safetensors"]])
def test_what_is_no_path_is_refused(path):
    for do in (FastSlowForecaster(rate=RATE).save, FastSlowForecaster.load):
        with pytest.raises(InputError, match=r"got path=.*; the path of a file was expected"):
            do(path)


def test_numbers_of_numpy_are_taken_and_kept_as_pythons_own(tmp_path):
    forecaster = FastSlowForecaster(
        rate=np.uint8(10), horizon=np.float32(1.5), learn_every=np.float16(0.5), max_slots=np.int16(300),
        empty=np.int8(1), max_gap=np.float64(0.5), drop_after=np.longdouble(5), widths=[np.float32(0.5)] * 4,
        slopes=np.True_, line=np.False_,
    )  # fmt: skip
    forecaster.save(tmp_path / "f.safetensors")
    again = FastSlowForecaster.load(tmp_path / "f.safetensors")
    wanted = {
        "rate": 10.0, "horizon": 1.5, "learn_every": 0.5, "max_slots": 300, "empty": 1.0, "max_gap": 0.5,
        "drop_after": 5.0, "widths": (0.5,) * 4, "slopes": True, "line": False,
    }  # fmt: skip
    for name, value in wanted.items():
        for kept in (getattr(forecaster, name), getattr(again, name)):
            assert kept == value
            assert {type(part) for part in (kept if name == "widths" else [kept])} <= {float, int, bool}
    shortest = FastSlowForecaster(rate=25, horizon=0.1)
    for step in range(40):
        shortest.update("a", step / 25, 0.0, 0.0)
    assert len(shortest.predict("a", np.float32(0.1)).positions) == len(shortest.predict("a").positions) == 2


def test_answers_do_not_depend_on_torchs_default_type(tmp_path):
    torch.set_default_dtype(torch.float64)
    try:
        path = tmp_path / "f.safetensors"
        FastSlowForecaster(rate=RATE).fit(turning(3)).save(path)
        assert FastSlowForecaster.load(path).rule_.memory.num_written > 0
    finally:
        torch.set_default_dtype(torch.float32)


def test_any_track_can_be_ended():
    forecaster = FastSlowForecaster(rate=RATE)
    forecaster.update("a", 0.0, 0.0, 0.0)
    forecaster.end("a").end("nobody")
    assert len(forecaster._live) == 0
    assert not forecaster.ready("a")


def heard(forecaster, name, *times):
    for t in times:
        forecaster.update(name, t, 0.0, 0.0)


@pytest.mark.parametrize("stamp", [88.0, 1e6, -1e6, 1.7e9])
def test_one_stamp_of_another_clock_makes_nobody_be_forgotten_nor_keeps_anybody_back(stamp):
    forecaster = FastSlowForecaster(rate=RATE, drop_after=10.0)
    heard(forecaster, "a", *(100 + step / RATE for step in range(30)))
    heard(forecaster, "stray", stamp)
    assert forecaster.ready("a")
    heard(forecaster, "b", 109.0, 112.0, 112.9)
    assert forecaster.ready("a")  # 10 s after its last stamp
    heard(forecaster, "c", 113.0)
    assert forecaster.ready("a")  # a new name alone does not tell how late it is
    heard(forecaster, "b", 113.0, 113.1)
    assert not forecaster.ready("a")
    assert len(forecaster._live) == 2 + (stamp > 100)


def test_stray_stamps_now_and_then_keep_nobody_back_for_long():
    forecaster = FastSlowForecaster(rate=RATE, horizon=0.5, drop_after=2.0)
    for step in range(600):
        for number in range(10):
            heard(forecaster, (step // 30, number), step / RATE)  # others every three seconds
        if step % 10 == 0:
            heard(forecaster, f"stray {step}", 1e6 + 100 * step)
        there = [name for name in forecaster._live._tracks if isinstance(name, tuple)]
        assert len(there) <= 30
    assert len(forecaster._live) <= 30 + 60


def test_a_clock_that_begins_anew_leaves_nothing_behind_for_ever(monkeypatch):
    monkeypatch.setattr("fastslow.estimators.live_tracks._LONG_UNHEARD", 50)
    forecaster = FastSlowForecaster(rate=RATE, drop_after=10.0)
    for step in range(30):
        for name in range(20):
            heard(forecaster, name, 100 + step / RATE)
    heard(forecaster, "new", *(step / RATE for step in range(30)))
    assert len(forecaster._live) == 21
    heard(forecaster, "new", *(step / RATE for step in range(30, 70)))
    assert len(forecaster._live) == 1
    with pytest.raises(InputError, match=r"time must rise within a track: end it first if its clock began anew"):
        heard(forecaster, "new", 0.0)


@pytest.mark.parametrize("step", [1.0, -1.0, 1e4])
def test_names_heard_of_once_each_leave_nothing_behind_for_ever(monkeypatch, step):
    monkeypatch.setattr("fastslow.estimators.live_tracks._LONG_UNHEARD", 50)
    forecaster = FastSlowForecaster(rate=RATE, drop_after=10.0)
    for number in range(500):
        heard(forecaster, number, step * number)
        assert len(forecaster._live) <= 75
    assert 499 in forecaster._live._tracks


@pytest.mark.no_cover  # lines that others run
@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(-60, 60)), max_size=80))
def test_only_who_has_not_been_heard_of_for_long_is_forgotten_whatever_stamps_come(stream):
    """A track is there as long as no other one has been heard of, and again, more than `drop_after` after it."""
    forecaster, last = FastSlowForecaster(rate=RATE, drop_after=10.0), {}
    for name, t in stream:
        if t <= last.get(name, -100):
            continue
        before = last.get(name, -100)
        heard(forecaster, name, t)
        last = {other: its for other, its in last.items() if before - its <= 10.0} | {name: t}
        assert set(forecaster._live._tracks) == set(last)


def test_stamps_of_today_count_from_1970_and_two_of_a_moment_make_nothing_up():
    forecaster = FastSlowForecaster(rate=RATE, horizon=1.0)
    for step in range(30):
        forecaster.update("a", 1.7e9 + step / RATE, 0.1 * step, 0.0)
    assert forecaster.predict("a").positions[-1, 0] == pytest.approx(3.9, abs=0.02)
    close = FastSlowForecaster(rate=RATE)
    for t, x in ((0.0, 0.0), (0.1 - 1e-9, 1.0), (0.1, 1.01), (0.2, 2.0)):
        close.update("a", t, x, 0.0)
    samples = close._live._tracks["a"].last(3)
    assert samples[:, 0].tolist() == pytest.approx([0, 1, 2], abs=0.02)


def test_slow_walkers_are_told_by_their_heading_whichever_way_the_compass_points():
    """What was learned of one direction is turned with the scene."""
    found = []
    for sign in (1.0, -1.0):
        forecaster = FastSlowForecaster(rate=RATE, horizon=1.0)
        for way, name in ((0.15, "west"), (-0.15, "east")):
            for step in range(40):
                forecaster.update(name, step / RATE, sign * (way * step / RATE + (way > 0) * (step > 25)), 0.0)
        found.append(sign * forecaster.predict("west").positions[-1, 0])
    assert found[0] == pytest.approx(found[1])


# With a network in the place of constant velocity


def small_network(scale=0.05, samples=15, steps=20, seed=0):
    random = np.random.default_rng(seed)
    shown = 2 * AlignedFrame(RATE).num_shown(samples)
    layers = [Layer(scale * random.normal(size=(shown, 2 * steps)), scale * random.normal(size=2 * steps))]
    return MotionNetwork(layers, rate=RATE, samples=samples)


def test_a_network_forecasts_in_the_place_of_constant_velocity_and_its_errors_are_learned():
    network = small_network()
    plain = FastSlowForecaster(rate=RATE, network=network)
    learned = FastSlowForecaster(rate=RATE, network=network).partial_fit(turning())
    others = turning(seed=1)
    assert error(learned, others) < 0.4 * error(plain, others)
    past = others.positions[others.starts[0] : others.starts[0] + 25]
    np.testing.assert_allclose(plain.predict("p0").positions, network.forecast(past[None])[0], atol=1e-9)
    np.testing.assert_allclose(plain.predict("p0").plain, plain.predict("p0").positions)


def test_a_shorter_horizon_than_the_networks_is_the_beginning_of_its_forecast():
    network, others = small_network(), turning(seed=1)
    short = shown(FastSlowForecaster(rate=RATE, horizon=0.5, network=network), others, 16)
    whole = shown(FastSlowForecaster(rate=RATE, network=network), others, 16)
    np.testing.assert_array_equal(short.predict("p0").positions, whole.predict("p0").positions[:5])


def test_a_stream_teaches_a_forecaster_with_a_network_what_whole_tracks_teach():
    tracks, network = turning(5), small_network()
    stream = shown(FastSlowForecaster(rate=RATE, network=network), tracks)
    whole = FastSlowForecaster(rate=RATE, network=network).partial_fit(tracks)
    for name, part in stream.rule_.memory.arrays().items():
        np.testing.assert_allclose(part, whole.rule_.memory.arrays()[name], atol=1e-9)


@pytest.mark.parametrize("options", [{"rate": 12.5}, {"rate": RATE, "horizon": 2.5}, {"network": "junction"}])
def test_a_network_that_does_not_fit_is_refused(options):
    with pytest.raises(InputError, match=r"got a network for 20 steps at 10 Hz|a MotionNetwork was expected"):
        FastSlowForecaster(**{"rate": RATE, "network": small_network(), **options})


def test_a_forecaster_with_a_network_is_saved_with_it(tmp_path):
    learned = FastSlowForecaster(rate=RATE, network=small_network()).partial_fit(turning(5))
    learned.save(tmp_path / "a.safetensors")
    again = FastSlowForecaster.load(tmp_path / "a.safetensors")
    others = turning(seed=1)
    shown(again, others, 25)
    shown(learned, others, 25)
    np.testing.assert_array_equal(again.predict("p0").positions, learned.predict("p0").positions)
    np.testing.assert_array_equal(again.predict("p0").plain, learned.predict("p0").plain)


@pytest.mark.parametrize("samples", [None, 10**9, 3, "15", True])
def test_a_file_whose_network_is_none_is_refused_by_name(tmp_path, samples):
    path = tmp_path / "a.safetensors"
    FastSlowForecaster(rate=RATE, network=small_network()).save(path)
    tensors, header = load_tensors(path)
    save_tensors(path, tensors, header | {"samples": samples})
    with pytest.raises(InputError, match=r"a\.safetensors holds a forecaster that cannot be read"):
        FastSlowForecaster.load(path)


def test_the_forecaster_that_ships_is_better_than_constant_velocity_where_it_has_never_been():
    shipped, plain = FastSlowForecaster.load("pretrained:junction"), FastSlowForecaster()
    assert not shipped.rule_.memory.size
    windows = windows_of(make_junction(tracks_per_site=60, seed=99).of_kind("cyclist"))
    off = [
        float(np.hypot(*np.moveaxis(one.rule_.forecast(windows.seen).positions - windows.future, 2, 0)).mean())
        for one in (shipped, plain)
    ]
    assert off[0] < 0.9 * off[1]
    with pytest.raises(InputError, match=r"got 'pretrained:none'; the forecasters that ship are junction"):
        FastSlowForecaster.load("pretrained:none")
