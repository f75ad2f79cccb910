"""Pages with forecasts step by step and maps: their numbers are those of the runs, and what is missing is said."""

from __future__ import annotations

import dataclasses
import json
import shlex
import shutil

import numpy as np
import pytest
import torch

from fastslow.protocol.result import read_result
from fastslow.report.figures.error_map import ErrorMap
from fastslow.report.figures.stepped_tracks import SteppedTracks
from fastslow.studies import sharing, sharing_page, sharing_tracks, trajectories
from fastslow.studies.base import Illustrated, Selection, reproduce
from fastslow.studies.drawn import FILE, FORECASTS, evenly_hard, read_drawn
from fastslow.studies.sharing_learners import ROWS, Branches
from fastslow.studies.sharing_page import SharingNotes, number
from fastslow.studies.sharing_tracks import pair_of
from fastslow.studies.ten_tracks import course_name, drawn_ten, errors_of
from fastslow.studies.track_learners import Damped, Setting, rows_of

pytestmark = pytest.mark.xdist_group("drawings")

WANTED = Selection(methods=("constant-velocity", "memory", "memory-on-mlp"), tasks=("25 Hz",), seeds=1)


@pytest.fixture(scope="module", autouse=True)
def run(tmp_path_factory):
    """Results of a small study of trajectories, with what their runs have left."""
    folder = tmp_path_factory.mktemp("study")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trajectories, "_TRACKS", 130)
        small = dataclasses.replace(trajectories.PLANS["quick"], effort=0.01)
        patch.setitem(trajectories.PLANS, "quick", small)
        reproduce(trajectories.STUDY, results=folder, budget="quick", selection=WANTED)
        yield folder


@pytest.fixture
def folder(run, tmp_path):
    """A copy, to be damaged."""
    return shutil.copytree(run, tmp_path / "copy")


@pytest.fixture(scope="module")
def page(run):
    """Of the whole study."""
    return page_of(run)


def page_of(folder):
    return reproduce(trajectories.STUDY, results=folder, budget="quick", selection=WANTED)


def results_of(folder):
    found = [read_result(path) for path in sorted(folder.glob("*.json"))]
    return {(result.cell.options["protocol"], result.cell.method): result for result in found}


@pytest.mark.no_cover  # lines that others run
def test_forecasts_are_those_of_the_run_step_by_step(run, page):
    (figure,) = [its for its in page.figures if isinstance(its, SteppedTracks)]
    assert not page.notes
    frame, results = figure.frame(), results_of(run)
    (reading,) = [name for name in frame if "squared" in name]
    for place, method in enumerate(("constant-velocity", "memory-on-mlp")):
        course = [results["ten", method].numbers[course_name(step)] for step in range(6)]
        assert frame["forecaster"][place::2] == [method] * 6
        assert frame[reading][place::2] == [number.mean for number in course]
        assert f"all {course[0].count} others" in reading
    plain, ours = figure.forecasters
    assert all(np.array_equal(step, plain.forecasts[0]) for step in plain.forecasts)
    moved = [np.array_equal(one, two) for one, two in zip(ours.forecasts, ours.forecasts[1:], strict=False)]
    assert moved == [False, True, True, True, True]  # what is written at once is not written again


def test_the_tracks_that_are_drawn_are_others_than_the_ten_at_even_ranks(page):
    setting = Setting(25.0, 0)
    _, others = drawn_ten(trajectories._tracks("junction", 0)[1], setting)
    rows = evenly_hard(others, 25.0, 6)
    (figure,) = [its for its in page.figures if isinstance(its, SteppedTracks)]
    assert [track.name for track in figure.tracks] == [f"track {k}" for k in range(1, 7)]
    for track, row in zip(figure.tracks, rows, strict=True):
        assert track.seen[-1] == pytest.approx(others.seen[row, -1], abs=6e-4)
        assert track.future[-1] == pytest.approx(others.future[row, -1], abs=6e-4)
    errors = errors_of(Damped(setting, fitted=False), rows_of(others, rows))
    assert figure.forecasters[0].off[0] == pytest.approx(errors[:, 1], abs=6e-4)
    assert (np.diff(errors[:, 1]) > 0).all()


@pytest.mark.no_cover  # lines that others run
def test_the_map_is_of_the_memory_at_the_end_of_the_stream(run, page):
    (figure,) = [its for its in page.figures if isinstance(its, ErrorMap)]
    result = results_of(run)["stream", "memory"]
    assert len(figure.paths) >= result.provenance.protocol["tracks"]
    slots = np.concatenate([figure.places, figure.headings, figure.errors], 1)
    assert slots.shape == (256, 6)
    assert figure.counts.sum() > 256
    tracks = np.concatenate(figure.paths)
    near = [np.hypot(*(tracks - place).T).min() for place in figure.places]
    assert max(near) < 1.5  # a walk of a second
    assert 0.1 < np.hypot(*figure.errors.T).max() < 10.0
    shown = page.html()
    assert shown.count('class="steps"') == 1
    assert shown.count("<img") == 2  # the curves of adaptation, and the map


