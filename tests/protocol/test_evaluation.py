"""`evaluate_model`: what is measured, what stands beside it, and what is said of the classes."""

import os
from pathlib import Path

import pytest
import torch

from fastslow.data.base import ClassImages
from fastslow.data.registry import load_source
from fastslow.data.splits import make_split
from fastslow.errors import InputError
from fastslow.methods import build_method
from fastslow.methods.config import METHODS, preset
from fastslow.methods.files import TrainedModel, load_model, pretrained_names
from fastslow.protocol import fewshot
from fastslow.protocol.classes import classes_trained_on, trained_on
from fastslow.protocol.fewshot import TEST_SEED, evaluate_model

REAL_DATA = Path(os.environ.get("FASTSLOW_DATA") or Path(__file__).resolve().parents[3] / "shared" / "data")


def model_of(name="default", details=None, **changes):
    sizes = {"channels": (2, 4), "residual": (False, True), "projection": 8, "dim": 8, "predictor_hidden": 4}
    torch.manual_seed(0)
    config = preset(name, **{**sizes, "image_size": 8, "n_way": 3, "num_slots": 6, **changes})
    method = build_method(config)
    for parameter in method.parameters():
        parameter.data += 0.2 * torch.randn_like(parameter)
    return TrainedModel(method.eval(), config, details or {})


