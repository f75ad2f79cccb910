"""The map of what a forecaster has learned."""

from __future__ import annotations

import numpy as np

from fastslow import FastSlowForecaster
from fastslow.report.figures.error_map import ErrorMap
from track_sample import turning


def test_arrows_stand_where_forecasts_were_made_and_point_where_people_went(tmp_path):
    learned = FastSlowForecaster(rate=10.0, horizon=1.0).partial_fit(turning())
    places, errors, counts = learned.rule_.learned_errors()
    turn = (abs(places[:, 0] - 2.7) < 0.4) & (places[:, 1] < 0.5)
    assert turn.any()
    assert errors[turn, 1].mean() > 0.3  # to the left, which is up
    assert errors[turn, 0].mean() < -0.1  # and less far along x
    figure = ErrorMap("t", [np.zeros((3, 2)), np.zeros((4, 2))], places, errors, counts)
    assert figure.frame()["count"] == counts.tolist()
    figure.plot(tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    still = FastSlowForecaster(rate=10.0, horizon=1.0)
    moment = np.zeros((1, still.rule_.length, 2))
    moment[0, -5:, 1] = 0.5  # someone who stood, and then was half a metre further up
    still.rule_.learn(moment)
    assert still.rule_.learned_errors()[1].tolist() == [[0.0, 0.5]]
    empty = ErrorMap("t", [], np.zeros((0, 2)), np.zeros((0, 2)), np.zeros(0))
    empty.plot(tmp_path / "b.png")
    assert (tmp_path / "b.png").exists()
