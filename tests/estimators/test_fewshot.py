from __future__ import annotations

import numpy as np
import pytest
import torch

from fastslow import FewShotClassifier, load_model, load_pretrained
from fastslow.data import make_glyphs
from fastslow.errors import InputError


@pytest.fixture(scope="module")
def glyphs():
    """Five classes of six drawings, (classes, drawings, 28, 28) uint8."""
    return make_glyphs(num_classes=5, per_class=6, seed=77).images.reshape(5, 6, 28, 28).numpy()


@pytest.fixture
def model():
    return load_pretrained("omniglot-5w1s")


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
    with pytest.raises(InputError, match=r"33 examples would have been learned; this model's memory holds 32"):
        model.learn(glyphs[:3, 0], NAMES[:3])
    np.testing.assert_array_equal(model.decision_function(glyphs[:, 0]), before)
    model.learn(glyphs[:2, 0], NAMES[:2])
    assert accuracy(model, glyphs) >= 0.95
    assert model.reset() is None
    model.learn(glyphs[:3, 0], NAMES[:3])


def test_only_models_that_learned_to_learn(glyphs):
    trained = load_model("pretrained:omniglot-5w1s")
    with pytest.raises(InputError, match="a model of method 'nmn' came"):
        FewShotClassifier(trained._replace(method="nmn"))
    FewShotClassifier(trained).learn(glyphs[:, 0], NAMES)
    assert any(parameter.requires_grad for parameter in trained.learner.parameters())  # a copy is frozen, not this


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
    assert not model.state.memory.memory.requires_grad
    assert all(parameter.grad is None for parameter in model.learner.parameters())


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((5, 20, 20)), r"images of shape \(5, 20, 20\) came; \(examples, 28, 28\) was expected"),
        (np.zeros((28, 28)), r"images of shape \(28, 28\) came"),
        (np.zeros((0, 28, 28)), "at least one"),
        (np.full((5, 28, 28), np.nan), "NaN or infinity"),
        (np.full((5, 28, 28), 7.0), r"run from 7 to 7; floats in \[0, 1\]"),
    ],
)
def test_wrong_images_are_refused_and_nothing_is_learned(model, images, message):
    with pytest.raises(InputError, match=message):
        model.learn(images, NAMES)
    assert model.classes == ()


def test_wrong_labels_are_refused_and_nothing_is_learned(model, glyphs):
    with pytest.raises(InputError, match="5 images came with 4 labels"):
        model.learn(glyphs[:, 0], NAMES[:4])
    model.learn(glyphs[:, 0], NAMES)
    with pytest.raises(InputError, match="that would make 6 classes; this model tells 5 apart"):
        model.learn(glyphs[:1, 0], ["zeta"])
    assert model.classes == tuple(NAMES)
