from __future__ import annotations

import doctest
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from fastslow import FewShotClassifier, load_model, load_pretrained
from fastslow.data import make_glyphs
from fastslow.data.labels import checked_labels, refuse_mixed
from fastslow.errors import InputError
from fastslow.methods import build_method
from fastslow.methods.config import preset
from fastslow.methods.files import TrainedModel
from fastslow.methods.learner import _prepared


@pytest.fixture(scope="module")
def glyphs():
    """Five classes of six drawings, (classes, drawings, 28, 28) uint8."""
    return make_glyphs(num_classes=5, per_class=6, seed=77).images.reshape(5, 6, 28, 28).numpy()


@pytest.fixture(scope="module")
def trained():
    return load_model("pretrained:omniglot-5w1s-fast")


@pytest.fixture(scope="module")
def shared(trained):
    return FewShotClassifier(trained)


@pytest.mark.usefixtures("as_users_call_it")
@pytest.mark.parametrize("given", ["omniglot-5w1s", None, 5])
def test_what_is_no_trained_model_is_refused_with_the_way_to_get_one(given):
    with pytest.raises(InputError, match=rf"got model={given!r}; a TrainedModel was expected, which load_model"):
        FewShotClassifier(given)


@pytest.fixture
def model(shared):
    """One classifier for all tests, as new."""
    shared.reset()
    return shared.to("cpu")


@pytest.fixture(scope="module")
def clean_answers(trained, glyphs):
    return FewShotClassifier(trained).learn(glyphs[:, 0], NAMES).decision_function(glyphs[:, 1])


NAMES = ["alpha", "beta", "gamma", "delta", "epsilon"]


def accuracy(model, drawings):
    queries = drawings[:, 1:].reshape(-1, 28, 28)
    predicted = model.predict(queries)
    return np.mean([p == name for p, name in zip(predicted, np.repeat(NAMES, 5), strict=True)])


def test_it_learns_new_classes_from_one_drawing_each(model, glyphs):
    assert accuracy(model.learn(glyphs[:, 0], NAMES), glyphs) >= 0.9


def test_one_after_another_is_nearly_as_good_as_at_once(model, glyphs):
    for drawing, name in zip(glyphs[:, 0], NAMES, strict=True):
        model.learn(drawing[None], [name])
    assert accuracy(model, glyphs) >= 0.85


def test_old_classes_are_not_forgotten_when_a_new_one_comes(model, glyphs):
    model.learn(glyphs[:2, 0], NAMES[:2])
    before = model.predict(glyphs[:2, 1])
    model.learn(glyphs[2:, 0], NAMES[2:])
    assert before == NAMES[:2]
    assert model.predict(glyphs[:2, 1]) == NAMES[:2]
    assert model.classes == tuple(NAMES)


def test_bytes_floats_and_tensors_are_the_same_images(model, glyphs):
    model.learn(glyphs[:, 0], NAMES)
    as_bytes = model.decision_function(glyphs[:, 1])
    np.testing.assert_allclose(model.decision_function(glyphs[:, 1] / 255), as_bytes, atol=1e-5)
    np.testing.assert_allclose(model.decision_function(torch.from_numpy(glyphs[:, 1])), as_bytes, atol=1e-5)


def test_each_image_is_answered_as_if_alone(model, glyphs):
    model.learn(glyphs[:, 0], NAMES)
    together = model.decision_function(glyphs[:, 1])
    alone = np.concatenate([model.decision_function(image[None]) for image in glyphs[:, 1]])
    np.testing.assert_allclose(alone, together, atol=1e-4)


def test_probabilities_sum_to_one_over_the_classes_known(model, glyphs):
    model.learn(glyphs[:3, 0], [1, 2, 3])
    probabilities = model.predict_proba(glyphs[:3, 1])
    assert probabilities.shape == (3, 3)
    np.testing.assert_allclose(probabilities.sum(1), 1, atol=1e-5)


def test_more_examples_than_the_memory_holds_are_refused_before_one_is_forgotten(model, glyphs):
    assert model.max_examples == 32
    model.learn(glyphs.reshape(30, 28, 28), np.repeat(NAMES, 6))
    before = model.decision_function(glyphs[:, 0])
    with pytest.raises(InputError, match=r"got 33 examples in a task; this model's memory holds 32"):
        model.learn(glyphs[:3, 0], NAMES[:3])
    np.testing.assert_array_equal(model.decision_function(glyphs[:, 0]), before)
    model.learn(glyphs[:2, 0], NAMES[:2])
    assert accuracy(model, glyphs) >= 0.95
    assert model.reset() is None
    model.learn(glyphs[:3, 0], NAMES[:3])


