"""A stream learner on disk: what it knew, or a refusal by name."""

import numpy as np
import pytest
import torch

from exported_sample import SMALL, built
from fastslow import FastSlowClassifier
from fastslow.data import make_glyphs
from fastslow.errors import InputError
from fastslow.methods.files import save_model
from fastslow.tensors import load_tensors, save_tensors


def clouds(seed=0):
    generator = np.random.default_rng(seed)
    numbers = np.arange(12) % 3
    return (6 * np.eye(3, 5)[numbers] + generator.normal(size=(12, 5))).astype(np.float32), [f"c{n}" for n in numbers]


@pytest.fixture
def learner():
    return FastSlowClassifier(None, max_examples=50, per_class=3, novelty_threshold=1.5).fit(*clouds())


def same(one, other):
    vectors = clouds(5)[0]
    return (
        np.array_equal(one.decision_function(vectors), other.decision_function(vectors))
        and one.examples_ == other.examples_
        and one.classes_.tolist() == other.classes_.tolist()
    )


def test_a_learner_comes_back_as_it_was_and_goes_on_alike(learner, tmp_path):
    learner.save(tmp_path / "a.safetensors")
    again = FastSlowClassifier.load(str(tmp_path / "a.safetensors"))
    assert again.get_params() == learner.get_params()
    assert same(again, learner)
    for each in (learner, again):
        each.learn_one(np.ones(5), "new").forget("c1")
    assert same(again, learner)
    assert learner.examples_[-1].example == 12


@pytest.mark.parametrize("labels", [["a", "b"], [1, 2], [True, False], [0.0, 2.0], ["1", 1]])
def test_labels_keep_their_type_in_the_file(labels, tmp_path):
    FastSlowClassifier(None).fit(np.eye(2), labels).save(tmp_path / "a.safetensors")
    again = FastSlowClassifier.load(tmp_path / "a.safetensors")
    assert [(type(label), label) for label in again.memory_.labels] == [(type(label), label) for label in labels]


@pytest.mark.usefixtures("as_users_call_it")
@pytest.mark.parametrize("path", [None, 5, b"a.safetensors", ["a.safetensors"]])
def test_what_is_no_path_is_refused(learner, path):
    for do in (learner.save, FastSlowClassifier.load):
        with pytest.raises(InputError, match=r"got path=.*; the path of a file was expected"):
            do(path)


def test_numbers_of_numpy_are_saved_as_pythons_own(tmp_path):
    numbers = {"max_examples": np.int16(50), "per_class": np.uint8(3), "novelty_threshold": np.float32(1.5)}
    FastSlowClassifier(None).set_params(**numbers).fit(*clouds()).save(tmp_path / "a.safetensors")
    again = FastSlowClassifier.load(tmp_path / "a.safetensors").get_params()
    assert {name: again[name] for name in numbers} == {"max_examples": 50, "per_class": 3, "novelty_threshold": 1.5}


def test_labels_that_json_cannot_hold_are_refused(tmp_path):
    learner = FastSlowClassifier(None).fit(np.eye(2), [("a", 1), ("b", 2)])
    with pytest.raises(InputError, match=r"got the label \('a', 1\); only texts and numbers can be saved: rename it"):
        learner.save(tmp_path / "a.safetensors")
    assert list(tmp_path.iterdir()) == []


def test_a_shipped_model_is_known_by_its_name_and_weights(tmp_path):
    path = tmp_path / "a.safetensors"
    drawing = np.zeros((28, 28), np.uint8)
    drawing[5:20, 10:13] = 255
    FastSlowClassifier("omniglot-5w1s-fast").learn_one(drawing, "stroke").save(path)
    assert path.stat().st_size < 200_000  # the encoder is not in it
    assert FastSlowClassifier.load(path).predict_one(drawing) == "stroke"
    tensors, header = load_tensors(path)
    save_tensors(path, tensors, header | {"model_sha256": "0" * 64})
    with pytest.raises(InputError, match="was saved with another model than 'omniglot-5w1s-fast'"):
        FastSlowClassifier.load(path)


