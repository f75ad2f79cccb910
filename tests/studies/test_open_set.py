"""None of these: what is measured, and what is said of it."""

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fastslow.errors import InputError
from fastslow.protocol.result import Cell
from fastslow.studies import load_study
from fastslow.studies.base import Study
from fastslow.studies.open_set import NUMBERS, STUDY, TASKS, _episode, auroc

NUMBERS_OF = st.lists(st.integers(0, 5), min_size=1, max_size=12)


def test_the_study_is_registered():
    assert load_study("open-set") is STUDY
    assert isinstance(STUDY, Study)
    assert [cell.options["task"] for cell in STUDY.cells("cpu")] == [f"{way}w{shot}s" for way, shot in TASKS]


@given(NUMBERS_OF, NUMBERS_OF)
def test_the_area_counts_pairs_in_the_right_order(lower, higher):
    pairs = [(a < b) + 0.5 * (a == b) for a, b in itertools.product(lower, higher)]
    found = auroc(torch.tensor(lower).float(), torch.tensor(higher).float())
    assert found == pytest.approx(sum(pairs) / len(pairs))


@pytest.mark.parametrize(("apart", "least", "most"), [(1.0, 0.95, 1.0), (0.0, 0.3, 0.7)])
def test_classes_far_apart_are_told_and_classes_alike_are_not(apart, least, most):
    generator = torch.Generator().manual_seed(0)
    noise = 0.4 * torch.randn(30, 20, 128, generator=generator)  # as features of the model vary
    features = apart * torch.randn(30, 1, 128, generator=generator) + noise
    found = _episode(features, 5, 5, generator)
    assert list(found) == list(NUMBERS)
    assert least <= found["auroc"] <= most
    assert (found["accuracy"] == 1.0) == (apart > 0)


def test_known_queries_are_of_known_classes_and_none_is_a_support_example():
    """Where examples of a class are all alike, each known query is at its class, and no other is."""
    generator = torch.Generator().manual_seed(0)
    features = (3.0 * torch.eye(12)[:, None, :]).expand(12, 6, 12).repeat(1, 1, 11)[:, :, :128]
    found = _episode(features.contiguous(), 4, 2, generator)
    assert (found["auroc"], found["unseen_rejected"]) == (1.0, 1.0)
    assert found["accuracy"] == found["nearest_mean"] == 1.0


def test_a_cell_is_measured_on_glyphs_and_shown(tmp_path):
    cells = [cell for cell in STUDY.cells("quick") if cell.options["task"] == "5w5s"]
    result = STUDY.run(cells[0], tmp_path / "x")
    assert result.numbers["auroc"].mean > 0.9
    assert result.numbers["auroc"].count == 20
    (table,) = STUDY.page([result]).tables
    assert table.rows[0][0] == "5w5s"
    assert len(table.rows[0]) == 1 + len(NUMBERS)


def test_a_cell_of_another_study_is_refused(tmp_path):
    with pytest.raises(InputError, match="is no cell of study open-set"):
        STUDY.run(Cell("other", "stream", "glyphs", {}, 0), tmp_path)