def test_a_classifier_is_a_copy_frozen_for_itself(trained, glyphs):
    classifier = FewShotClassifier(trained).learn(glyphs[:, 0], NAMES)
    assert not any(parameter.requires_grad for parameter in classifier.method.parameters())
    assert all(parameter.requires_grad for parameter in trained.method.parameters())


def test_any_method_learns(glyphs):
    torch.manual_seed(0)
    prototypes = build_method(preset("default", method="protonet"))
    model = FewShotClassifier(TrainedModel(prototypes, preset("default", method="protonet"), {}))
    assert model.learn(glyphs[:, 0], NAMES).predict(glyphs[:, 0]) == NAMES
    assert model.max_examples is None


def test_labels_that_are_none(model, glyphs):
    with pytest.raises(InputError, match="the labels cannot be used"):
        model.learn(glyphs[:2, 0], torch.zeros(2, 2))


@pytest.mark.parametrize("images", ["abc", np.zeros((2, 28, 28), complex), torch.zeros(2, 28, 28) * 1j], ids=type)
def test_images_that_are_no_numbers(model, images):
    with pytest.raises(InputError, match="numbers was expected"):
        model.learn(images, ["a", "b"])


def test_reset_forgets(model, glyphs):
    model.learn(glyphs[:, 0], NAMES).reset()
    assert model.classes == ()
    with pytest.raises(InputError, match="no class has been learned yet"):
        model.predict(glyphs[:, 1])


def test_learning_runs_no_autograd(model, glyphs):
    model.learn(glyphs[:, 0], NAMES)
    assert not model.state.slots.requires_grad
    assert all(parameter.grad is None for parameter in model.method.parameters())


@pytest.mark.parametrize("size", [20, 56, 105])
def test_squares_of_another_size_are_resized(model, glyphs, size):
    model.learn(glyphs[:, 0], NAMES)
    for change in (lambda drawing: drawing, lambda drawing: drawing.convert("RGB")):
        others = [change(Image.fromarray(drawing)).resize((size, size)) for drawing in np.asarray(glyphs[:, 1])]
        assert list(model.predict(np.stack(others))) == list(model.predict(glyphs[:, 1])) == NAMES


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((5, 20, 28)), r"images of shape \(5, 20, 28\); \(examples, 28, 28\) was expected, or another square"),
        (np.zeros((28, 28, 3)), r"images of shape \(28, 28, 3\); \(examples, 28, 28\) was expected, or another square"),
        (np.zeros((28, 28)), r"images of shape \(28, 28\);"),
        (np.zeros((0, 28, 28)), "at least one"),
        (np.full((5, 28, 28), np.nan), "NaN or infinity"),
        (np.full((5, 28, 28), 7.0), r"images\[0\] is blank"),
        (np.linspace(-1, 1, 5 * 784).reshape(5, 28, 28), r"images\[0\] has values from -1 to -0\.\d+; expected 0 to 1"),
        (np.linspace(0, 1e6, 5 * 784).reshape(5, 28, 28), r"images\[0\] has values from 0 to 2e\+05; expected 0 to 1"),
        (np.zeros((5, 1, 28, 28)), r"got images of shape \(5, 1, 28, 28\)"),
        ([np.zeros((28, 28)), np.zeros((20, 20))], "images cannot be made an array"),
    ],
)
def test_wrong_images_are_refused_and_nothing_is_learned(model, images, message):
    with pytest.raises(InputError, match=message):
        model.learn(images, NAMES)
    assert model.classes == ()


def test_wrong_labels_are_refused_and_nothing_is_learned(model, glyphs):
    with pytest.raises(InputError, match="got 5 images and 4 labels; give one label per image"):
        model.learn(glyphs[:, 0], NAMES[:4])
    model.learn(glyphs[:, 0], NAMES)
    with pytest.raises(InputError, match="that would make 6 classes; this model tells 5 apart"):
        model.learn(glyphs[:1, 0], ["zeta"])
    assert model.classes == tuple(NAMES)


def test_the_example_is_true():
    finder, runner = doctest.DocTestFinder(), doctest.DocTestRunner()
    for test in finder.find(FewShotClassifier, "FewShotClassifier", globs={}):
        runner.run(test)
    results = runner.summarize(verbose=False)
    assert (results.attempted, results.failed) == (5, 0)


