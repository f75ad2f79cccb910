from __future__ import annotations

import dataclasses

import pytest

from fastslow.errors import InputError
from fastslow.methods.config import CONTROLLERS
from fastslow.protocol.result import Cell, Interval, Provenance, Result
from fastslow.studies import load_study, predictors
from fastslow.studies.base import Study
from fastslow.studies.predictors import ROWS, STUDY


def test_the_study_is_registered():
    assert load_study("predictors") is STUDY
    assert isinstance(STUDY, Study)


@pytest.mark.parametrize("budget", ["quick", "cpu", "paper"])
def test_what_stands_in_two_tables_is_one_cell_and_no_two_have_one_key(budget):
    cells = STUDY.cells(budget)
    seeds = len({cell.seed for cell in cells})
    in_two = 2  # the design as it is, in the second and the third table as well
    assert len(cells) == seeds * (sum(map(len, ROWS.values())) - in_two)
    assert len({cell.key for cell in cells}) == len(cells)


def test_all_subsets_of_the_controllers_are_there():
    subsets = {
        tuple(cell.options["model"].get("fast_controllers", CONTROLLERS))
        for cell in STUDY.cells("cpu")
        if cell.options["control"] == "none"
    }
    assert len(subsets) == 7
    assert all(set(subset) <= set(CONTROLLERS) for subset in subsets)
    assert "fast_path_off" in {cell.options["control"] for cell in STUDY.cells("cpu")}  # the eighth


def result_of(cell, accuracy):
    provenance = Provenance(command="", versions={})
    return Result(cell, {"accuracy": Interval(accuracy, 0.001, 100)}, provenance)


def test_each_result_is_shown_in_the_rows_that_it_is_of_and_nowhere_else():
    cells = STUDY.cells("cpu")
    results = [result_of(cell, 0.01 * (index % 14)) for index, cell in enumerate(cells)]
    tables = STUDY.page(results).tables
    shown = {(table.title, row[0]): row[1] for table in tables for row in table.rows}
    usual = shown["controllers that learn fast", "input + output + write"]
    assert usual == shown["slots of the memory", "10"] == "0.00 ± 0.00 (3)"
    assert shown[tables[1].title, "trained by the query loss"] == usual
    others = [text for text in shown.values() if text != usual]
    assert len(others) == len(set(others)) == len(shown) - 3
    assert shown["controllers that learn fast", "none"] == "7.00 ± 0.00 (3)"


def test_a_row_without_results_is_empty():
    first, *_ = STUDY.cells("cpu")
    rows = STUDY.page([result_of(first, 0.5)]).tables[0].rows
    assert rows[0][1] == "50.00 (1)"
    assert {row[1] for row in rows[1:]} == {"-"}


@pytest.mark.no_cover  # a training, by code that others run
def test_rows_start_from_one_encoder_which_is_trained_first(few_glyphs, tmp_path, monkeypatch):
    small = predictors.Plan("glyphs", steps=2, seeds=1, episodes=2, encoder_steps=1)
    monkeypatch.setattr(predictors, "BUDGETS", {"cpu": small})
    monkeypatch.setattr("fastslow.studies.fewshot_study.EPISODES", 2)
    cells = STUDY.cells("cpu")
    for cell in (cells[3], cells[-1]):
        result = STUDY.run(cell, tmp_path / cell.key)
        assert result.cell == cell
        assert result.numbers["accuracy"].count == 2
    folders = {path.name for path in tmp_path.iterdir()} - {cell.key for cell in cells}
    assert len(folders) == 1
    assert "protonet" in folders.pop()


def test_a_cell_of_another_study_is_refused(tmp_path):
    with pytest.raises(InputError, match="is no cell of study predictors"):
        STUDY.run(Cell("other", "fastslow", "omniglot", {}, 0), tmp_path)
    changed = dataclasses.replace(STUDY.cells("cpu")[0], seed=9)
    with pytest.raises(InputError, match="is no cell of study predictors"):
        STUDY.run(changed, tmp_path)
