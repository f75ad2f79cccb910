from __future__ import annotations

import numpy as np
import pytest
import torch

from fastslow import FastSlowClassifier, InputError, SlowEncoder
from fastslow.core.drift import Drift
from fastslow.data import make_glyphs
from fastslow.estimators.slow_encoder import SlowCopy, carry
from fastslow.methods.files import load_model
from stream_sample import clouds, taught

MODEL = "omniglot-5w1s-fast"
CLASSES, EACH = 3, 8


@pytest.fixture(scope="module")
def drawings():
    return make_glyphs(num_classes=CLASSES, per_class=EACH, seed=5).images.numpy()


@pytest.fixture
def labels():
    return [f"glyph {n // EACH}" for n in range(CLASSES * EACH)]


@pytest.fixture
def learner(drawings, labels):
    return FastSlowClassifier(MODEL).fit(drawings, labels)


def weights_of(learner):
    return learner._encoder().sha256


def test_frequent_classes_alone_are_trained_on(learner, drawings, labels):
    slow = SlowEncoder(learner, frequent=EACH)
    learner.forget(example=0)  # "glyph 0" is rare now
    assert slow.step(drawings[:EACH], labels[:EACH]) is None
    assert slow.step(drawings, ["never taught"] * len(drawings)) is None
    assert slow._copy.seen == []
    assert slow.step(drawings, labels) > 0
    assert [len(part) for part in slow._copy.seen] == [(CLASSES - 1) * EACH]


def test_nothing_is_trained_before_anything_is_learned(drawings, labels):
    slow = SlowEncoder(FastSlowClassifier(MODEL), frequent=1)
    assert slow.step(drawings, labels) is None
    with pytest.raises(InputError, match="call step first"):
        slow.hand_over()


def test_the_learner_answers_as_before_until_the_hand_over(learner, drawings, labels):
    before, kept = learner.decision_function(drawings), weights_of(learner)
    slow = SlowEncoder(learner, frequent=2, every=2)
    slow.step(drawings, labels)
    assert np.array_equal(learner.decision_function(drawings), before)
    assert weights_of(learner) == kept
    slow.step(drawings, labels)
    assert weights_of(learner) != kept
    assert not np.array_equal(learner.decision_function(drawings), before)
    assert learner.predict(drawings).tolist() == labels
    with pytest.raises(InputError, match="nothing to undo"):
        learner.undo()


def test_steps_lower_the_loss_on_what_they_see(learner, drawings, labels):
    slow = SlowEncoder(learner, frequent=2, rate=1e-3)
    losses = [slow.step(drawings, labels) for _ in range(12)]
    assert np.mean(losses[-4:]) < 0.8 * np.mean(losses[:4])
    assert slow.steps == 12


def test_kept_features_are_carried_to_near_where_drawings_are_now(learner, drawings, labels):
    """What the memory keeps is nearer to the new features of its drawings than it would be if it had been left."""
    left = learner.memory_.examples.features.clone()
    slow = SlowEncoder(learner, frequent=2, rate=1e-3)
    for _ in range(10):
        slow.step(drawings, labels)
    slow.hand_over()
    now = learner._made(drawings)
    missed = (learner.memory_.examples.features - now).square().mean()
    assert missed < 0.5 * (left - now).square().mean()


def test_a_saved_pair_answers_the_same_and_another_model_is_refused(learner, drawings, labels, tmp_path):
    slow = SlowEncoder(learner, frequent=2, every=1)
    slow.step(drawings, labels)
    slow.save(tmp_path / "encoder.safetensors")
    learner.save(tmp_path / "learner.safetensors")
    again = FastSlowClassifier.load(tmp_path / "learner.safetensors", model=str(tmp_path / "encoder.safetensors"))
    assert np.array_equal(again.decision_function(drawings), learner.decision_function(drawings))
    assert np.array_equal(
        again.partial_fit(drawings[:1], ["new"]).decision_function(drawings),
        learner.partial_fit(drawings[:1], ["new"]).decision_function(drawings),
    )
    with pytest.raises(InputError, match="another model"):
        FastSlowClassifier.load(tmp_path / "learner.safetensors", model=MODEL)
    with pytest.raises(InputError, match=r"load\(path, model=...\)"):
        FastSlowClassifier.load(tmp_path / "learner.safetensors")
    slow.step(drawings, labels)  # goes on, and so may the saved one
    SlowEncoder(again, frequent=2, every=1).step(drawings, labels)