@pytest.mark.parametrize("labels", ["ka", b"ka", {"k", "a"}, {"k": 1, "a": 2}], ids=type)
def test_labels_without_order_or_in_one_string_are_refused(model, glyphs, labels):
    with pytest.raises(InputError, match="give a list, one label per image"):
        model.learn(glyphs[:2, 0], labels)
    assert model.classes == ()


@pytest.mark.parametrize(
    "label",
    [math.nan, np.float32("nan"), torch.tensor(math.nan), ("a", np.datetime64("NaT")), ("a", math.nan)],
    ids=repr,
)
def test_labels_unequal_to_themselves_are_refused(model, glyphs, label):
    with pytest.raises(InputError, match="does not equal itself"):
        model.learn(glyphs[:2, 0], ["a", label])
    assert model.classes == ()


@pytest.mark.parametrize(
    ("one", "other"), [(1, True), (1, 1.0), (np.int32(0), np.bool_(False)), (("a", 1), ("a", 1.0)), (2.0, 2)], ids=repr
)
def test_equal_labels_of_different_types_are_refused_at_once_and_later(model, glyphs, one, other):
    with pytest.raises(InputError, match="equal but of different type"):
        model.learn(glyphs[:2, 0], [one, other])
    model.learn(glyphs[:1, 0], [one])
    with pytest.raises(InputError, match="equal but of different type"):
        model.learn(glyphs[:1, 0], [other])
    assert len(model.classes) == 1


@pytest.mark.parametrize(
    "labels",
    [
        np.array([3, 1], np.int32),
        np.array([3, 1], ">i8"),
        torch.tensor([3, 1], dtype=torch.int32),
        iter([3, 1]),
        (3, 1),
    ],
    ids=type,
)
def test_labels_of_any_kind_are_plain_numbers(model, glyphs, labels):
    assert model.learn(glyphs[:2, 0], labels).classes == (3, 1)
    assert [type(label) for label in model.predict(glyphs[:2, 1])] == [int, int]


def test_numpy_text_is_text(model, glyphs):
    model.learn(glyphs[:2, 0], np.array(["k", "a"]))
    assert [type(label) for label in model.classes] == [str, str]


def ways_in(glyphs: np.ndarray) -> dict[str, object]:
    unit = glyphs / 255
    clear = np.zeros((*glyphs.shape, 4), np.uint8)
    clear[..., 3] = glyphs
    return {
        "dark on white": 255 - glyphs,
        "floats": unit,
        "halves": torch.from_numpy(unit).half(),
        "16-bit brain floats": torch.from_numpy(unit).bfloat16(),
        "floats to 255": glyphs.astype(float),
        "whole numbers": glyphs.astype(np.int64),
        "a list": glyphs.tolist(),
        "16 bits": glyphs.astype(np.uint16) * 257,
        "big-endian": (glyphs.astype(np.uint16) * 257).astype(">u2"),
        "big-endian floats": unit.astype(">f8"),
        "turned about": glyphs.transpose(2, 1, 0).copy().transpose(2, 1, 0),
        "RGB": np.repeat(glyphs[..., None], 3, -1),
        "one channel": glyphs[..., None],
        "RGBA inverted": np.concatenate(
            [np.repeat(255 - glyphs[..., None], 3, -1), np.full_like(clear[..., :1], 255)], -1
        ),
        "black ink on clear paper": clear,
        "white ink on clear paper": clear | np.array([255, 255, 255, 0], np.uint8),
        "pale pencil": (240 - 40 * unit).round().astype(np.uint8),
        "grey paper": (128 + 127 * unit).round().astype(np.uint8),
    }


@pytest.mark.parametrize("name", list(ways_in(np.zeros((1, 28, 28), np.uint8))))
def test_every_way_in_gives_the_same_answers(model, glyphs, clean_answers, name):
    answers = model.learn(ways_in(glyphs[:, 0])[name], NAMES).decision_function(ways_in(glyphs[:, 1])[name])
    assert np.abs(answers - clean_answers).max() < 0.1 * np.ptp(clean_answers)


def test_clean_drawings_reach_the_encoder_unchanged(model, glyphs):
    images = glyphs.reshape(-1, 28, 28)
    expected = torch.from_numpy(images).unsqueeze(1).float() / 255
    np.testing.assert_array_equal(_prepared(model, images), expected)
    np.testing.assert_array_equal(_prepared(model, expected.squeeze(1)), expected)


