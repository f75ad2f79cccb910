"""Rare classes in a stream: what is shown, who learns it, and what is said of it."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from fastslow.data.base import ClassImages
from fastslow.errors import InputError
from fastslow.methods import build_method
from fastslow.methods.config import preset
from fastslow.protocol.result import Cell, Interval, Provenance, Result
from fastslow.report.figures.exposures import Exposures
from fastslow.studies import load_study, rare_classes, rare_learners
from fastslow.studies.base import Study
from fastslow.studies.rare_classes import BATCH, STUDY, Plan, StreamData, number, watched
from fastslow.studies.rare_learners import LEARNERS, SEE_IMAGES, Setting

CLASSES, FEATURES = 6, 16


def test_the_study_is_registered():
    assert load_study("rare-classes") is STUDY
    assert isinstance(STUDY, Study)


@pytest.mark.parametrize("budget", ["quick", "cpu", "paper"])
def test_each_seed_has_every_learner_and_no_two_cells_have_one_key(budget):
    cells = STUDY.cells(budget)
    assert len({cell.key for cell in cells}) == len(cells)
    assert [cell.method for cell in cells[: len(LEARNERS)]] == list(LEARNERS)
    assert len({cell.seed for cell in cells}) >= (5 if budget != "quick" else 1)


def clouds(each=40, apart=3.0):
    """Classes around means that are far apart, in the place of features of images."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(CLASSES).repeat_interleave(each)
    means = apart * torch.randn(CLASSES, FEATURES, generator=generator)
    shown, asked = (means[labels] + torch.randn(len(labels), FEATURES, generator=generator) for _ in range(2))
    return StreamData(shown, labels, asked, labels, CLASSES)


@pytest.fixture
def setting():
    sizes = {"channels": (4, 8), "residual": (False, True), "image_size": 14}
    config = preset("default", **sizes, projection=FEATURES, dim=FEATURES)
    return Setting(build_method(config).encoder, None, CLASSES, seed=0)


class Watcher:
    """Remembers what it was shown, and is right about all it has seen."""

    def __init__(self, data):
        self.data, self.batches = data, []

    def learn(self, features, labels):
        assert torch.equal(features, self.data.shown[[int((self.data.shown == f).all(1).nonzero()) for f in features]])
        self.batches.append(labels)

    def answer(self, features):
        seen = torch.cat(self.batches)
        return torch.where(torch.isin(self.data.answers, seen), self.data.answers, -1)


def test_rare_classes_come_in_one_batch_of_many_and_are_asked_after_it_and_before_the_next():
    data, plan = clouds(), Plan("x", every=7, exposures=3, seeds=1)
    watcher = Watcher(data)
    numbers = dict(watched(watcher, data, plan, seed=0))
    assert [bool((labels >= 3).all()) for labels in watcher.batches] == 3 * ([False] * 6 + [True])
    assert [bool((labels < 3).all()) for labels in watcher.batches] == 3 * ([True] * 6 + [False])
    assert {len(labels) for labels in watcher.batches} == {BATCH}
    assert list(numbers) == [
        f"{kind}, {moment}" for moment in ("after 1", "before 2", "after 2", "before 3", "after 3")
        for kind in ("rare", "frequent")
    ]  # fmt: skip
    assert numbers["frequent, after 1"].mean == 1
    assert numbers["rare, after 1"].count == 3 * 40
    again = Watcher(data)
    dict(watched(again, data, plan, seed=0))
    assert all(torch.equal(a, b) for a, b in zip(watcher.batches, again.batches, strict=True))
    other = Watcher(data)
    dict(watched(other, data, plan, seed=1))
    assert not all(torch.equal(a, b) for a, b in zip(watcher.batches, other.batches, strict=True))


@pytest.mark.no_cover  # what it runs, others run
@pytest.mark.parametrize("name", [name for name in LEARNERS if name not in SEE_IMAGES])
def test_every_learner_learns_frequent_classes_and_answers_without_changing(name, setting):
    data = clouds()
    learner = LEARNERS[name](setting)
    every = 60 if name.startswith("softmax") else 30  # a last layer alone needs more batches, each of them quick
    numbers = dict(watched(learner, data, Plan("x", every=every, exposures=2, seeds=1), seed=0))
    by_its_place = name == "nmn-fast-replaced"  # which is a finding
    assert numbers["frequent, after 2"].mean > (0.2 if by_its_place else 0.6)
    assert torch.equal(learner.answer(data.asked), learner.answer(data.asked))


def test_the_memories_know_rare_classes_at_once_and_keep_them(setting):
    data = clouds()
    for name in ("stream", "nearest-mean", "nearest-example"):
        numbers = dict(watched(LEARNERS[name](setting), data, Plan("x", 20, 3, 1), seed=0))
        assert numbers["rare, after 2"].mean > 0.9
        assert numbers["rare, before 3"].mean >= numbers["rare, after 2"].mean - 0.05