def test_statistics_of_another_model_do_not_stay_beside_a_saved_one(drawings, labels, tmp_path):
    learner = FastSlowClassifier(MODEL).fit(drawings, labels)
    slow = SlowEncoder(learner, frequent=2, every=1)
    (tmp_path / "encoder.statistics").write_bytes(b"of another")
    slow.step(drawings, labels)
    slow._loaded = slow._loaded._replace(prior=None)
    slow.save(tmp_path / "encoder.safetensors")
    assert not (tmp_path / "encoder.statistics").exists()


def test_a_seed_gives_the_same_steps(drawings, labels):
    losses = []
    for seed in (1, 1, 2):
        slow = SlowEncoder(FastSlowClassifier(MODEL).fit(drawings, labels), frequent=2, seed=seed)
        losses.append([slow.step(drawings, labels) for _ in range(2)])
    assert losses[0] == losses[1] != losses[2]


def test_torchs_own_stream_and_the_model_in_use_are_left_alone(learner, drawings, labels):
    state = torch.get_rng_state()
    model = learner.model
    slow = SlowEncoder(learner, frequent=2)
    slow.step(drawings, labels)
    assert learner.model == model
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("model", [None, "encoder.onnx", torch.nn.Flatten(), len])
def test_encoders_that_are_not_of_drawings_are_refused(model):
    with pytest.raises(InputError, match="trains encoders of drawings"):
        SlowEncoder(FastSlowClassifier(model))


@pytest.mark.parametrize(
    "options", [{"frequent": 0}, {"every": 0.5}, {"rate": -1.0}, {"rate": float("nan")}, {"seed": -1}]
)
def test_numbers_that_are_none_are_refused_by_name(learner, options):
    with pytest.raises(InputError, match=next(iter(options))):
        SlowEncoder(learner, **options)


@pytest.mark.usefixtures("as_users_call_it")
def test_numbers_of_numpy_are_taken_and_what_is_no_learner_or_path_is_refused(learner):
    slow = SlowEncoder(learner, frequent=np.int64(2), every=np.uint8(1), rate=np.float32(1e-4), seed=np.int32(3))
    assert (type(slow.frequent), type(slow.every)) == (int, int)
    with pytest.raises(InputError, match="got None to train the encoder of; a FastSlowClassifier was expected"):
        SlowEncoder(None)
    with pytest.raises(InputError, match="got path=None; the path of a file was expected"):
        slow.save(None)


def test_another_model_in_between_is_refused(learner, drawings, labels):
    slow = SlowEncoder(learner, frequent=2)
    learner.model = "omniglot-20w1s-fast"
    with pytest.raises(InputError, match="make a new SlowEncoder"):
        slow.step(drawings, labels)


def test_labels_must_be_as_many_as_drawings(learner, drawings, labels):
    with pytest.raises(InputError, match="one label per drawing"):
        SlowEncoder(learner, frequent=2).step(drawings, labels[1:])


def test_a_rate_too_high_is_said_and_the_learner_goes_on(learner, drawings, labels):
    slow = SlowEncoder(learner, frequent=2, rate=1e30)
    before = learner.predict(drawings).tolist()
    slow.step(drawings, labels)
    with pytest.raises(InputError, match="lower rate"):
        slow.step(drawings, labels)
    with pytest.raises(InputError, match="lower rate"):
        slow.hand_over()
    assert learner.predict(drawings).tolist() == before


def test_a_turn_a_stretch_and_a_shift_of_all_features_change_no_answer():
    vectors, labels = clouds(classes=5, each=8)
    learner = taught(vectors, labels, max_examples=25)  # some are merged
    queries = clouds(classes=5, each=3, seed=1)[0]
    expected = learner.decision_function(queries)
    turn, _ = torch.linalg.qr(torch.randn(5, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64))
    drift = Drift(1.5 * turn, torch.linspace(-1, 1, 5, dtype=torch.float64))
    carry(learner.memory_, drift)
    found = learner.decision_function(drift.of(torch.from_numpy(queries)).numpy())
    assert found.argmax(1).tolist() == expected.argmax(1).tolist()
    found, expected = (each - each.max(1, keepdims=True) for each in (found, expected))
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)


def test_the_copy_leaves_the_encoder_in_use_alone(drawings):
    original = load_model(f"pretrained:{MODEL}").method.encoder
    before = {name: tensor.clone() for name, tensor in original.state_dict().items()}
    copy = SlowCopy(original)
    copy.step(torch.from_numpy(drawings).unsqueeze(1).float() / 255, torch.arange(len(drawings)) // EACH)
    assert all(torch.equal(tensor, before[name]) for name, tensor in original.state_dict().items())
    statistics = ("running_mean", "running_var")
    for name, tensor in copy.learning.state_dict().items():
        assert torch.equal(tensor, before[name]) == (
            name.endswith(statistics) or "num_batches" in name or "log" in name
        ), name