def test_small_drawings_on_pages_of_any_size_are_cropped_to(glyphs):
    pages = np.full((5, 6, 150, 200), 255, np.uint8)
    pages[:, :, 100:128, 20:48] = 255 - glyphs
    model = load_pretrained("omniglot-5w1s-fast", crop=True).learn(pages[:, 0], NAMES)
    predicted = model.predict(pages[:, 1:].reshape(-1, 150, 200))
    assert np.mean([p == name for p, name in zip(predicted, np.repeat(NAMES, 5), strict=True)]) >= 0.9


def test_ink_can_be_said_and_the_preparation_switched_off(glyphs):
    as_is = load_pretrained("omniglot-5w1s-fast", ink="as_is")
    unit = torch.from_numpy(255 - glyphs[:, 0]).unsqueeze(1) / 255
    np.testing.assert_array_equal(_prepared(as_is, 255 - glyphs[:, 0]), unit)
    dark = load_pretrained("omniglot-5w1s-fast", ink="dark")
    np.testing.assert_allclose(
        _prepared(dark, 255 - glyphs[:, 0]), _prepared(as_is, glyphs[:, 0]), rtol=1.3e-6, atol=1e-5
    )
    with pytest.raises(InputError, match=r"images\[0\] is blank: no dark ink"):
        dark.learn(glyphs[:, 0], NAMES)
    with pytest.raises(InputError, match="crop=True with ink='as_is'"):
        load_pretrained("omniglot-5w1s-fast", ink="as_is", crop=True)


def test_a_blank_image_is_named_and_nothing_is_learned(model, glyphs):
    images = glyphs[:, 0].copy()
    images[3] = 0
    with pytest.raises(InputError, match=r"images\[3\] is blank"):
        model.learn(images, NAMES)
    assert model.classes == ()


def test_it_moves_with_all_that_it_has_learned(model, glyphs):
    model.learn(glyphs[:2, 0], NAMES[:2])
    answers = model.decision_function(glyphs[:, 1])
    assert model.to("cpu") is model
    assert model.to(torch.device("cpu")).device == torch.device("cpu")
    np.testing.assert_array_equal(model.decision_function(glyphs[:, 1]), answers)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no GPU")
def test_a_graphics_card_gives_the_same_answers(model, glyphs):
    answers = model.learn(glyphs[:, 0], NAMES).decision_function(glyphs[:, 1])
    moved = model.to("cuda")
    assert moved.state.slots.is_cuda
    np.testing.assert_allclose(moved.decision_function(glyphs[:, 1]), answers, atol=1e-2)
    fresh = load_pretrained("omniglot-5w1s-fast", device="cuda").learn(glyphs[:, 0], NAMES)
    assert fresh.predict(glyphs[:, 1]) == NAMES


@pytest.mark.parametrize("device", ["cuda", "cuda:0", "mps"])
def test_a_device_that_torch_lacks_is_refused_in_words(model, glyphs, device, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(InputError, match=f"got device='{device}', but torch finds 0"):
        load_pretrained("omniglot-5w1s-fast", device=device)
    with pytest.raises(InputError, match="use 'cpu'"):
        model.to(device)
    assert model.learn(glyphs[:, 0], NAMES).predict(glyphs[:1, 1]) == NAMES[:1]


@pytest.mark.parametrize("device", ["cpu:1", "meta", "tpu", "", "gpu"])
def test_what_is_no_device_is_refused_in_words(model, device):
    with pytest.raises(InputError, match=f"got device='{device}'"):
        model.to(device)


def test_torchs_default_type_and_device_change_nothing(model, glyphs):
    answers = model.learn(glyphs[:, 0], NAMES).decision_function(glyphs[:, 1])
    torch.set_default_dtype(torch.float64)
    torch.set_default_device("meta")
    try:
        other = load_pretrained("omniglot-5w1s-fast").learn(glyphs[:, 0], NAMES).decision_function(glyphs[:, 1])
    finally:
        torch.set_default_device(None)
        torch.set_default_dtype(torch.float32)
    assert other.dtype == np.float32
    np.testing.assert_array_equal(other, answers)


def test_loading_leaves_torchs_random_stream_where_it_was():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    load_pretrained("omniglot-5w1s-fast")
    assert torch.equal(torch.rand(3), expected)


@given(labels=st.lists(st.one_of(st.integers(), st.booleans(), st.floats(), st.text(), st.none()), min_size=1))
def test_labels_taken_are_never_confused(labels):
    """What passes the checks makes a dictionary from which each label comes back as it was."""
    try:
        checked = checked_labels(labels)
        refuse_mixed(checked)
    except InputError:
        return
    places = {label: label for label in reversed(checked)}
    assert [(type(places[label]), places[label]) for label in labels] == [(type(label), label) for label in labels]
