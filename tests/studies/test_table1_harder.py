"""The harder measurements of Table 1: what is measured, on which classes, and what is left out and why."""

from __future__ import annotations

import re

import pytest
import torch

from conftest import TINY_MODEL
from fastslow.data import registry
from fastslow.data.base import ClassImages
from fastslow.data.registry import DATA
from fastslow.data.splits import make_split
from fastslow.errors import InputError
from fastslow.methods import build_method
from fastslow.methods.files import TrainedModel, save_model
from fastslow.protocol.classes import ENTRY, trained_on
from fastslow.protocol.fewshot import evaluate_model
from fastslow.studies.fewshot_config import FewShotConfig
from fastslow.studies.table1_harder import (
    SAME_ALPHABET,
    digits_name,
    measure_all,
    measurements,
    turned_name,
    wrong_labels_name,
)

ALPHABETS = [f"images_evaluation/{name}/character{n:02}" for name in ("Oriya", "Tibetan") for n in range(1, 22)]
#: Characters trained on, two alphabets for test, and one too small for 20 ways.
NAMES = (
    *(f"images_background/Greek/character{n:02}" for n in range(1, 4)),
    *ALPHABETS,
    "images_evaluation/X/character01",
)
EDGE = int(TINY_MODEL["image_size"])
WRONG = [wrong_labels_name(share) for share in (0.1, 0.2, 0.3, 0.4)]
TURNED = [turned_name(shot) for shot in (1, 5)]
DIGITS = [digits_name(shot) for shot in (1, 5, 10)]


def drawings(names, each):
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(len(names)).repeat_interleave(each)
    images = torch.randint(0, 156, (len(names), EDGE, EDGE), generator=generator)[labels]
    noise = torch.randint(0, 100, images.shape, generator=generator)
    return ClassImages((images + noise).to(torch.uint8), labels, names)


@pytest.fixture
def made_up(monkeypatch):
    """Noise in the place of Omniglot and MNIST."""

    def split(names):
        return make_split("vinyals", names, train=range(3), validation=(), test=range(3, len(names)))

    characters, digits = drawings(NAMES, 20), drawings(tuple("0123456789"), 25)
    omniglot = DATA["omniglot"]._replace(load=lambda *_: characters, splits={"vinyals": split})
    monkeypatch.setitem(registry.DATA, "omniglot", omniglot)
    monkeypatch.setitem(registry.DATA, "mnist", DATA["mnist"]._replace(load=lambda *_: digits))


@pytest.fixture
def without_mnist(made_up, monkeypatch):
    def load(*_):
        raise InputError("train-images-idx3-ubyte.gz is missing; fetch it")

    monkeypatch.setitem(registry.DATA, "mnist", DATA["mnist"]._replace(load=load))


def config(way, **changes):
    return FewShotConfig(
        steps=1, way=way, model={**TINY_MODEL, "num_slots": 5 * way + 1}, **{"data": "omniglot", **changes}
    )


def wanted(config):
    found, notes = measurements(config, shots=(5,), episodes=3, hard_episodes=2)
    return [one.name for one in found], notes


def test_characters_of_twenty_ways_are_measured_in_all_tests_those_of_five_and_glyphs_in_some(made_up):
    assert wanted(config(20)) == (["5-shot", *TURNED, *WRONG, SAME_ALPHABET, *DIGITS], [])
    assert wanted(config(20, data="glyphs")) == (["5-shot", *TURNED, *WRONG, *DIGITS], [])
    assert wanted(config(5)) == (["5-shot", *TURNED, *WRONG], [])


def test_without_mnist_its_digits_are_left_out_and_the_reason_is_said(without_mnist):
    names, notes = wanted(config(20))
    assert names == ["5-shot", *TURNED, *WRONG, SAME_ALPHABET]
    assert notes == ["not measured on MNIST: train-images-idx3-ubyte.gz is missing; fetch it"]


def saved(config, folder):
    torch.manual_seed(0)
    details = {ENTRY: trained_on("omniglot", "vinyals", NAMES[:3])}
    model = TrainedModel(build_method(config.model_config()).eval(), config.model_config(), details)
    save_model(folder / "model.safetensors", model)
    return model


def test_every_number_is_that_of_the_model_measured_alone_in_such_episodes(made_up, tmp_path):
    options = config(20)
    model = saved(options, tmp_path)
    found = measure_all(
        tmp_path, options, measurements(options, shots=(5,), episodes=3, hard_episodes=2)[0], part="test"
    )
    assert found.notes == []
    assert {name for name in found.numbers if name.startswith("accuracy")} == {
        f"accuracy, {name}" for name in ("5-shot", *TURNED, *WRONG, SAME_ALPHABET, *DIGITS)
    }
    images, split = registry.load_source("omniglot")
    harder = {
        "5-shot": {"n_shot": 5, "episodes": 3}, WRONG[2]: {"n_shot": 5, "wrong_labels": 0.3},
        SAME_ALPHABET: {"same_alphabet": True}, TURNED[1]: {"n_shot": 5, "rotations": "episode"},
    }  # fmt: skip
    for name, episodes in harder.items():
        alone = evaluate_model(model, images=images, split=split, **{"n_way": 20, "episodes": 2, **episodes})
        assert {f"{number}, {name}": value for number, value in alone.numbers.items()}.items() <= found.numbers.items()
    images, split = registry.load_source("mnist")
    alone = evaluate_model(model, images=images, split=split, part="all", n_way=10, n_shot=10, episodes=2)
    assert found.numbers[f"accuracy, {DIGITS[2]}"] == alone.numbers["accuracy"]


def test_classes_of_one_alphabet_are_test_classes_that_no_model_was_trained_on(made_up, tmp_path):
    options = config(20)
    saved(options, tmp_path)
    only = [one for one in measurements(options, shots=(), episodes=2, hard_episodes=2)[0] if one.same_alphabet]
    found = measure_all(tmp_path, options, only, part="test")
    assert found.facts == {SAME_ALPHABET: {"episodes": 2, "classes_used": 42, "trained_on_classes": 0}}


def test_what_the_data_cannot_give_is_noted_and_the_rest_is_measured(made_up, tmp_path):
    options = config(20)
    saved(options, tmp_path)
    usual, *_ = measurements(options, shots=(1,), episodes=2, hard_episodes=2)[0]
    found = measure_all(tmp_path, options, [usual._replace(shot=6, name="6-shot"), usual], part="test")
    assert list(found.facts) == ["1-shot"]
    assert re.match("not measured at 6-shot: got", found.notes[0])