def test_a_model_whose_file_is_elsewhere_now_is_named_and_can_be_given(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_model("model.safetensors", built(name="default", **SMALL))
    drawings = make_glyphs(num_classes=2, per_class=1, seed=3).images.numpy()
    FastSlowClassifier("model.safetensors").fit(drawings, ["a", "b"]).save("learner.safetensors")
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    with pytest.raises(InputError, match=r"without the model 'model\.safetensors', .* place in load\(path"):
        FastSlowClassifier.load("../learner.safetensors")
    again = FastSlowClassifier.load("../learner.safetensors", "../model.safetensors")
    assert again.predict(drawings).tolist() == ["a", "b"]


def test_a_model_of_ones_own_has_to_be_given_again_and_be_the_same(tmp_path):
    path, module = tmp_path / "a.safetensors", torch.nn.Linear(5, 4)
    learner = FastSlowClassifier(module).fit(*clouds())
    learner.save(path)
    with pytest.raises(InputError, match=r"saved with a model of its own; give load\(path, model=\.\.\.\) the same"):
        FastSlowClassifier.load(path)
    assert same(FastSlowClassifier.load(path, module), learner)
    with pytest.raises(InputError, match="saved with another model"):
        FastSlowClassifier.load(path, torch.nn.Linear(5, 4))


def _infinite(learner):
    learner.memory_.labels = learner.memory_.labels.renamed("c0", float("inf"))


#: What no file that can be read would hold.
UNREADABLE = {
    "an infinite label": (_infinite, "only texts and numbers can be saved"),
    "a label of 5000 digits": (lambda learner: learner.rename("c0", 10**5000), "only texts and numbers can be saved"),
    "ink": (lambda learner: learner.set_params(ink="nonsense"), "got ink='nonsense'"),
    "threshold": (lambda learner: learner.set_params(novelty_threshold="a"), "got novelty_threshold='a'"),
    "model": (lambda learner: learner.set_params(model=torch.nn.Linear(5, 5)), "got another model than the one"),
}


@pytest.mark.usefixtures("as_users_call_it")
@pytest.mark.parametrize("what", UNREADABLE)
def test_nothing_is_saved_that_cannot_be_read(learner, tmp_path, what):
    change, message = UNREADABLE[what]
    change(learner)
    with pytest.raises(InputError, match=message):
        learner.save(tmp_path / "a.safetensors")
    assert not list(tmp_path.iterdir())


def test_a_new_label_is_one_that_can_be_taught(learner):
    for label in (float("inf"), 0.5, float("nan")):
        with pytest.raises(InputError):
            learner.rename("c0", label)
    assert learner.rename("c0", 2.0).learn_one(np.ones(5), 2.0).classes_.tolist() == [2.0, "c1", "c2"]


def test_a_module_trained_further_can_be_saved_once_it_was_taught_again(tmp_path):
    path, module = tmp_path / "a.safetensors", torch.nn.Linear(5, 4)
    learner = FastSlowClassifier(module).fit(*clouds())
    module.weight.data.mul_(-1)  # torch does not count it
    with pytest.raises(InputError, match="got another model than the one whose features were learned"):
        learner.save(path)
    learner.fit(*clouds()).save(path)
    assert same(FastSlowClassifier.load(path, module), learner)


def test_files_that_are_something_else_are_refused_by_name(learner, tmp_path):
    with pytest.raises(InputError, match=r"give a file that ends in \.safetensors"):
        learner.save(tmp_path / "a.pt")
    with pytest.raises(InputError, match=r"b\.safetensors"):
        FastSlowClassifier.load(tmp_path / "b.safetensors")
    save_tensors(tmp_path / "c.safetensors", {"a": torch.ones(1)}, {"format": 3})
    with pytest.raises(InputError, match=r"c\.safetensors holds no stream learner of format 1"):
        FastSlowClassifier.load(tmp_path / "c.safetensors")
    learner.save(path := tmp_path / "d.safetensors")
    tensors, header = load_tensors(path)
    negative = {**header["parameters"], "max_examples": -1}
    changes = [{"labels": labels} for labels in (["c0"], ["c0", "c0", "c1"], [None], "abc")]
    changes += [{"parameters": {**header["parameters"], "model": "x" * 5000}}]
    changes += [{"parameters": {**header["parameters"], "novelty_threshold": bad}} for bad in (0, "x", [], True)]
    changes += [{"parameters": {"x": 1}}, {"parameters": 5}, {"parameters": negative}, {"next_id": 0}]
    for change in changes:
        save_tensors(path, tensors, header | change)
        with pytest.raises(InputError, match=r"d\.safetensors holds a stream learner that cannot be read"):
            FastSlowClassifier.load(path)
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(InputError, match=r"d\.safetensors"):
        FastSlowClassifier.load(path)


def test_what_was_never_taught_cannot_be_saved(tmp_path):
    with pytest.raises(InputError, match="no class has been learned yet"):
        FastSlowClassifier(None).save(tmp_path / "a.safetensors")
