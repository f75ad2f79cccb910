"""Tracks at one rate, and windows of them."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastslow.data.tracks.resample import GAPS, SHORT, first_pieces, moments_of, resampled, windows_of
from fastslow.errors import InputError
from track_sample import straight


@given(st.floats(1.0, 60.0), st.integers(2, 40))
def test_a_straight_track_stays_straight_at_any_rate(rate, length):
    track = straight(length, rate=12.5, speed=3.0)
    new = resampled(track, rate)
    if not new.num_tracks:
        assert 1 / rate > track.times[-1] - 1e-5
        return
    assert np.allclose(new.positions[:, 0], 3.0 * new.times)
    assert np.allclose(np.diff(new.times), 1 / rate)
    assert new.times[-1] <= track.times[-1] + 1e-5
    assert new.times[-1] > track.times[-1] - 1 / rate - 1e-5


def test_samples_that_fit_are_kept_as_they_were():
    track = straight(30, rate=50.0)
    assert np.allclose(resampled(track, 25.0).positions, track.positions[::2])
    assert np.allclose(resampled(track, 50.0).positions, track.positions)


def test_a_gap_divides_a_track_and_is_counted():
    track = straight(10, 10)
    times = track.times.copy()
    times[4:10] += 1.0  # of the first track
    times[19] += 3.0
    new = resampled(dataclasses.replace(track, times=times), 10.0)
    assert new.names == ("t0", "t0#2", "t1")
    assert np.bincount(new.track).tolist() == [4, 6, 9]
    assert new.repairs == {GAPS: 2, SHORT: 1}
    pairs = times.copy()
    pairs[1:10:2] -= 0.05  # stamps in pairs, a step and a half apart, are no gaps
    pairs[4:10] -= 1.0
    assert resampled(dataclasses.replace(track, times=pairs), 10.0).names[0] == "t0"


def test_what_is_bridged_is_no_gap_however_quick_the_samples_are():
    track = straight(40, rate=10.0)
    seen = (np.arange(40) < 10) | (np.arange(40) >= 14)
    holed = dataclasses.replace(
        track, positions=track.positions[seen], times=track.times[seen], track=track.track[seen]
    )
    assert resampled(holed, 10.0).num_tracks == resampled(holed, 10.0, bridged=0.4).num_tracks == 2
    assert np.allclose(resampled(holed, 10.0, bridged=0.5).positions, track.positions)


@pytest.mark.parametrize("names", [["a", "a#2", "b##"], ["#", "##2", "##"], ["a#2", "a#3", "a"], ["a", "b", "c"]])
def test_pieces_have_names_of_their_own_and_first_ones_are_told_whatever_tracks_are_called(names):
    tracks = straight(20, 20, 20, names=names)
    apart = dataclasses.replace(tracks, times=tracks.times + 5.0 * (np.arange(60) % 20 >= 10))
    even = resampled(apart, 10.0)
    assert len(set(even.names)) == 6
    assert first_pieces(apart, even) == [0, 2, 4]
    assert [even.names[k] for k in first_pieces(apart, even)] == names
    again = resampled(even, 5.0)
    assert first_pieces(even, again) == list(range(6))
    short = dataclasses.replace(apart, times=apart.times + 5.0 * (np.arange(60) == 9))  # a piece of one sample more
    lone = dataclasses.replace(apart, times=apart.times - 5.0 * (np.arange(60) % 20 < 1))  # the first is too short
    assert first_pieces(lone, resampled(lone, 10.0)) == []
    assert resampled(short, 10.0).num_tracks == 6


def test_more_samples_than_there_is_memory_for_are_refused_before_any_is_made():
    tracks = straight(2, 5, names=["year", "b"])
    tracks = dataclasses.replace(tracks, times=np.array([0.0, 3.15e7, *range(5)]), rates=(3e-8, 1.0))
    with pytest.raises(InputError, match=r"got rate=1000 for 3\.15e\+07 s of tracks; .* \(track 'year' alone has"):
        resampled(tracks, 1000.0)
    assert resampled(tracks, 0.01).num_tracks == 1  # the other is too short
    for rate in (1e9, 1e308):
        with pytest.raises(InputError, match="give a lower rate or fewer tracks"):
            resampled(tracks, rate)


def test_windows_are_the_first_of_each_track_or_one_every_so_often():
    tracks = straight(12, 5, 7, rate=10.0)
    first = windows_of(tracks, seen=4, future=2)
    assert first.track.tolist() == [0, 2]
    assert first.seen.shape == (2, 4, 2)
    assert np.allclose(first.future[0, :, 0], [0.4, 0.5])
    more = windows_of(tracks, seen=4, future=2, every=3)
    assert more.track.tolist() == [0, 0, 0, 2]
    assert np.allclose(more.start, [0.0, 0.3, 0.6, 0.0])
    assert np.allclose(more.seen[2, 0], [0.6, 0.0])
    assert len(windows_of(tracks, seen=50, future=50).track) == 0


@pytest.mark.parametrize("block", [1, 3, 1000])
def test_moments_are_all_windows_a_block_at_a_time(monkeypatch, block):
    tracks, whole = straight(12, 5, 7), windows_of(straight(12, 5, 7), seen=4, future=2, every=2)
    monkeypatch.setattr("fastslow.data.tracks.resample._MOMENTS", block)
    found = list(moments_of(tracks, length=6, every=2))
    assert max(map(len, found)) <= block
    assert np.array_equal(np.concatenate(found), np.concatenate([whole.seen, whole.future], 1))
    assert list(moments_of(tracks, length=60, every=2)) == []


@pytest.mark.parametrize("options", [{"seen": 1}, {"future": 0}, {"every": 0}])
def test_windows_of_no_length_are_refused(options):
    with pytest.raises(InputError, match="give a whole number of at least"):
        windows_of(straight(5), **options)


@pytest.mark.parametrize("options", [{"rate": 0.0}, {"rate": float("nan")}, {"rate": 5.0, "gap": 0.0}])
def test_rates_that_are_none_are_refused(options):
    with pytest.raises(InputError, match="positive numbers were expected"):
        resampled(straight(5), **options)
