"""The map of what a forecaster has learned."""

from __future__ import annotations

import numpy as np
import pytest

from fastslow import FastSlowForecaster
from fastslow.report.figures.base import nice_length
from fastslow.report.figures.error_map import ErrorMap
from track_sample import turning


def test_arrows_stand_where_forecasts_were_made_and_point_where_people_went(tmp_path):
    learned = FastSlowForecaster(rate=10.0, horizon=1.0).partial_fit(turning()).rule_.learned_errors()
    places, errors = learned.places, learned.errors
    turn = (abs(places[:, 0] - 2.7) < 0.4) & (places[:, 1] < 0.5)
    assert turn.any()
    assert errors[turn, 1].mean() > 0.3  # to the left, which is up
    assert errors[turn, 0].mean() < -0.1  # and less far along x
    assert np.allclose(np.hypot(*learned.headings.T), 1)  # nobody stands
    assert (learned.headings[places[:, 0] < 2.5, 0] > 0.9).all()
    assert (learned.headings[places[:, 1] > 1.5, 1] > 0.9).all()
    figure = ErrorMap("$t", [np.zeros((3, 2)), np.zeros((4, 2))], *learned)
    frame = figure.frame()
    assert frame["count"] == sorted(learned.counts.tolist(), reverse=True)
    row = int(learned.counts.argmax())
    first = [frame[name][0] for name in ("x", "y", "heading_x", "heading_y", "error_x", "error_y")]
    assert first == [*places[row], *learned.headings[row], *errors[row]]
    figure.plot(tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_who_stands_has_no_heading_and_errors_along_the_axes():
    still = FastSlowForecaster(rate=10.0, horizon=1.0)
    moment = np.zeros((1, still.rule_.length, 2))
    moment[0, -5:, 1] = 0.5  # someone who stood, and then was half a metre further up
    still.rule_.learn(moment)
    learned = still.rule_.learned_errors()
    assert learned.errors.tolist() == [[0.0, 0.5]]
    assert learned.headings.tolist() == [[0.0, 0.0]]


def test_a_memory_that_has_learned_nothing_is_an_empty_map(tmp_path):
    nothing = FastSlowForecaster(rate=10.0, horizon=1.0).rule_.learned_errors()
    ErrorMap("t", [], *nothing).plot(tmp_path / "b.png")
    assert (tmp_path / "b.png").exists()


def test_bars_of_scales_are_round():
    lengths = (0.7, 1.0, 1.9, 2.0, 5.1, 9.99, 10.0, 0.031)
    assert [nice_length(length) for length in lengths] == [0.5, 1.0, 1.0, 2.0, 5.0, 5.0, 10.0, pytest.approx(0.02)]
