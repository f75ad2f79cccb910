"""The study of Table 1: its cells, one of them run, and its page."""

from __future__ import annotations

import dataclasses

import pytest

from conftest import SMALL_SIZES, TINY_MODEL
from fastslow.errors import InputError
from fastslow.methods.config import METHODS
from fastslow.protocol.result import Cell, Interval, Provenance, Result, read_result, write_result
from fastslow.report.figures.accuracy_cost import AccuracyAgainstCost
from fastslow.studies import fewshot_study, load_study, table1
from fastslow.studies.base import Study
from fastslow.studies.table1 import PLANS, ROWS, STUDY
from fastslow.studies.table1_harder import (
    SAME_ALPHABET,
    TURNED_SHOTS,
    WRONG,
    digits_name,
    turned_name,
    wrong_labels_name,
)
from fastslow.studies.table1_page import PAPER, table1_page


def test_every_method_has_its_row_and_every_row_of_the_paper_is_one():
    assert load_study("table1") is STUDY
    assert isinstance(STUDY, Study)
    assert {row["method"] for row in ROWS.values()} == set(METHODS)
    assert set(PAPER) <= set(ROWS)


def test_rows_with_fewer_episodes_have_enough_of_them_for_an_interval():
    assert set(table1.FEWER) <= set(ROWS)
    assert all(plan.hard_episodes // fewer >= 2 for plan in PLANS.values() for fewer in table1.FEWER.values())


@pytest.mark.parametrize("budget", PLANS)
def test_all_runs_of_a_budget_are_of_one_length_and_no_two_have_one_key(budget):
    cells = STUDY.cells(budget)
    assert len({cell.key for cell in cells}) == len(cells) == len(ROWS) * len(PLANS[budget].ways) * PLANS[budget].seeds
    assert {cell.options["length"] for cell in cells} == {f"{PLANS[budget].minutes:.12g}min"}
    assert {cell.data for cell in cells} == {PLANS[budget].data}
    assert {cell.data for cell in STUDY.cells(budget, "digits")} == {"digits"}


def test_a_cell_is_trained_measured_at_one_and_five_shots_and_its_cost_taken(few_glyphs, tmp_path, monkeypatch):
    small = dataclasses.replace(PLANS["quick"], minutes=0.002, episodes=4, hard_episodes=2)
    monkeypatch.setattr(table1, "PLANS", {"quick": small})
    monkeypatch.setitem(ROWS, "fastslow", {"method": "fastslow", "model": TINY_MODEL})
    run = fewshot_study.run_fewshot
    monkeypatch.setattr(fewshot_study, "run_fewshot", lambda *a, **k: run(*a, **k, sizes=SMALL_SIZES))
    cell = next(cell for cell in STUDY.cells("quick") if cell.options["row"] == "fastslow")
    result = STUDY.run(cell, tmp_path / cell.key)
    assert result.cell == cell
    assert list(result.numbers)[:2] == ["accuracy", "fast_path_off, 1-shot"]
    assert {"accuracy, 5-shot", "protonet, 5-shot", "learn_ms", "learn_mflop", "model_mib"} <= set(result.numbers)
    assert result.numbers["accuracy, 5-shot"].count == 4
    assert result.numbers["accuracy, 5-shot, 40% wrong labels"].count == 2
    turned = map(turned_name, TURNED_SHOTS)
    assert list(result.provenance.protocol["measurements"]) == ["5-shot", *turned, *map(wrong_labels_name, WRONG)]
    write_result(tmp_path / "result.json", result)
    assert read_result(tmp_path / "result.json") == result
    assert result.provenance.protocol["needs_autograd"] is False


def test_a_cell_of_another_study_is_refused(tmp_path):
    with pytest.raises(InputError, match="is no cell of study table1"):
        STUDY.run(Cell("table1", "fastslow", "glyphs", {"task": "5w1s", "row": "fastslow"}, 0), tmp_path / "x")


def result(cell, accuracy, milliseconds):
    numbers = {
        "accuracy": Interval(accuracy, 0.01, 9), "accuracy, 5-shot": Interval(accuracy + 0.01, 0.01, 9),
        "learn_ms": Interval(milliseconds, 0.1, 20, "ms"),
    }  # fmt: skip
    return Result(cell, numbers, Provenance("x", {}, protocol={"needs_autograd": cell.method == "nmn"}))


def test_the_page_has_the_papers_numbers_beside_ours_over_seeds():
    wanted = [cell for cell in STUDY.cells("cpu") if cell.options["row"] in ("nmn", "protonet") and cell.seed < 2]
    results = [result(cell, 0.9 + 0.02 * cell.seed, 3.0) for cell in wanted]
    page = table1_page(results)
    accuracies, five, twenty = page.tables
    assert accuracies.columns == [
        "method", "5w1s", "paper 5w1s", "5w5s", "paper 5w5s", "20w1s", "paper 20w1s", "20w5s", "paper 20w5s",
    ]  # fmt: skip
    assert accuracies.rows[0][1:5] == ["91.00 ± 1.00 (2)", "80.2", "92.00 ± 1.00 (2)", "89.1"]
    assert accuracies.rows[1][1:3] == ["91.00 ± 1.00 (2)", "-"]
    assert [row[-1] for row in five.rows] == ["yes", "no"]
    assert len(twenty.rows) == 2
    assert [figure.frame()["name"] for figure in page.figures] == [["nmn", "protonet"]] * 2
    assert r"\begin{tabular}" in page.latex()


def test_the_page_has_a_table_for_each_harder_test_that_was_measured():
    wanted = [cell for cell in STUDY.cells("cpu") if cell.options["row"] in ("nmn", "protonet") and cell.seed < 2]
    usual = [result(cell, 0.9, 3.0) for cell in wanted]
    facts = {"measurements": {SAME_ALPHABET: {"episodes": 300, "classes_used": 419, "trained_on_classes": 0}}}
    harder = []
    for one in usual:
        numbers = {f"accuracy, {wrong_labels_name(WRONG[0])}": Interval(0.8 + 0.02 * one.cell.seed, 0.01, 300)}
        if one.cell.options["task"] == "20w1s" and one.cell.method == "protonet":
            numbers |= {f"accuracy, {SAME_ALPHABET}": Interval(0.7, 0.01, 300)}
            numbers |= {f"accuracy, {digits_name(10)}": Interval(0.6, 0.01, 300)}
        provenance = dataclasses.replace(one.provenance, protocol={**one.provenance.protocol, **facts})
        harder.append(dataclasses.replace(one, numbers={**one.numbers, **numbers}, provenance=provenance))
    tables = {table.title.split(",")[0]: table for table in table1_page(harder).tables[1:-2]}
    assert list(tables) == ["Wrong labels in the support set", "Same alphabet", "MNIST digits"]
    five_way = table1_page(harder).tables[1]
    assert five_way.title.endswith("5-way 5-shot, test classes, %: mean ± standard error (seeds) of 300 episodes")
    gated = {f"write_gate, {wrong_labels_name(0.4)}": Interval(0.5, 0.01, 300)}
    with_gate = dataclasses.replace(harder[0], numbers={**harder[0].numbers, **gated})
    assert table1_page([with_gate]).tables[1].rows[1] == ["nmn, write gate", "-", "-", "-", "50.00 (1)"]
    assert five_way.rows == [[row, "81.00 ± 1.00 (2)", "-", "-", "-"] for row in ("nmn", "protonet")]
    assert "419 classes, none of them trained on" in tables["Same alphabet"].title
    assert tables["Same alphabet"].rows == [["protonet", "70.00 ± 0.00 (2)"]]
    assert tables["MNIST digits"].rows == [["protonet", "-", "-", "60.00 ± 0.00 (2)"]]


def test_the_picture_needs_points(tmp_path):
    with pytest.raises(InputError, match="no points to draw"):
        AccuracyAgainstCost("x", [])
    AccuracyAgainstCost("x", [("$a$", 2.0, Interval(0.9, None, 1))]).plot(tmp_path / "x.png")
    assert (tmp_path / "x.png").read_bytes().startswith(b"\x89PNG")


def test_maml_makes_smaller_steps_at_many_ways_and_rows_that_learn_on_an_encoder_see_all_images():
    configs = {(cell.options["row"], cell.options["task"]): table1.config_of(cell) for cell in STUDY.cells("cpu")}
    family = [row for row in ROWS if "maml" in row]
    assert len(family) == 5
    assert {configs[row, "5w1s"].tasks for row in ROWS} == {16}
    assert {row for row in ROWS if configs[row, "20w1s"].tasks == 4} == set(family)
    assert {row for row in ROWS if configs[row, "5w1s"].cached_images >= 82240} == {"mann", "fastslow-paper"}
    assert configs["mann", "20w1s"].model_config().num_slots == 101
