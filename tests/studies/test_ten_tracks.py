"""Ten tracks: who is trained on, who is adapted to and who is asked about share nothing; and the page."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from fastslow.data.tracks.base import joined
from fastslow.data.tracks.resample import resampled, windows_of
from fastslow.errors import InputError
from fastslow.report.figures.adaptation import Adaptation
from fastslow.report.tables import COURSE, SERIES
from fastslow.studies import trajectories
from fastslow.studies.ten_tracks import (
    LEARNERS,
    QUICK,
    TEN,
    TRAINED,
    course_name,
    drawn_ten,
    errors_of,
    measured,
    training_windows,
)
from fastslow.studies.track_learners import SEEN, STEPS, Damped, Setting, first_of_each
from fastslow.studies.trajectories import STUDY
from track_sample import straight, turning


def test_tracks_of_training_are_at_most_150_and_drawn_by_the_seed():
    tracks = straight(*[130] * 180)
    windows = training_windows(tracks, Setting(10.0, 0))
    assert len(np.unique(windows.track)) == TRAINED
    assert len(windows.track) > 5 * TRAINED  # one every 0.4 s
    assert not np.array_equal(windows.track, training_windows(tracks, Setting(10.0, 1)).track)
    with pytest.raises(InputError, match="at least 2 were expected"):
        training_windows(straight(130, 40), Setting(10.0, 0))


def test_the_ten_and_the_others_share_no_track_and_later_pieces_are_left_out():
    tracks = turning(40, length=130)
    ten, others = drawn_ten(tracks, Setting(10.0, 0))
    assert len(np.unique(ten.track)) == TEN
    assert len(others.track) == 30
    assert not set(ten.track.tolist()) & set(others.track.tolist())
    assert np.array_equal(first_of_each(ten).start, np.zeros(TEN))
    again, _ = drawn_ten(tracks, Setting(10.0, 1))
    assert set(again.track.tolist()) != set(ten.track.tolist())
    with pytest.raises(InputError, match="more than 10 were expected"):
        drawn_ten(turning(10, length=130), Setting(10.0, 0))


def test_a_movement_that_lies_in_two_files_is_taken_once(monkeypatch):
    tracks = turning(12, length=130)
    twice = joined([tracks, dataclasses.replace(tracks, names=tuple(f"again/{name}" for name in tracks.names))])
    kinds = ("cyclist", "pedestrian") * 12
    monkeypatch.setattr(trajectories, "load_tracks", lambda name: dataclasses.replace(twice, kinds=kinds))
    trajectories._each_movement_once.cache_clear()
    before, then = trajectories._tracks("vru", 0)
    trajectories._each_movement_once.cache_clear()
    assert before.num_tracks + then.num_tracks == 12
    assert not {name.removeprefix("again/") for name in before.names} & set(then.names)


def test_errors_are_of_distances():
    tracks = straight(SEEN + STEPS, rate=10.0)
    windows = windows_of(resampled(tracks, 10.0), seen=SEEN, future=STEPS)
    moved = windows._replace(future=windows.future + np.array([0.0, 2.0]))
    errors = errors_of(Damped(Setting(10.0, 0), fitted=False), moved)
    assert np.allclose(errors, [[4.0, 2.0, 2.0]])


def test_numbers_are_after_and_before_and_a_course_on_others_and_on_the_ten():
    before, then = straight(*[130] * 12, speed=4.0), turning(30, length=130)
    numbers, facts = measured("memory", before, then, Setting(10.0, 0), 3)
    assert list(numbers)[:3] == ["mse", "ade", "fde"]
    assert numbers["mse"].mean == numbers[course_name(3)].mean < numbers["mse, before"].mean
    assert numbers[course_name(0)].mean == numbers["mse, before"].mean
    assert numbers[course_name(1, ten=True)].mean != numbers[course_name(0, ten=True)].mean
    assert numbers[course_name(2)].unit == COURSE in SERIES
    assert (facts["counted"], facts["ten"], numbers["mse"].count) == (20, TEN, 20)


@pytest.mark.no_cover  # lines that others run
def test_cells_are_measured_and_shown_beside_those_of_the_stream(tmp_path, monkeypatch):
    monkeypatch.setattr(trajectories, "_TRACKS", 130)
    wanted = ("constant-velocity", "damped", "memory-on-mlp")
    cells = [c for c in STUDY.cells("quick") if c.seed == 0 and c.method in wanted and c.options["task"] == "25 Hz"]
    assert [cell.options["protocol"] for cell in cells] == ["stream"] * 3 + ["ten"] * 3
    page = STUDY.page([STUDY.run(cell, tmp_path / "x") for cell in cells])
    ten, stream = page.tables
    assert [row[:3] for row in ten.rows[:1]] == [["junction, 25 Hz", "constant-velocity", "1.000"]]
    assert [row[1] for row in ten.rows] == [row[1] for row in stream.rows] == list(wanted)
    (figure,) = page.figures
    assert list(figure.frame()) == ["step", *wanted]
    assert figure.frame()["step"] == list(range(6))
    figure.plot(tmp_path / "curves.png")
    assert (tmp_path / "curves.png").stat().st_size > 10_000


def test_curves_are_drawn_also_where_one_is_far_off_and_the_first_is_never_wrong(tmp_path):
    for curves in ({"a": [1.0, 0.5], "b": [300.0, 299.0]}, {"a": [0.0, 0.0], "b": [0.1, 0.0]}):
        Adaptation("x", curves).plot(tmp_path / "x.png")
        assert (tmp_path / "x.png").stat().st_size > 5000


def test_curves_of_different_lengths_are_refused():
    with pytest.raises(InputError, match="no lines to draw"):
        Adaptation("x", {"a": [1.0, 2.0], "b": [1.0]})


def test_every_row_is_in_the_larger_budget_and_quick_has_some():
    assert set(QUICK) < set(LEARNERS)
    for budget, rows in (("cpu", LEARNERS), ("quick", QUICK)):
        found = [cell for cell in STUDY.cells(budget) if cell.options["protocol"] == "ten"]
        assert {cell.method for cell in found} == set(rows)
        assert len({cell.key for cell in STUDY.cells(budget)}) == len(STUDY.cells(budget))
    assert not {c.key for c in STUDY.cells("quick", "vru") if "effort" in c.options} & {
        c.key for c in STUDY.cells("cpu")
    }
