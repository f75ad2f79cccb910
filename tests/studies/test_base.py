"""Reproducing a study: each cell once, whoever runs it and however often it is begun; a page of all there is."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastslow.errors import InputError
from fastslow.studies import STUDIES, load_study
from fastslow.studies.base import Selection, part_of, reproduce
from studies.fake_study import FakeStudy

SCRIPT = Path(__file__).with_name("fake_study.py")


@pytest.fixture
def study(tmp_path):
    return FakeStudy(tmp_path / "runs.log")


def keys_run(study):
    return study.log.read_text(encoding="utf-8").split() if study.log.exists() else []


@given(st.lists(st.integers(), max_size=30), st.integers(1, 40))
def test_parts_share_nothing_and_are_everything_together(items, count):
    parts = [part_of(list(enumerate(items)), (index, count)) for index in range(count)]
    assert sorted(item for part in parts for item in part) == list(enumerate(items))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


@pytest.mark.parametrize("part", [(-1, 2), (2, 2), (0, 0), (0, -1)])
def test_parts_that_are_none_are_refused(part, study, tmp_path):
    with pytest.raises(InputError, match=f"got part {part[0]} of {part[1]}"):
        reproduce(study, results=tmp_path / "results", budget="cpu", part=part)
    assert not (tmp_path / "results").exists()


def selected(**wanted):
    return {
        (cell.options["row"], cell.options["task"], cell.seed)
        for cell in Selection(**wanted).of(load_study("table1"), "cpu")
    }


@pytest.mark.no_cover  # lines that others run
def test_cells_are_chosen_by_method_ways_and_seeds():
    everything = selected()
    assert selected(methods=["protonet", "nmn"]) == {c for c in everything if c[0] in ("protonet", "nmn")}
    assert selected(tasks=["5w5s"]) == {c for c in everything if c[1] == "5w1s"}  # one model for both shots
    assert selected(seeds=1) == {c for c in everything if c[2] == 0}
    assert selected(methods=["fastslow-paper"]) < selected(methods=["fastslow"]) < everything
    with pytest.raises(InputError, match=r"got methods=\['magic'\].* its methods are .*, its cells 5w1s, 20w1s"):
        selected(methods=["magic"])


def test_a_selection_is_run_and_shown_alone(study, tmp_path):
    page = reproduce(study, results=tmp_path / "results", budget="cpu", selection=Selection(seeds=1))
    assert len(page.tables[0].rows) == len(keys_run(study)) == 3
    assert not page.missing


def test_the_parts_of_two_machines_join_to_the_page_of_one(study, tmp_path):
    whole = reproduce(study, results=tmp_path / "whole", budget="cpu")
    for index in (1, 0):
        reproduce(study, results=tmp_path / f"part{index}", budget="cpu", part=(index, 2))
    (tmp_path / "joined").mkdir()
    for path in [*tmp_path.glob("part0/*.json"), *tmp_path.glob("part1/*.json")]:
        path.rename(tmp_path / "joined" / path.name)
    before = len(keys_run(study))
    joined = reproduce(study, results=tmp_path / "joined", budget="cpu")
    assert len(keys_run(study)) == before
    assert joined == whole
    assert joined.html() == whole.html()
    assert not joined.missing


def test_a_part_shows_all_results_there_are_and_names_what_is_missing(study, tmp_path):
    page = reproduce(study, results=tmp_path, budget="cpu", part=(0, 3))
    cells = study.cells("cpu")
    assert [row[0] for row in page.tables[0].rows] == [cells[0].key, cells[3].key]
    assert list(page.missing) == [cells[i].key for i in (1, 2, 4, 5)]
    page = reproduce(study, results=tmp_path, budget="cpu", part=(1, 3))
    assert [row[0] for row in page.tables[0].rows] == [cells[i].key for i in (0, 1, 3, 4)]
    assert "2 cells still to be run" in page.markdown()
    assert cells[2].key in page.html()


def test_an_interrupted_study_goes_on_where_it_was(study, tmp_path):
    def stop_at_the_third(cell):
        if cell.options["shape"] == (1, 2):
            raise KeyboardInterrupt

    study.before_each = stop_at_the_third
    with pytest.raises(KeyboardInterrupt):
        reproduce(study, results=tmp_path / "results", budget="cpu")
    assert len(list((tmp_path / "results").glob("*.json"))) == 2
    study.before_each = lambda cell: None
    seen = []
    reproduce(study, results=tmp_path / "results", budget="cpu", on_progress=seen.append)
    assert keys_run(study) == [cell.key for cell in study.cells("cpu")]
    assert [(at.cell.key, at.done, at.total) for at in seen] == [(k, i, 6) for i, k in enumerate(keys_run(study))]


def processes(tmp_path, *arguments):
    log = tmp_path / "runs.log"
    path = os.pathsep.join(filter(None, sys.path))
    environment = {**os.environ, "FAKE_STUDY_LOG": str(log), "PYTHONPATH": path}
    return [
        subprocess.Popen([sys.executable, str(SCRIPT), str(tmp_path / "results"), *words.split()], env=environment)
        for words in arguments
    ]


def test_processes_on_the_same_cells_run_each_of_them_once(study, tmp_path):
    for process in processes(tmp_path, "0 1", "0 1", "0 1"):
        assert process.wait(60) == 0
    assert sorted(keys_run(study)) == sorted(cell.key for cell in study.cells("cpu"))
    assert not reproduce(study, results=tmp_path / "results", budget="cpu").missing
    left = [path for path in (tmp_path / "results").rglob("*") if path.is_file()]
    assert sorted(path.suffix for path in left) == [".json"] * 6


def test_a_killed_process_gives_its_cell_free(study, tmp_path):
    (process,) = processes(tmp_path, "0 1 die")
    assert process.wait(60) == 9
    assert not reproduce(study, results=tmp_path / "results", budget="cpu").missing


def test_a_damaged_or_misplaced_result_is_refused_by_name_before_any_work(study, tmp_path):
    first, second, *_ = study.cells("cpu")
    path = tmp_path / f"{second.key}.json"
    path.write_text("{", encoding="utf-8")
    with pytest.raises(InputError, match=path.name):
        reproduce(study, results=tmp_path, budget="cpu")
    path.unlink()
    reproduce(study, results=tmp_path, budget="cpu")
    (tmp_path / f"{first.key}.json").replace(path)
    before = keys_run(study)
    with pytest.raises(InputError, match=f"{path.name} holds the result of {first.key}"):
        reproduce(study, results=tmp_path, budget="cpu")
    assert keys_run(study) == before


def test_nothing_to_show_is_said_in_words(study, tmp_path):
    with pytest.raises(InputError, match="holds no result of study fake yet"):
        reproduce(study, results=tmp_path, budget="cpu", part=(8, 9))


def test_a_study_of_two_equal_cells_or_of_other_results_is_a_bug(study, tmp_path):
    cells = study.cells("cpu")
    study.cells = lambda budget, data=None: [cells[0], cells[0]]
    with pytest.raises(ValueError, match="two cells of one key"):
        reproduce(study, results=tmp_path, budget="cpu")
    study.cells = lambda budget, data=None: cells
    study.run = lambda cell, folder: FakeStudy.run(study, cells[0], folder.with_name(cells[0].key))
    with pytest.raises(ValueError, match=f"gave a result of {cells[0].key} for {cells[1].key}"):
        reproduce(study, results=tmp_path, budget="cpu")
    assert [path.stem for path in tmp_path.glob("*.json")] == [cells[0].key]


def test_results_are_read_back_as_they_were_measured(study, tmp_path):
    reproduce(study, results=tmp_path, budget="quick")
    for cell in study.cells("quick"):
        content = json.loads((tmp_path / f"{cell.key}.json").read_text(encoding="utf-8"))
        assert content["cell"]["options"]["shape"][1] / 7 == content["numbers"]["accuracy"]["mean"]


class Drawn(FakeStudy):
    """Its runs leave a file, and its page says which of them it found."""

    def run(self, cell, folder):
        folder.mkdir(parents=True)
        (folder / "left").touch()
        return super().run(cell, folder)

    def illustrated(self, results, runs):
        left = [result.cell.key for result in results if (runs / result.cell.key / "left").exists()]
        return dataclasses.replace(self.page(results), notes=left)


def test_a_page_may_show_what_runs_have_left_in_their_folders(tmp_path):
    study = Drawn(tmp_path / "runs.log")
    page = reproduce(study, results=tmp_path / "results", budget="quick")
    assert page.notes == [cell.key for cell in study.cells("quick")]
    assert len(page.tables) == 1
    shutil.rmtree(tmp_path / "results" / "runs" / page.notes[0])
    assert reproduce(study, results=tmp_path / "results", budget="quick").notes == page.notes[1:]


def test_studies_are_imported_when_asked_for_and_unknown_ones_are_refused(monkeypatch):
    monkeypatch.setitem(STUDIES, "fake", "studies.fake_study:STUDY")
    assert load_study("fake").name == "fake"
    with pytest.raises(InputError, match=r"got study 'fke'; choose from .*fake"):
        load_study("fke")


@pytest.mark.no_cover  # lines that others run
def test_every_registered_study_can_be_loaded_and_has_cells():
    for name in STUDIES:
        study = load_study(name)
        assert study.name == name
        for budget in ("quick", "cpu", "paper"):
            cells = study.cells(budget)
            assert cells
            assert len({cell.key for cell in cells}) == len(cells)


def test_data_without_a_name_are_refused_before_any_cell_is_made(tmp_path):
    with pytest.raises(InputError, match=r"got data='.*'; a study runs on data with a name: glyphs, omniglot"):
        Selection(data=str(tmp_path)).of(load_study("table1"), "cpu")
