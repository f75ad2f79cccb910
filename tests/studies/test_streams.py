from __future__ import annotations

import pytest

from fastslow.errors import InputError
from fastslow.protocol.result import Cell, Interval, Provenance, Result
from fastslow.studies import load_study, streams
from fastslow.studies.base import Study
from fastslow.studies.streams import PUBLISHED, ROWS, SHOWN, STUDY


def test_the_study_is_registered():
    assert load_study("streams") is STUDY
    assert isinstance(STUDY, Study)


@pytest.mark.parametrize("budget", ["quick", "cpu", "paper"])
def test_each_seed_has_every_row_and_no_two_have_one_key(budget):
    cells = STUDY.cells(budget)
    assert len({cell.key for cell in cells}) == len(cells)
    assert [cell.method for cell in cells] == len({cell.seed for cell in cells}) * [
        row["method"] for row in ROWS.values()
    ]


def test_mann_is_trained_on_whole_streams():
    mann, *_ = STUDY.cells("cpu")
    assert mann.options["task"] == "5w9s"
    assert mann.options["queries"] == 1  # 5 x (9 + 1) drawings


def test_the_page_has_the_published_numbers_below_ours():
    numbers = {f"instance {i}": Interval(0.01 * i, 0.001, 9) for i in range(1, 11)}
    cells = [cell for cell in STUDY.cells("quick") if cell.method != "surprise"]
    results = [Result(cell, numbers, Provenance(command="", versions={})) for cell in cells]
    (table,) = STUDY.page(results).tables
    rows = {row[0]: row[1:] for row in table.rows}
    assert list(rows) == [*ROWS, *PUBLISHED]
    assert list(rows["mann"]) == [f"{instance}.00 (1)" for instance in SHOWN]
    assert set(rows["surprise"]) == {"-"}
    assert rows["MANN, published"][1] == "82.8"


@pytest.mark.no_cover  # a training, by code that others run
def test_a_cell_is_trained_and_measured_by_instance(few_glyphs, tmp_path, monkeypatch):
    monkeypatch.setattr(streams, "PLANS", {"quick": streams.Plan("glyphs", 0.02, 1, 4)})
    cell = next(cell for cell in STUDY.cells("quick") if cell.method == "protonet")
    result = STUDY.run(cell, tmp_path / cell.key)
    assert result.cell == cell
    assert result.provenance.protocol["streams"]["instances"] == 10
    numbers = [result.numbers[f"instance {i}"] for i in range(1, 11)]
    assert all(number.count == 4 for number in numbers)
    assert numbers[9].mean > numbers[0].mean  # the first is not known yet


def test_a_cell_of_another_study_is_refused(tmp_path):
    with pytest.raises(InputError, match="is no cell of study streams"):
        STUDY.run(Cell("other", "mann", "omniglot", {}, 0), tmp_path)
