"""Whatever torch is told to do around a learner, it learns and answers as without."""

import contextlib

import numpy as np
import pytest
import torch
from torch import nn

from fastslow import FastSlowClassifier, SlowEncoder, load_pretrained
from fastslow.data import make_glyphs
from stream_sample import all_that_is_known, clouds


@contextlib.contextmanager
def default_device(name):
    torch.set_default_device(name)
    try:
        yield
    finally:
        torch.set_default_device(None)


CONTEXTS = {
    "inference": torch.inference_mode, "no grad": torch.no_grad, "meta": lambda: default_device("meta"),
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16), "none": contextlib.nullcontext,
}  # fmt: skip
MODULE = nn.Sequential(nn.Linear(5, 5), nn.Tanh()).eval()
MODELS = {"vectors": None, "module": MODULE, "no weights": nn.Identity(), "function": lambda x: np.asarray(x)}
OPTIONS = ({}, {"max_examples": 30}, {"doubt_labels": True}, {"max_examples": 30, "eviction": "oldest"})


def _alone(learner):
    """The id of an example that has not been merged."""
    return next(kept.example for kept in learner.examples_ if kept.examples == 1)


def _life(model, options, around, path):
    """All that a learner can be told, each call in one context or, every other one, in none."""
    vectors, labels = clouds(each=10)
    contexts = iter([around, contextlib.nullcontext] * 20)
    learner = FastSlowClassifier(model, **options)
    other = FastSlowClassifier(model, **options).fit(*clouds(seed=1))
    calls = [
        lambda: learner.partial_fit(vectors, labels), lambda: learner.learn_one(vectors[0], "new"),
        lambda: learner.learn_one(vectors[1], "newer"), lambda: learner.forget("c1"), lambda: learner.undo(),
        lambda: learner.rename("c0", "c1"), lambda: learner.forget(example=_alone(learner)),
        lambda: learner.merge_from(other),
        lambda: learner.partial_fit(vectors, labels), lambda: (learner.explain(vectors), learner.examples_),
        lambda: learner.save(path),
    ]  # fmt: skip
    for call in calls:
        with next(contexts)():
            call()
            learner.predict(vectors)
    with around():
        again = FastSlowClassifier.load(path, model)
    again.partial_fit(vectors, labels)
    learner.partial_fit(vectors, labels)
    with around():
        found = all_that_is_known(learner, vectors), all_that_is_known(again, vectors)
    assert found[0] == found[1]
    return found[0]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("context", ["inference", "no grad", "meta"])
def test_a_learner_is_the_same_in_any_context(context, model, options, tmp_path):
    found, expected = (
        _life(MODELS[model], options, around, tmp_path / "a.safetensors")
        for around in (CONTEXTS[context], contextlib.nullcontext)
    )
    assert found == expected


@pytest.mark.parametrize("model", MODELS)
def test_half_precision_around_a_learner_changes_only_what_a_module_makes(model, tmp_path):
    around = CONTEXTS["autocast"]
    if model == "module":
        vectors, labels = clouds()
        with around():
            assert FastSlowClassifier(MODULE).fit(vectors, labels).score(vectors, labels) > 0.9
        return
    path = tmp_path / "a.safetensors"
    assert _life(MODELS[model], {}, around, path) == _life(MODELS[model], {}, contextlib.nullcontext, path)


@pytest.mark.parametrize("context", CONTEXTS)
def test_drawings_are_learned_and_the_slow_path_steps_in_any_context(context):
    drawings, labels = make_glyphs(num_classes=2, per_class=6, seed=3).images, ["a"] * 6 + ["b"] * 6
    around = CONTEXTS[context]
    with around():
        learner = FastSlowClassifier("omniglot-5w1s-fast").fit(drawings, labels)
        slow = SlowEncoder(learner, frequent=5)
        assert slow.step(drawings, labels) > 0
        slow.hand_over()
        few = load_pretrained("omniglot-5w1s-fast").learn(drawings, labels)
        answers = learner.predict(drawings).tolist(), few.predict(drawings)
    assert slow.step(drawings, labels) > 0
    slow.hand_over()
    assert (learner.predict(drawings).tolist(), few.predict(drawings)) == answers == (labels, labels)
