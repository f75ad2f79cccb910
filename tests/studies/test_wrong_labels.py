"""Wrong labels: what is taught under another name, what is measured, and what is said of it."""

from __future__ import annotations

import pytest
import torch

from fastslow.errors import InputError
from fastslow.protocol.result import Cell
from fastslow.studies import load_study, wrong_labels
from fastslow.studies.base import Study
from fastslow.studies.wrong_labels import NUMBERS, SHARES, STUDY, WAYS, _episode


def generators():
    return [torch.Generator().manual_seed(seed) for seed in (0, 1)]


def features(apart=1.0):
    noise = 0.4 * torch.randn(30, 20, 128, generator=torch.Generator().manual_seed(0))
    return apart * torch.randn(30, 1, 128, generator=torch.Generator().manual_seed(1)) + noise


def test_the_study_is_registered_and_has_every_share_at_each_number_of_classes():
    assert load_study("wrong-labels") is STUDY
    assert isinstance(STUDY, Study)
    cells = STUDY.cells("cpu")
    assert len({cell.key for cell in cells}) == len(cells) == len(WAYS) * len(SHARES)


def test_classes_far_apart_are_known_and_doubt_saves_what_wrong_labels_cost():
    right = _episode(features(), 5, 0.0, *generators())
    assert list(right) == list(NUMBERS)
    assert right["doubting"] == right["believing"] == right["nearest_mean"] == 1.0
    episodes, labels = generators()
    many = [_episode(features(), 5, 0.4, episodes, labels) for _ in range(20)]
    mean = {name: sum(one[name] for one in many) / len(many) for name in NUMBERS}
    assert mean["doubting"] > mean["believing"] + 0.01
    assert mean["gain"] == pytest.approx(mean["doubting"] - mean["nearest_mean"])


def test_the_share_of_wrong_labels_is_taught_and_episodes_are_the_same_at_each(monkeypatch):
    taught = {}

    class Watching(wrong_labels.StreamMemory):
        def learn(self, features, labels, announced=()):
            taught.setdefault(share, []).append((features, labels))
            return super().learn(features, labels, announced)

    monkeypatch.setattr(wrong_labels, "StreamMemory", Watching)
    for share in (0.0, 0.4):
        _episode(features(), 5, share, *generators())
    (right, right_labels), (wrong, wronged) = taught[0.0][0], taught[0.4][0]
    assert torch.equal(right, wrong)
    assert sum(a != b for a, b in zip(right_labels, wronged, strict=True)) == 10
    assert right_labels == sorted(right_labels)


def test_a_cell_is_measured_on_glyphs_and_shown(tmp_path):
    cell = STUDY.cells("quick")[2]
    result = STUDY.run(cell, tmp_path / "x")
    assert result.numbers["doubting"].mean > 0.8
    assert result.numbers["gain"].unit == "points"
    (table,) = STUDY.page([result]).tables
    assert table.rows[0][0] == "5w5s, 20 %"
    assert "±" in table.rows[0][1]


def test_a_cell_of_another_study_or_of_small_data_is_refused(tmp_path, monkeypatch):
    with pytest.raises(InputError, match="is no cell of study wrong-labels"):
        STUDY.run(Cell("other", "stream", "glyphs", {}, 0), tmp_path)
    monkeypatch.setattr(wrong_labels, "test_features", lambda name: (features()[:5], {}))
    with pytest.raises(InputError, match="has 5 test classes of at least 20 images: too few for 5 known classes of 5"):
        STUDY.run(STUDY.cells("quick")[0], tmp_path)