def test_the_last_images_of_each_class_are_for_the_test():
    labels = torch.tensor([0, 1] * 14 + [2] * 3)
    images = ClassImages(torch.zeros(len(labels), 2, 2, dtype=torch.uint8), labels, ["a", "b", "c"])
    assert torch.nonzero(rare_classes._last_of_each(images)).flatten().tolist() == [24, 25, 26, 27, 30]


def test_a_cell_is_measured_on_data_that_ship_with_scikit_learn(tmp_path):
    cell = next(cell for cell in STUDY.cells("quick") if cell.method == "nearest-mean")
    result = STUDY.run(cell, tmp_path / cell.key)
    assert result.cell == cell
    assert result.numbers["frequent, after 3"].mean > 0.8
    assert result.numbers["rare, after 3"].mean > 0.4
    assert result.provenance.protocol["classes"] == 10
    assert "--methods nearest-mean" in result.provenance.command
    assert not (tmp_path / cell.key).exists()


def test_a_plain_network_sees_pixels_and_learns_what_is_frequent(tmp_path):
    cell = next(cell for cell in STUDY.cells("quick") if cell.method == "cnn")
    result = STUDY.run(cell, tmp_path / cell.key)
    assert result.numbers["frequent, after 3"].mean > 0.9
    data, _ = rare_classes.stream_data("digits", pixels=True)
    assert data.shown.shape[1] == 28 * 28
    assert 0 <= float(data.shown.min()) < float(data.shown.max()) <= 1


def test_a_slow_encoder_is_trained_on_frequent_classes_alone(setting, monkeypatch):
    """It sees pixels, hands over in the course of the stream, and never takes a step on a rare class."""
    monkeypatch.setattr(rare_learners, "FREQUENT", 20)
    monkeypatch.setattr(rare_learners, "EVERY", 10)
    stepped, step = [], rare_learners.SlowCopy.step
    monkeypatch.setattr(
        rare_learners.SlowCopy,
        "step",
        lambda self, images, labels: stepped.append(labels) or step(self, images, labels),
    )
    data = clouds()
    rows = torch.rand(FEATURES, 14 * 14, generator=torch.Generator().manual_seed(1))
    seen, asked = (torch.sigmoid(part @ rows / 4) for part in (data.shown, data.asked))
    learner, before = LEARNERS["stream-slow-encoder"](setting), setting.encoder.folded()
    drawn = StreamData(seen, data.labels, asked, data.answers, CLASSES)
    numbers = dict(watched(learner, drawn, Plan("x", every=30, exposures=2, seeds=1), seed=0))
    assert numbers["frequent, after 2"].mean > 0.6
    assert torch.cat(stepped).max() < CLASSES // 2
    images = asked.view(-1, 1, 14, 14)
    assert not torch.equal(learner.copy.used(images), before(images))
    assert torch.equal(setting.encoder.folded()(images), before(images))
    assert len(learner.copy.seen) < 10


def test_a_cell_of_another_study_is_refused(tmp_path):
    with pytest.raises(InputError, match="is no cell of study rare-classes"):
        STUDY.run(Cell("other", "stream", "digits", {}, 0), tmp_path)


def test_the_page_has_a_row_a_learner_and_a_line_in_the_picture(tmp_path):
    cells = [
        dataclasses.replace(cell, seed=0) for cell in STUDY.cells("quick") if cell.seed == 0 and "nmn" in cell.method
    ]
    names = [
        number(kind, k, later=later) for k in (1, 2, 3) for later in (False, True) for kind in ("rare", "frequent")
    ]
    numbers = {name: Interval(0.5, 0.1, 9) for name in names[:-2]}
    page = STUDY.page([Result(cell, numbers, Provenance(command="", versions={})) for cell in cells])
    (table,), (figure,) = page.tables, page.figures
    assert [row[0] for row in table.rows] == [cell.method for cell in cells]
    assert list(table.columns)[1:] == [
        "rare, after 1", "rare, after 2", "rare, after 3", "rare, before 2", "rare, before 3", "frequent, after 1",
        "frequent, after 2", "frequent, after 3",
    ]  # fmt: skip
    assert list(figure.frame())[:2] == ["exposure", "moment"]
    assert figure.frame()["nmn"] == [0.5] * 5
    figure.plot(tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("curves", [{}, {"a": []}, {"a": [0.1], "b": [0.1, 0.2]}])
def test_no_curves_are_no_picture(curves):
    with pytest.raises(InputError, match="there are no lines to draw"):
        Exposures("t", curves)
