from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from committed import result_files
from fastslow.errors import InputError
from fastslow.methods.config import METHODS
from fastslow.protocol.result import Cell, Interval, Provenance, Result
from fastslow.studies import fewshot_study, load_study
from fastslow.studies.base import Study, reproduce
from fastslow.studies.fewshot_config import FewShotConfig
from fastslow.studies.fewshot_study import ON_ENCODER, STUDY


def test_the_study_is_registered():
    assert load_study("fewshot") is STUDY
    assert isinstance(STUDY, Study)


@pytest.mark.parametrize("budget", ["quick", "cpu", "paper"])
def test_cells_are_of_every_method_and_no_two_have_one_key(budget):
    cells = STUDY.cells(budget)
    assert len({cell.key for cell in cells}) == len(cells)
    assert {cell.method for cell in cells} == set(ON_ENCODER) < set(METHODS)
    assert {"none", "label_only", "fast_path_off"} <= {cell.options["control"] for cell in cells}
    assert STUDY.cells(budget) == cells


def test_committed_results_are_results_of_the_study():
    first = ("fastslow", "nmn", "protonet")  # methods that came later are still to be run
    keys = {budget: {c.key for c in STUDY.cells(budget) if c.method in first} for budget in ("cpu", "paper")}
    found = {path.stem for path in result_files("fewshot-omniglot-*-5w1s-*.json")}
    assert keys["cpu"] < keys["paper"]
    # The control by backpropagation of one seed was begun from another encoder.
    missing = keys["cpu"] - found
    assert len(missing) == 1
    assert "true_gradient" in missing.pop()
    for row in ("paper-20000steps-ffd8c91e", "protonet-5w1s-paper-2500steps-77decbf6"):
        assert len([key for key in keys["paper"] & found if row in key]) == 3


def test_the_encoder_is_trained_first_and_once_and_what_starts_from_it_is_named_by_its_row(
    few_glyphs, tiny_model, tmp_path, monkeypatch
):
    def small(preset, seed):
        encoder = FewShotConfig(data="glyphs", way=3, steps=3, model=tiny_model, method="protonet")
        on_it = dataclasses.replace(encoder, method="nmn", steps=1, encoder=Path("e-seed0"))
        return [encoder, on_it]

    monkeypatch.setattr(fewshot_study, "EPISODES", 4)
    monkeypatch.setattr(fewshot_study, "_SEEDS", range(1))
    monkeypatch.setattr(fewshot_study, "_planned", small)
    monkeypatch.setattr(fewshot_study, "_BUDGETS", {"cpu": ("default",)})
    first, second = STUDY.cells("cpu")
    result = STUDY.run(second, tmp_path / second.key)
    assert result.cell == second
    model = tmp_path / first.key / "model.safetensors"
    before = model.stat().st_mtime_ns
    STUDY.run(second, tmp_path / f"other-{second.key}")
    assert model.stat().st_mtime_ns == before
    assert STUDY.run(first, tmp_path / first.key).cell == first


def test_a_cell_of_another_study_is_refused(tmp_path):
    with pytest.raises(InputError, match="is no cell of study fewshot"):
        STUDY.run(Cell("fewshot", "fastslow", "glyphs", {"task": "5w1s"}, 0), tmp_path / "x")
    assert list(tmp_path.iterdir()) == []


def test_the_page_has_a_row_for_all_seeds_of_a_cell():
    shown = ("none", "fast_path_off")
    cells = [c for c in STUDY.cells("cpu") if c.method == "fastslow" and c.options["control"] in shown]
    results = [Result(cell, {"accuracy": Interval(0.5, 0.01, 100)}, Provenance("x", {})) for cell in cells]
    [table] = STUDY.page(results).tables
    assert len(cells) == 6
    assert [row[:4] for row in table.rows] == [["omniglot", "fastslow", "default", control] for control in shown]
    assert all("50.00" in row[5] for row in table.rows)


def test_the_title_of_the_table_says_which_classes_were_measured():
    [cell, *_] = STUDY.cells("cpu")
    number = {"accuracy": Interval(0.5, 0.01, 100)}
    facts = [{"part": "test"}, {"part": "all", "trained_on_classes": 5}]
    titles = [
        STUDY.page([Result(cell, number, Provenance("x", {}, protocol=protocol))]).tables[0].title for protocol in facts
    ]
    assert titles == ["Accuracy on test classes, %", "Accuracy on all classes (5 of them trained on), %"]


@pytest.mark.slow
def test_a_study_is_reproduced_and_goes_on_where_a_kill_left_no_checkpoint(
    few_glyphs, tiny_model, tmp_path, monkeypatch
):
    config = FewShotConfig(data="glyphs", way=3, steps=3, model=tiny_model)
    monkeypatch.setattr(fewshot_study, "EPISODES", 4)
    monkeypatch.setattr(STUDY, "configs", lambda budget: [config], raising=False)
    key = config.cell().key
    (tmp_path / "runs" / key).mkdir(parents=True)
    (tmp_path / "runs" / key / "config.json").write_text("{}", encoding="utf-8")
    page = reproduce(STUDY, results=tmp_path, budget="quick")
    assert not page.missing
    assert (tmp_path / f"{key}.json").exists()
    [table] = page.tables
    assert [row[:2] for row in table.rows] == [["glyphs", "fastslow"]]
