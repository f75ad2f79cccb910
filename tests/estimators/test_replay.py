"""A stream of tracks played to a forecaster: forecasts first, their outcomes after."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from fastslow import FastSlowForecaster
from fastslow.estimators.replay import order_of, play
from track_sample import straight, turning

RATE = 10.0


def test_forecasts_come_every_so_often_with_what_came_then():
    track = straight(60, rate=RATE)
    played = list(play(FastSlowForecaster(rate=RATE, horizon=1.0), track, every=1.0))
    assert np.allclose(np.diff([one.made_at for one in played]), 1.0)
    first = played[0]
    assert np.allclose(first.outcome[:, 0], first.forecast.times)
    assert first.errors() == pytest.approx((0, 0, 0, 0), abs=1e-9)
    assert played[-1].errors() is None
    assert np.isnan(played[-1].outcome[-1]).all()


def test_no_forecast_knows_what_comes_after_it():
    tracks = turning(6, apart=2.0)
    cut = float(tracks.times.max()) - 4.0
    early = tracks.times <= cut
    kept = np.unique(tracks.track[early])
    shorter = dataclasses.replace(
        tracks.select(kept.tolist()), positions=tracks.positions[early], times=tracks.times[early],
        track=np.searchsorted(kept, tracks.track[early]),
    )  # fmt: skip
    whole, part = (list(play(FastSlowForecaster(rate=RATE), data, every=0.5)) for data in (tracks, shorter))
    assert len(part) > 10
    for one, other in zip(whole, part, strict=False):
        assert np.array_equal(one.forecast.positions, other.forecast.positions)


def test_samples_come_by_the_clock_or_track_by_track_where_there_is_none():
    tracks = turning(5, apart=0.5)
    assert (np.diff(tracks.times[order_of(tracks)]) >= 0).all()
    order = order_of(dataclasses.replace(tracks, one_clock=False))
    assert sorted(order.tolist()) == list(range(len(tracks.times)))
    owners = tracks.track[order]
    assert (np.diff(owners) != 0).sum() == 4
    assert np.array_equal(order, order_of(dataclasses.replace(tracks, one_clock=False)))


def test_progress_is_told_sample_by_sample():
    told = []
    list(play(FastSlowForecaster(rate=RATE), straight(5, 3), every=1.0, on_sample=lambda *n: told.append(n)))
    assert told == [(k, 8) for k in range(1, 9)]


def test_no_outcome_is_made_up_in_a_gap():
    track = straight(60, rate=RATE)
    times = track.times + 60.0 * (np.arange(60) >= 30)
    played = list(play(FastSlowForecaster(rate=RATE), dataclasses.replace(track, times=times), every=0.5))
    inside = [one for one in played if one.made_at < 3.0 and one.forecast.times[-1] > 3.0]
    assert inside
    assert all(one.errors() is None for one in inside)


def test_tracks_without_a_common_clock_end_when_they_end():
    forecaster = FastSlowForecaster(rate=RATE)
    list(play(forecaster, dataclasses.replace(turning(20), one_clock=False), every=1.0))
    assert forecaster.predict_all() == {}
