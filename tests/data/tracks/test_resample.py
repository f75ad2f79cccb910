"""Tracks at one rate, and windows of them."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastslow.data.tracks.resample import GAPS, SHORT, resampled, windows_of
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


@pytest.mark.parametrize("options", [{"seen": 1}, {"future": 0}, {"every": 0}])
def test_windows_of_no_length_are_refused(options):
    with pytest.raises(InputError, match="give a whole number of at least"):
        windows_of(straight(5), **options)


@pytest.mark.parametrize("options", [{"rate": 0.0}, {"rate": float("nan")}, {"rate": 5.0, "gap": 0.0}])
def test_rates_that_are_none_are_refused(options):
    with pytest.raises(InputError, match="positive numbers were expected"):
        resampled(straight(5), **options)