def test_results_without_their_runs_are_shown_without_pictures_and_with_the_way_to_them(folder, page):
    shutil.rmtree(folder / "runs")
    without = page_of(folder)
    assert without.tables == page.tables
    assert [its for its in without.figures if isinstance(its, SteppedTracks | ErrorMap)] == []
    (note,) = without.notes
    assert "3 of the runs on junction have left none" in note
    words = shlex.split(note[note.index("fastslow reproduce") :])
    options = dict(zip(words[3::2], words[4::2], strict=True))
    assert words[2] == "trajectories"
    named = Selection(tuple(options["--methods"].split(",")), (), int(options["--seeds"]), options["--data"])
    keys = {cell.key for cell in named.of(trajectories.STUDY, options["--budget"])}
    drawn = {result.cell.key for result in results_of(folder).values() if trajectories.is_drawn(result.cell)}
    assert len(drawn) == 3
    assert drawn <= keys
    assert note in without.html()
    assert note in without.markdown()


def test_damaged_files_and_those_of_other_tracks_are_left_out_with_a_note(folder):
    results = results_of(folder)
    plain, ours, memory = (
        folder / "runs" / results[key].cell.key / FILE
        for key in (("ten", "constant-velocity"), ("ten", "memory-on-mlp"), ("stream", "memory"))
    )
    memory.write_text("<script>alert(1)</script>", encoding="utf-8")
    content = json.loads(ours.read_text(encoding="utf-8"))
    content["seen"][0][0][0] += 1.0
    ours.write_text(json.dumps(content), encoding="utf-8")
    page = page_of(folder)
    (figure,) = [its for its in page.figures if isinstance(its, SteppedTracks)]
    assert [its.name for its in figure.forecasters] == ["constant-velocity"]
    assert any(note.startswith("Not drawn: memory-on-mlp, junction, 25 Hz; its run has left") for note in page.notes)
    assert any(FILE in note and "no JSON" in note for note in page.notes)
    assert "alert(1)" not in page.html()
    plain.unlink()
    assert any("1 of the runs" in note for note in page_of(folder).notes)


@pytest.fixture
def few(monkeypatch):
    monkeypatch.setattr(sharing_tracks, "_TRACKS", 60)
    monkeypatch.setattr(sharing, "EVERY", 3)
    pair_of.cache_clear()
    yield
    pair_of.cache_clear()


def test_both_networks_are_drawn_after_each_update(tmp_path, few):
    wanted = Selection(methods=("shared", "separate", "first"))
    page = reproduce(sharing.STUDY, results=tmp_path, budget="quick", selection=wanted)
    (figure,) = [its for its in page.figures if isinstance(its, SteppedTracks)]
    assert [its.name for its in figure.forecasters] == ["separate", "shared"]
    names = [f"{network} network, track {k}" for network in ("first", "second") for k in (1, 2, 3)]
    assert [track.name for track in figure.tracks] == names
    results = {r.cell.method: r for path in tmp_path.glob("*.json") if (r := read_result(path))}
    separate, shared = figure.forecasters
    for its in figure.forecasters:
        for name, readings in its.readings.items():
            network = name.partition(" ")[0]
            assert readings == [results[its.name].numbers[number(network, k)].mean for k in range(4)]
    assert np.array_equal(separate.forecasts[0], shared.forecasts[0])  # they begin alike
    assert not np.array_equal(separate.forecasts[3], shared.forecasts[3])
    assert not page.notes


def test_drawn_forecasts_are_the_networks_answers_as_positions(tmp_path, few):
    pair = pair_of("cyclists to pedestrians", "junction", 0)
    branches = Branches(ROWS["shared"], pair.kind, outputs=100, seed=0)
    notes = SharingNotes(branches, pair)
    notes.add()
    notes.write(tmp_path)
    arrays = read_drawn(tmp_path, FORECASTS)
    for rows, second in ((slice(0, 3), False), (slice(3, 6), True)):
        shown, asked = (pair.second_shown, pair.second_asked) if second else (pair.first_shown, pair.first_asked)
        chosen = evenly_hard(shown.windows, 25.0, 3)
        answers = branches.answers(asked.examples.inputs[torch.from_numpy(chosen)], second=second)
        seen = shown.windows.seen[chosen]
        positions = shown.frame.positions(seen, answers.double().numpy().reshape(3, 50, 2))
        assert arrays["forecasts"][0, rows] == pytest.approx(positions[:, 4::5], abs=2e-3)
        off = np.hypot(*np.moveaxis(positions - shown.windows.future[chosen], 2, 0)).mean(1)
        assert arrays["off"][0, rows] == pytest.approx(off, abs=2e-3)
    other = SharingNotes(branches, pair._replace(first_shown=None))
    other.add()
    other.write(tmp_path / "nothing")
    assert not (tmp_path / "nothing").exists()


def test_both_studies_are_illustrated_and_other_data_than_tracks_are_not_asked_for():
    assert isinstance(trajectories.STUDY, Illustrated)
    assert isinstance(sharing.STUDY, Illustrated)
    cells = [cell for cell in sharing.STUDY.cells("cpu", "vru") if sharing_page.is_drawn(cell)]
    assert {(cell.method, cell.seed) for cell in cells} == {(name, 0) for name in sharing_page.STYLES}
