"""The course of the output controller's gradients: what it is a mean of, and what the picture shows."""

from __future__ import annotations

import dataclasses
import math

import pytest

from fastslow.errors import InputError
from fastslow.protocol.result import Cell, Interval, Provenance, Result
from fastslow.report.figures.gradient_course import COSINE, SYNTHETIC, TRUE, GradientCourse
from fastslow.studies.rare_classes import STUDY
from fastslow.studies.rare_gradients import Gradients, batches_of, course_of, moments, numbers_of


@pytest.mark.parametrize("every", [11, 50, 500])
def test_every_batch_is_of_one_point_and_the_last_of_a_round_is_the_rare_one(every):
    points = moments(3)
    covered = [batch for point in points for batch in batches_of(point, every)]
    assert covered == list(range(3 * every))
    rare = [batches_of(point, every) for point in points if point.stretch is None]
    assert rare == [range(k * every - 1, k * every) for k in (1, 2, 3)]


def test_numbers_are_means_over_the_batches_of_a_point():
    course = [Gradients(float(batch), 2.0 * batch, math.cos(batch)) for batch in range(22)]
    numbers = dict(numbers_of(course, every=11))
    assert len(numbers) == 2 * 11 * 3
    assert numbers[f"{TRUE}, rare batch 2"].mean == 21
    assert numbers[f"{TRUE}, rare batch 2"].half_width is None
    assert numbers[f"{SYNTHETIC}, stretch 2.1"].mean == 22
    assert numbers[f"{COSINE}, stretch 1.4"].mean == pytest.approx(math.cos(3))
    of_two = dict(numbers_of([Gradients(1.0, 0.0, -1.0), Gradients(3.0, 0.0, 1.0)] * 11, every=22))
    assert of_two[f"{TRUE}, stretch 1.5"].mean == pytest.approx(2.0, abs=0.4)
    assert of_two[f"{COSINE}, stretch 1.5"].unit == "cosine"


def results(methods=("nmn", "nmn-fast-added"), seeds=2):
    for seed in range(seeds):
        for factor, method in enumerate(methods, 1):
            course = [Gradients(factor * (seed + 1.0), 0.5, 0.1) for _ in range(22)]
            cell = Cell(STUDY.name, method, "digits", {"task": "11 batches", "exposures": 2}, seed)
            yield Result(cell, dict(numbers_of(course, every=11)), Provenance(command="", versions={}))


def test_the_figure_has_a_row_a_learner_and_means_over_seeds(tmp_path):
    figure = course_of(list(results()), every=11, exposures=2)
    assert figure is not None
    frame = figure.frame()
    assert frame["batches"][-1] == 22
    assert [place for place, rare in enumerate(frame["rare"]) if rare] == [10, 21]
    assert frame[f"nmn-fast-added, {TRUE}"] == [3.0] * 22
    assert frame[f"nmn, {SYNTHETIC}"] == [0.5] * 22
    figure.plot(tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_learners_without_gradients_have_no_figure_and_unknown_points_are_left_out(tmp_path):
    bare = [dataclasses.replace(result, numbers={"rare, after 1": Interval(0.5, 0.1, 9)}) for result in results()]
    assert course_of(bare, every=11, exposures=2) is None
    longer = course_of(list(results()), every=11, exposures=3)
    assert longer is not None
    assert longer.frame()[f"nmn, {COSINE}"][-1] is None
    longer.plot(tmp_path / "a.png")


def test_a_network_that_learns_online_leaves_its_gradients_in_the_result(tmp_path):
    cell = next(cell for cell in STUDY.cells("quick") if cell.method == "nmn-fast-added")
    result = STUDY.run(cell, tmp_path / cell.key)
    norms = [number.mean for name, number in result.numbers.items() if name.startswith(TRUE)]
    assert len(norms) == 3 * 11
    assert min(norms) > 0
    synthetic = [number.mean for name, number in result.numbers.items() if name.startswith(SYNTHETIC)]
    assert min(synthetic) > 0
    assert all(s <= t * 1.001 for s, t in zip(synthetic, norms, strict=True))  # clipped to the true one
    page = STUDY.page([result])
    assert [type(figure).__name__ for figure in page.figures] == ["Exposures", "GradientCourse"]


@pytest.mark.parametrize("courses", [{}, {"a": {TRUE: [1.0]}}, {"a": {TRUE: [1.0, 2.0], COSINE: [0.1]}}])
def test_courses_of_other_lengths_are_refused(courses):
    with pytest.raises(InputError, match="there are no lines to draw"):
        GradientCourse("t", [1, 2], [False, True], courses)