def data(sizes=(6,) * 10):
    """Classes of noisy drawings, named c0, c1, ...; the first four for training, then one, the rest for test."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes))
    drawings = torch.randint(0, 156, (len(sizes), 8, 8), generator=generator)
    images = drawings[labels] + torch.randint(0, 100, (len(labels), 8, 8), generator=generator)
    names = tuple(f"c{n}" for n in range(len(sizes)))
    split = make_split("s", names, train=range(4), validation=(4,), test=range(5, len(sizes)))
    return {"images": ClassImages(images.to(torch.uint8), labels, names), "split": split}


def evaluate(model, given=None, **options):
    return evaluate_model(model, **(given or data()), **{"n_way": 3, "queries": 4, "episodes": 6, **options})


def test_the_main_number_comes_first_then_the_fast_path_off_and_prototypes():
    numbers, facts = evaluate(model_of())
    assert list(numbers) == ["accuracy", "fast_path_off", "protonet"]
    assert {number.count for number in numbers.values()} == {6}
    assert facts == {
        "method": "fastslow", "part": "test", "split": "s", "split_sha256": data()["split"].sha256, "n_way": 3,
        "n_shot": 1, "queries_per_class": 4, "episodes": 6, "seed": TEST_SEED, "transductive": False,
        "needs_autograd": False, "views": 1,
        "classes_used": 5, "classes_left_out": 0, "images_used": 30, "images_left_out": 0, "trained_on_classes": None,
        "image_size": 8,
    }  # fmt: skip


def test_the_write_gate_stands_beside_the_default_rule_at_several_shots_alone():
    given = data((8,) * 10)
    hard = {"n_shot": 3, "wrong_labels": 0.3}
    assert list(evaluate(model_of(num_slots=9), given, **hard).numbers)[2] == "write_gate"
    assert "write_gate" not in evaluate(model_of(num_slots=9, write_gate=True), given, **hard).numbers
    assert "write_gate" not in evaluate(model_of(num_slots=9, control="true_gradient"), given, **hard).numbers


def test_the_figure_of_one_view_is_that_of_the_encoder_without_views():
    plain, views = model_of(method="protonet"), model_of(method="protonet", views=True)
    views.method.encoder.encoder, views.method.encoder.projection = (
        plain.method.encoder.encoder, plain.method.encoder.projection,
    )  # fmt: skip
    assert evaluate(views).numbers["protonet_one_view"] == evaluate(plain).numbers["accuracy"]
    assert evaluate(views).numbers["accuracy"] != evaluate(plain).numbers["accuracy"]
    assert evaluate(views).facts["views"] == 8


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"method": "protonet"}, ["accuracy"]),
        ({"method": "nmn"}, ["accuracy", "protonet"]),
        ({"control": "fast_path_off"}, ["accuracy", "protonet"]),
        ({"name": "paper"}, ["accuracy", "fast_path_off", "protonet"]),
        ({"views": True}, ["accuracy", "fast_path_off", "protonet", "protonet_one_view"]),
        ({"views": True, "method": "protonet"}, ["accuracy", "protonet_one_view"]),
    ],
    ids=str,
)
def test_what_stands_beside_a_method(changes, names):
    assert list(evaluate(model_of(**changes)).numbers) == names


def test_prototypes_beside_a_method_are_those_of_a_model_of_their_own_with_that_encoder():
    model = model_of()
    beside = evaluate(model).numbers["protonet"]
    alone = evaluate(model, method="protonet")
    assert alone.numbers == {"accuracy": beside}
    assert alone.facts["method"] == "protonet"
    assert 1 / 3 < beside.mean < 1


#: Methods with nothing to train beside the encoder.
ENCODER_ALONE = [m for m in METHODS if set(build_method(preset("default", method=m)).stages) == {"encoder"}]


@pytest.mark.parametrize("method", ENCODER_ALONE)
def test_another_method_is_measured_on_the_models_encoder_and_torchs_random_stream_stays(method):
    model = model_of()
    before = torch.random.get_rng_state()
    first = evaluate(model, method=method)
    torch.manual_seed(99)
    assert evaluate(model, method=method) == first
    torch.random.set_rng_state(before)


def test_a_method_with_weights_that_nobody_trained_is_refused():
    assert set(ENCODER_ALONE) >= {"matching", "nmn", "protonet"}
    for method in set(METHODS) - set(ENCODER_ALONE):
        with pytest.raises(
            InputError, match=f"got method='{method}' for a model trained as 'protonet'; it has weights"
        ):
            evaluate(model_of(method="protonet"), method=method)
    with pytest.raises(InputError, match="got method='x'; choose from"):
        evaluate(model_of(), method="x")


def test_another_method_leaves_out_what_is_of_the_models_own_alone():
    assert evaluate(model_of(write_gate=True), method="protonet") == evaluate(model_of(), method="protonet")


@pytest.mark.parametrize("changes", [{}, {"inner_steps": 2, "inner_rate": 0.1}])
def test_no_method_is_measured_on_an_encoder_without_features_of_its_own(changes):
    with pytest.raises(InputError, match="takes images as they are: its encoder has no features to compare"):
        evaluate(model_of(method="maml", **changes), method="protonet")


def test_features_are_made_once_for_all_that_embed_alike(monkeypatch):
    calls = []
    real = fewshot.embed
    monkeypatch.setattr(fewshot, "embed", lambda *args, **options: calls.append(args) or real(*args, **options))
    evaluate(model_of())
    assert len(calls) == 1


def test_test_episodes_do_not_depend_on_torchs_random_stream_and_the_model_is_not_modified():
    model = model_of()
    before = {name: value.clone() for name, value in model.method.state_dict().items()}
    first = evaluate(model)
    torch.manual_seed(5)
    assert evaluate(model) == first
    assert evaluate(model, seed=1).numbers != first.numbers
    assert all(torch.equal(before[name], value) for name, value in model.method.state_dict().items())


def test_progress_counts_the_images_and_the_episodes_of_all_numbers():
    done = []
    found = evaluate(model_of(), episodes=51, on_progress=lambda *told: done.append(told))
    assert list(found.numbers) == ["accuracy", "fast_path_off", "protonet"]
    assert done == [("images", 30, 30), *(("episodes", count, 153) for count in (50, 51, 101, 102, 152, 153))]


def test_turned_classes_are_measured_as_such_and_those_trained_on_are_known_turned_as_well():
    details = {"trained_on": trained_on("d", "s", ["c5", "c6", "c0"])}
    model, given, features = model_of(details=details, method="protonet"), data(), {}
    turned = {
        "images": given["images"].with_rotations(),
        "split": make_split(
            "s", given["images"].with_rotations().class_names, train=range(5), validation=(),
            test=[k * 10 + c for k in range(4) for c in range(5, 10)],
        ),
    }  # fmt: skip
    upright = evaluate(model, features=features)
    classes = evaluate(model, rotations="classes", features=features)
    episode = evaluate(model, rotations="episode", features=features)
    assert classes.numbers["accuracy"] == evaluate(model, turned).numbers["accuracy"]
    assert len({str(each.numbers["accuracy"]) for each in (upright, classes, episode)}) == 3
    assert [each.facts["trained_on_classes"] for each in (upright, classes, episode)] == [2, 8, 8]
    assert [each.facts.get("rotations") for each in (upright, classes, episode)] == [None, "classes", "episode"]
    assert upright.facts["classes_used"] * 4 == classes.facts["classes_used"] == 20
    with pytest.raises(InputError, match=r"got rotations='x'; choose from \['none', 'classes', 'episode'\]"):
        evaluate(model, rotations="x")


def test_classes_trained_on_are_counted_and_the_new_ones_measured_alone():
    new = trained_on("d", "s", [f"c{n}" for n in range(4)])
    assert evaluate(model_of(details={"trained_on": new})).facts["trained_on_classes"] == 0
    assert "accuracy_new_classes" not in evaluate(model_of(details={"trained_on": new})).numbers
    details = {"trained_on": trained_on("d", "s", ["c5", "c6", "c0"])}
    assert list(evaluate(model_of(details=details)).numbers)[:2] == ["accuracy", "accuracy_new_classes"]
    numbers, facts = evaluate(model_of(details=details, method="protonet"))
    assert facts["trained_on_classes"] == 2
    # The same as measuring the classes c7, c8 and c9 in a split of their own.
    images = data()["images"]
    split = make_split("new", images.class_names, train=(), validation=(), test=(7, 8, 9))
    alone = evaluate(model_of(method="protonet"), {"images": images, "split": split})
    assert numbers["accuracy_new_classes"] == alone.numbers["accuracy"]
    assert numbers["accuracy"] != numbers["accuracy_new_classes"]


@pytest.mark.parametrize("part", ["train", "all"])
def test_every_part_that_overlaps_with_training_says_so(part):
    model = model_of(details={"trained_on": trained_on("d", "s", [f"c{n}" for n in range(4)])})
    facts = evaluate(model, part=part).facts
    assert facts["trained_on_classes"] == 4
    assert facts["part"] == part


def test_new_classes_are_measured_alone_only_where_enough_of_them_have_enough_images():
    details = {"trained_on": trained_on("d", "s", ["c5", "c6"])}
    numbers, facts = evaluate(model_of(details=details), data((6,) * 9 + (4,)))
    assert facts["trained_on_classes"] == 2
    assert "accuracy_new_classes" not in numbers
    assert (facts["classes_used"], facts["classes_left_out"], facts["images_left_out"]) == (4, 1, 4)


def test_all_classes_can_be_measured_with_few_queries():
    facts = evaluate(model_of(), data((3,) * 10), part="all", queries=2).facts
    assert (facts["classes_used"], facts["queries_per_class"]) == (10, 2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_way": 4}, r"got n_way=4; it must be from 2 to 3 \(the ways of a task that this model was built for\)"),
        ({"n_way": 1}, "got n_way=1; it must be from 2 to 3"),
        ({"episodes": 1}, r"got episodes=1; it must be from 2 to \d+ \(an interval needs at least 2\)"),
        ({"queries": 0}, "got queries=0; it must be from 1"),
        ({"n_shot": 0}, "got n_shot=0; it must be from 1"),
        ({"n_shot": 10**30}, "got n_shot=1000.*; it must be from 1"),
        ({"seed": -1}, "got seed=-1; it must be from 0"),
        ({"seed": 10**30}, "got seed=1000.*; it must be from 0"),
        ({"n_shot": 3}, "got 9 examples in a task; this model's memory holds 6"),
        ({"queries": 6}, "3-way episodes need 3 classes with at least"),
        ({"part": "validation"}, "3-way episodes need 3 classes with at least"),
        ({"part": "everything"}, "got part='everything'; choose from"),
    ],
    ids=str,
)
def test_what_cannot_be_measured_is_refused(options, message):
    with pytest.raises(InputError, match=message):
        evaluate(model_of(), **options)


def in_alphabets(names):
    """The data with other class names."""
    given = data()
    images = ClassImages(given["images"].images, given["images"].labels, names)
    return {"images": images, "split": make_split("s", names, train=range(4), validation=(4,), test=range(5, 10))}


def test_wrong_labels_make_tasks_harder_and_are_among_the_facts():
    model = model_of(method="protonet")
    usual, harder = (evaluate(model, episodes=30, n_shot=2, wrong_labels=share) for share in (0.0, 0.3))
    assert usual == evaluate(model, episodes=30, n_shot=2)
    assert harder.facts == usual.facts | {"wrong_labels": 0.3, "wrong_labels_each": 2}
    assert harder.numbers["accuracy"].mean < usual.numbers["accuracy"].mean - 0.1


def test_episodes_within_one_alphabet_count_the_classes_of_large_alphabets_alone():
    names = tuple(f"part/{alphabet}/{n}" for n, alphabet in enumerate("aaaaabbbcc"))
    numbers, facts = evaluate(model_of(method="protonet"), in_alphabets(names), same_alphabet=True)
    assert facts["same_alphabet"] is True
    assert (facts["classes_used"], facts["classes_left_out"], facts["images_left_out"]) == (3, 2, 12)
    # The same as measuring the three characters of the alphabet b alone.
    given = in_alphabets(names)
    alone = make_split("b", names, train=(), validation=(), test=(5, 6, 7))
    assert evaluate(model_of(method="protonet"), {**given, "split": alone}, same_alphabet=True).numbers == numbers
    with pytest.raises(InputError, match="class 'c5' is of no alphabet"):
        evaluate(model_of(), same_alphabet=True)
    with pytest.raises(InputError, match=r"got wrong_labels=1\.5"):
        evaluate(model_of(), wrong_labels=1.5)


def test_new_classes_are_measured_alone_within_one_alphabet_only_where_one_has_enough_of_them():
    for alphabets, measured in (("aaaaabbbbb", True), ("aaaaabbbcc", False)):
        names = tuple(f"part/{alphabet}/{n}" for n, alphabet in enumerate(alphabets))
        model = model_of(method="protonet", details={"trained_on": trained_on("d", "s", [names[5]])})
        numbers = evaluate(model, in_alphabets(names), same_alphabet=True).numbers
        assert ("accuracy_new_classes" in numbers) == measured


def test_a_method_without_a_memory_of_slots_takes_any_number_of_examples():
    numbers, _ = evaluate(model_of(method="protonet"), n_shot=3, queries=3)
    assert numbers["accuracy"].count == 6


def test_shipped_models_say_what_they_were_trained_on():
    for name in pretrained_names():
        entry = load_model(f"pretrained:{name}").details["trained_on"]
        assert (entry["data"], entry["split"]) == ("omniglot", "vinyals")
        assert len(set(entry["classes"])) == len(entry["classes"]) > 1000


@pytest.mark.slow
@pytest.mark.skipif(not (REAL_DATA / "omniglot").exists(), reason="the Omniglot files are not here")
@pytest.mark.parametrize(("split", "seen", "measured"), [("vinyals", 0, 423), ("lake", 236, 659)])
def test_shipped_models_have_seen_classes_of_the_other_split(split, seen, measured):
    images, parts = load_source("omniglot", data_dir=REAL_DATA, split=split)
    names = [images.class_names[index] for index in parts.test]
    assert len(names) == measured
    for name in pretrained_names():
        found = classes_trained_on(load_model(f"pretrained:{name}").details, names)
        assert found is not None
        assert len(found) == seen
