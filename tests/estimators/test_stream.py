"""`FastSlowClassifier`: learning from a stream, forgetting exactly, and saying "none of these"."""

from __future__ import annotations

import copy
import doctest
import pickle
import time

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_breast_cancer, load_iris, load_wine

import fastslow.estimators.stream
from fastslow import FastSlowClassifier
from fastslow.core.gaussian import class_statistics
from fastslow.data import make_glyphs
from fastslow.errors import InputError
from fastslow.estimators.features import features_of
from fastslow.estimators.learned import NotFittedError
from fastslow.methods.files import PRETRAINED_FOLDER
from stream_sample import all_that_is_known, clouds, taught


def test_the_examples_in_the_documentation_work():
    assert doctest.testmod(fastslow.estimators.stream).failed == 0


def test_classes_are_known_from_one_example_and_new_ones_may_come_at_any_time():
    vectors, labels = clouds(each=20)
    first = [labels.index(name) for name in dict.fromkeys(labels)]
    learner = FastSlowClassifier(None)
    for known, row in enumerate(first, 1):
        learner.learn_one(vectors[row], labels[row])
        seen = [row for row in range(len(labels)) if labels[row] in learner.classes_]
        assert learner.score(vectors[seen], [labels[row] for row in seen]) >= 0.95
        assert len(learner.classes_) == known


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 99), st.integers(1, 40), st.booleans())
def test_a_batch_teaches_what_its_examples_teach_one_by_one(seed, split, slow):
    vectors, labels = clouds(seed=seed, each=10, features=40)
    queries = clouds(seed=seed + 1, features=40)[0]
    one_by_one = taught(vectors, labels, slow=slow)
    parts = FastSlowClassifier(None, slow=slow).partial_fit(vectors[:split], labels[:split])
    if split < len(labels):
        parts.predict(queries)  # answers in between change nothing
        parts.partial_fit(vectors[split:], labels[split:])
    assert all_that_is_known(one_by_one, queries) == all_that_is_known(parts, queries)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 99), st.sets(st.integers(0, 39), min_size=1, max_size=39))
def test_what_is_forgotten_was_never_seen(seed, gone):
    vectors, labels = clouds(seed=seed, each=10, features=40)
    queries = clouds(seed=seed + 1, features=40)[0]
    learner = taught(vectors, labels)
    learner.predict(queries)
    for example in gone:
        learner.forget(example=example)
    kept = [row for row in range(len(labels)) if row not in gone]
    never = taught(vectors[kept], [labels[row] for row in kept])
    assert all_that_is_known(learner, queries) == all_that_is_known(never, queries)
    assert [kept_one.example for kept_one in learner.examples_] == kept


def test_a_class_that_is_forgotten_was_never_seen():
    vectors, labels = clouds(each=8)
    learner = taught(vectors, labels).forget("c1")
    kept = [row for row, label in enumerate(labels) if label != "c1"]
    never = taught(vectors[kept], [labels[row] for row in kept])
    assert all_that_is_known(learner, vectors) == all_that_is_known(never, vectors)
    assert "c1" not in learner.predict(vectors)
    with pytest.raises(InputError, match="got the label 'c1', which has not been learned; there are"):
        learner.forget("c1")


CHANGES = {
    "learn": lambda learner, more: learner.partial_fit(*more),
    "learn a new class": lambda learner, more: learner.learn_one(more[0][0], "new"),
    "forget": lambda learner, _more: learner.forget("c2"),
    "forget an example": lambda learner, _more: learner.forget(example=3),
    "rename": lambda learner, _more: learner.rename("c0", "z"),
    "join": lambda learner, _more: learner.rename("c0", "c1"),
    "merge": lambda learner, more: learner.merge_from(FastSlowClassifier(None).fit(*more)),
}


@pytest.mark.parametrize("max_examples", [1000, 26])
@pytest.mark.parametrize("change", CHANGES)
def test_the_last_change_is_taken_back_exactly_and_once(change, max_examples):
    vectors, labels = clouds()
    learner = taught(vectors, labels, max_examples=max_examples)
    before = all_that_is_known(learner, vectors), learner.examples_
    CHANGES[change](learner, clouds(seed=5))
    assert all_that_is_known(learner, vectors) != before[0]
    learner.undo()
    assert (all_that_is_known(learner, vectors), learner.examples_) == before
    with pytest.raises(InputError, match="there is nothing to undo"):
        learner.undo()


def test_classes_are_renamed_and_joined():
    vectors, labels = clouds()
    learner = taught(vectors, labels).rename("c3", "a")
    assert learner.classes_.tolist() == ["a", "c0", "c1", "c2"]
    assert set(learner.predict(vectors[[row for row, label in enumerate(labels) if label == "c3"]])) == {"a"}
    joined = taught(vectors, labels).rename("c3", "c0")
    alike = taught(vectors, ["c0" if label == "c3" else label for label in labels])
    assert all_that_is_known(joined, vectors) == all_that_is_known(alike, vectors)
    with pytest.raises(InputError, match="equal but of different type"):
        FastSlowClassifier(None).fit(vectors[:2], [1, 2]).rename(1, 2.0)


def test_two_learners_become_one():
    vectors, labels = clouds(each=10)
    one, other = taught(vectors[:15], labels[:15]), taught(vectors[15:], labels[15:])
    together = taught(vectors, labels)
    one.merge_from(other)
    assert all_that_is_known(one, vectors) == all_that_is_known(together, vectors)
    with pytest.raises(InputError, match="got a learner of 3 features to merge into one of 5; both must have the same"):
        one.merge_from(taught(np.ones((2, 3)), ["a", "b"]))


@pytest.mark.parametrize(
    ("more", "labels", "message"),
    [
        (np.ones((2, 5)), ["new"], "got 2 examples and 1 labels"),
        (np.ones((2, 4)), ["new", "c0"], "X has 4 features, but FastSlowClassifier is expecting 5"),
        (np.full((1, 5), np.nan), ["new"], "NaN or infinity"),
        (np.ones((2, 5)), ["new", 3], None),
        (np.ones((1, 5)), [float("nan")], "does not equal itself"),
        (np.ones((1, 5)), [0.5], "continuous"),
        (np.ones((3, 5)), ["n1", "n2", "n3"], "that would make 7 classes; max_examples=6"),
        (np.ones((1, 5)), None, "requires y"),
    ],
)
def test_what_cannot_be_learned_changes_nothing(more, labels, message):
    vectors, names = clouds(each=1)
    learner = taught(vectors, names, max_examples=6)
    before = all_that_is_known(learner, vectors), learner.examples_
    if message is None:  # labels of different types are told apart, and no reason to refuse
        assert set(learner.partial_fit(more, labels).classes_) > {"new", 3}
        return
    with pytest.raises(ValueError, match=message):
        learner.partial_fit(more, labels, classes=["announced"])
    assert (all_that_is_known(learner, vectors), learner.examples_) == before


def test_a_fit_that_fails_forgets_nothing():
    vectors, labels = clouds()
    learner = taught(vectors, labels)
    before = all_that_is_known(learner, vectors)
    with pytest.raises(InputError, match="NaN"):
        learner.fit(np.full((1, 5), np.nan), ["a"])
    assert all_that_is_known(learner, vectors) == before
    assert learner.fit(vectors[:1], ["a"]).classes_.tolist() == ["a"]


def test_a_full_memory_merges_drops_or_refuses():
    vectors, labels = clouds(classes=3, each=30)
    rare = np.full(5, 40.0)
    merging = taught(vectors, labels, max_examples=20).learn_one(rare, "rare")
    assert len(merging.examples_) <= 20
    assert sum(kept.examples for kept in merging.examples_) == 91  # nothing is lost
    assert merging.score(vectors, labels) == 1.0
    assert merging.predict_one(rare + 1) == "rare"
    with pytest.raises(InputError, match="has been merged with others of its class"):
        merging.forget(example=next(kept.example for kept in merging.examples_ if kept.examples > 1))
    dropping = taught(vectors, labels, max_examples=20, eviction="oldest")
    assert len(dropping.examples_) <= 20
    assert max(kept.example for kept in dropping.examples_) == 89
    assert dropping.score(vectors, labels) >= 0.95
    refusing = taught(vectors[:20], labels[:20], max_examples=20, eviction="refuse")
    with pytest.raises(
        InputError, match=r"1 examples more for a memory of max_examples=20 that holds 20; raise max_ex"
    ):
        refusing.learn_one(rare, "rare")
    few = taught(vectors, labels, per_class=4)
    assert len(few.examples_) == 12
    assert few.score(vectors, labels) == 1.0
    with pytest.raises(InputError, match="which holds 1 of per_class=1"):
        taught(vectors[:1], ["a"], per_class=1, eviction="refuse").learn_one(rare, "a")


def test_memory_and_time_do_not_grow_with_the_stream():
    vectors, labels = clouds(classes=3, each=400)
    learner = FastSlowClassifier(None, max_examples=50).partial_fit(vectors[:200], labels[:200])
    taken = learner.memory_bytes_
    learner.partial_fit(vectors[200:], labels[200:])
    assert learner.memory_bytes_ <= 2 * taken
    assert len(learner.examples_) <= 50


def test_directions_that_do_not_matter_are_learned_from_frequent_classes_and_help_rare_ones():
    generator = np.random.default_rng(0)
    noise, means = np.array([0.3] * 4 + [3.0] * 4), 2 * generator.normal(size=(8, 8))
    means[:, 4:] = 0  # classes differ in the quiet half alone

    def draw(classes, each):
        numbers = np.repeat(classes, each)
        return means[numbers] + noise * generator.normal(size=(len(numbers), 8)), numbers

    frequent, rare, queries = draw(range(5), 200), draw(range(5, 8), 1), draw(range(8), 50)
    scores = {}
    for slow in (True, False):
        learner = FastSlowClassifier(None, slow=slow).fit(*frequent).partial_fit(*rare)
        scores[slow] = learner.score(queries[0][250:], queries[1][250:])
    assert scores[True] > scores[False] + 0.2


def test_probabilities_sum_to_one_and_follow_the_classes():
    vectors, labels = clouds(apart=1.0)
    learner = taught(vectors, labels)
    shares = learner.predict_proba(vectors)
    assert shares.shape == (24, 4)
    assert np.allclose(shares.sum(1), 1)
    assert (learner.classes_[shares.argmax(1)] == learner.predict(vectors)).all()
    assert (learner.classes_[learner.decision_function(vectors).argmax(1)] == learner.predict(vectors)).all()
    one = learner.predict_proba_one(vectors[0])
    assert list(one) == learner.classes_.tolist()
    assert list(one.values()) == pytest.approx(shares[0].tolist())
    two = taught(vectors, [label if label == "c0" else "other" for label in labels])
    assert ((two.decision_function(vectors) > 0) == (two.predict(vectors) == "other")).all()


def test_queries_are_answered_as_if_alone():
    vectors, labels = clouds(apart=1.0)
    learner = taught(vectors, labels)
    together = learner.decision_function(vectors)
    assert np.allclose(together[3], learner.decision_function(vectors[3:4])[0], atol=1e-4)
    assert np.allclose(learner.novelty(vectors)[3], learner.novelty(vectors[3:4])[0], atol=1e-4)


def test_what_is_of_no_class_is_novel():
    vectors, labels = clouds(classes=5, each=12, features=20)
    known = [row for row, label in enumerate(labels) if label != "c4"]
    learner = taught(vectors[known], [labels[row] for row in known])
    novelty = learner.novelty(vectors)
    other = np.array([label == "c4" for label in labels])
    assert novelty[~other].max() < 1.5 < novelty[other].min()
    answers = learner.predict(vectors, unknown="?")
    assert (answers[other] == "?").all()
    assert learner.predict_one(vectors[other][0], unknown="?") == "?"
    assert learner.set_params(novelty_threshold=1e6).predict_one(vectors[other][0], unknown="?") != "?"


def test_an_answer_names_the_examples_that_it_came_from():
    vectors, labels = clouds()
    learner = taught(vectors, labels)
    for row, reasons in enumerate(learner.explain(vectors, top=2)):
        assert reasons[0].example == row  # itself
        assert reasons[0].label == labels[row]
        assert 1 >= reasons[0].weight >= reasons[1].weight >= 0
    assert len(learner.explain(vectors[:1], top=99)[0]) == 24
    assert sum(reason.weight for reason in learner.explain(vectors[:1], top=99)[0]) == pytest.approx(1)


@pytest.mark.parametrize("ask", ["predict", "predict_proba", "decision_function", "novelty", "explain"])
def test_nothing_can_be_asked_before_something_was_learned(ask):
    with pytest.raises(NotFittedError, match="no class has been learned yet; call fit"):
        getattr(FastSlowClassifier(None), ask)(np.ones((1, 2)))
    learner = taught(*clouds()).forget("c0").forget("c1").forget("c2").forget("c3")
    with pytest.raises(NotFittedError):
        getattr(learner, ask)(np.ones((1, 5)))


def test_announced_classes_are_no_answers():
    vectors, labels = clouds()
    learner = FastSlowClassifier(None).partial_fit(vectors, labels, classes=["c0", "zzz"])
    assert learner.classes_.tolist() == ["c0", "c1", "c2", "c3", "zzz"]
    assert learner.predict_proba(vectors)[:, 4].max() == 0
    assert "zzz" not in learner.predict(vectors + 1e3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_examples": 0}, "max_examples is 0; give a whole number of at least 1"),
        ({"per_class": 1.5}, "per_class is 1.5; give a whole number"),
        ({"eviction": "newest"}, r"got eviction='newest'; choose from \['merge', 'oldest', 'refuse'\]"),
        ({"model": "nowhere"}, "there is no model"),
    ],
)
def test_options_that_do_not_exist_are_refused_when_something_is_learned(options, message):
    learner = FastSlowClassifier().set_params(**{"model": None, **options})
    with pytest.raises(InputError, match=message):
        learner.partial_fit(np.ones((1, 2)), ["a"])
    assert not hasattr(learner, "memory_")


@pytest.fixture(scope="module")
def drawings():
    """Eight classes of six drawings, (classes, drawings, 28, 28) uint8."""
    return make_glyphs(num_classes=8, per_class=6, seed=77).images.reshape(8, 6, 28, 28).numpy()


def test_drawings_are_learned_by_a_shipped_model_and_unknown_ones_are_told(drawings):
    names = [f"glyph {n}" for n in range(5)]
    learner = FastSlowClassifier("omniglot-5w1s-fast").partial_fit(drawings[:5, 0], names)
    assert learner.score(drawings[:5, 1:].reshape(-1, 28, 28), np.repeat(names, 5)) >= 0.9
    known, unknown = (learner.novelty(part.reshape(-1, 28, 28)) for part in (drawings[:5, 1:], drawings[5:]))
    assert np.median(known) < 1 < np.median(unknown)
    grey = 255 - drawings[0, 1]  # dark on bright, RGB: prepared alike
    assert learner.predict_one(np.stack([grey] * 3, -1)) == names[0]
    with pytest.raises(InputError, match="got images of shape"):
        learner.learn_one(np.ones((5, 6)), "not square")


def test_every_shipped_model_has_statistics_of_its_own_features():
    for path in PRETRAINED_FOLDER.glob("*.safetensors"):
        prior = features_of(str(path)).prior
        assert prior is not None, path
        assert prior.between.trace() > prior.within.trace()


def test_a_module_a_function_and_vectors_are_compared_alike():
    vectors, labels = clouds()
    module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(5, 5, bias=False), torch.nn.Dropout(0.5))
    module[1].weight.data = torch.eye(5)
    plain = taught(vectors, labels).decision_function(vectors)
    assert np.array_equal(FastSlowClassifier(lambda x: x).fit(vectors, labels).decision_function(vectors), plain)
    learner = FastSlowClassifier(module).fit(vectors, labels)
    assert np.allclose(learner.decision_function(vectors), plain, atol=1e-3)
    assert module.training  # as it was
    assert taught(torch.from_numpy(vectors), labels).predict_one(torch.from_numpy(vectors)[0]) == labels[0]
    assert FastSlowClassifier(None).fit(vectors.astype(">f8"), labels).predict(vectors).tolist() == labels


def test_a_model_without_features_is_refused(tmp_path):
    from fastslow.methods import build_method
    from fastslow.methods.config import preset
    from fastslow.methods.files import TrainedModel, save_model

    config = preset("default", method="maml", image_size=28)
    save_model(tmp_path / "m.safetensors", TrainedModel(build_method(config).eval(), config, {}))
    with pytest.raises(InputError, match="which takes images as they are: its encoder has no features to compare"):
        FastSlowClassifier(str(tmp_path / "m.safetensors")).learn_one(np.ones((28, 28)), "a")


def test_copies_and_pickles_know_the_same_and_go_their_own_way(drawings):
    learner = FastSlowClassifier("omniglot-5w1s-fast").partial_fit(drawings[:3, 0], ["a", "b", "c"])
    for other in (pickle.loads(pickle.dumps(learner)), copy.deepcopy(learner)):
        assert np.array_equal(other.novelty(drawings[:, 1]), learner.novelty(drawings[:, 1]))
        other.forget("a")
        assert learner.classes_.tolist() == ["a", "b", "c"]


def test_labels_keep_their_type():
    vectors = clouds()[0][:3]
    for labels in ([3, 1, 2], ["b", "a", "c"], [True, False, True], [("a", 1), ("b", 2), ("a", 1)], [1, "a", 2]):
        learner = taught(vectors, labels, novelty_threshold=1e9)
        assert [learner.predict_one(vector) for vector in vectors] == labels
        assert {type(label) for label in learner.predict(vectors).tolist()} == {type(label) for label in labels}
    assert taught(vectors, np.array([3, 1, 2], dtype=np.int8)).classes_.tolist() == [1, 2, 3]


def test_statistics_give_vectors_a_start(drawings):
    """What the model's prior is worth: one example of each class, in directions that training has found."""
    made = make_glyphs(num_classes=60, per_class=8, seed=5)
    features = features_of("omniglot-5w1s-fast").make(made.images)
    found = class_statistics(features, made.labels)
    assert found.between.trace() > found.within.trace()


def test_what_has_been_asked_changes_no_answer_though_rows_have_come_and_gone():
    generator = np.random.default_rng(0)
    vectors, labels = generator.normal(size=(80, 6)), np.repeat(np.arange(40), 2).tolist()
    for options in ({"per_class": 2, "eviction": "oldest"}, {"per_class": 2}, {"max_examples": 50}):
        asked, silent = (FastSlowClassifier(None, **options).fit(vectors, labels) for _ in range(2))
        for round_ in range(4):
            more = vectors * (round_ + 2) + 5 * generator.normal(size=vectors.shape)
            asked.partial_fit(more, labels).predict(vectors)
            silent.partial_fit(more, labels)
        before = all_that_is_known(asked, vectors)
        assert before == all_that_is_known(silent, vectors)
        assert before == all_that_is_known(asked.learn_one(vectors[0], 0).undo(), vectors)


def test_a_learner_takes_in_itself():
    vectors, labels = clouds()
    learner = taught(vectors, labels)
    learner.merge_from(learner)
    assert sum(kept.examples for kept in learner.examples_) == 48
    assert learner.predict(vectors).tolist() == labels
    empty = FastSlowClassifier(None).merge_from(learner)
    assert all_that_is_known(empty, vectors) == all_that_is_known(learner, vectors)
    with pytest.raises(InputError, match="another FastSlowClassifier was expected"):
        learner.merge_from("x")


@pytest.mark.parametrize("change", CHANGES)
def test_what_breaks_off_in_the_middle_changes_nothing(change, monkeypatch):
    def broken(*_, **__):
        raise KeyboardInterrupt

    vectors, labels = clouds()
    learner = taught(vectors, labels)
    other = clouds(seed=5)
    FastSlowClassifier(None).fit(*other)
    before = all_that_is_known(learner, vectors), learner.examples_
    for method in ("_make_room", "_drop"):
        monkeypatch.setattr(f"fastslow.estimators.stream_memory.StreamMemory.{method}", broken)
    monkeypatch.setattr("fastslow.data.labels.LabelNumbers.renamed", broken)
    with pytest.raises(KeyboardInterrupt):
        CHANGES[change](learner, other) if change != "merge" else learner.merge_from(learner)
    assert (all_that_is_known(learner, vectors), learner.examples_) == before


def test_a_fit_that_is_interrupted_forgets_nothing():
    def model(vectors):
        if model.stop:
            raise KeyboardInterrupt
        return vectors

    vectors, labels = clouds()
    model.stop = False
    learner = FastSlowClassifier(model).fit(vectors, labels)
    model.stop = True
    with pytest.raises(KeyboardInterrupt):
        learner.fit(vectors, labels)
    model.stop = False
    assert learner.predict(vectors).tolist() == labels
    with pytest.raises(InputError, match="nothing to undo"):
        learner.undo()


def test_labels_of_numpy_are_plain_ones_wherever_they_come_in():
    vectors, labels = clouds()
    learner = taught(vectors, labels).rename("c0", np.str_("z"))
    assert {type(label) for label in learner.memory_.labels} == {str}
    assert learner.learn_one(vectors[0], "z").forget(np.str_("z")).classes_.tolist() == ["c1", "c2", "c3"]
    learner.learn_one(vectors[0], None)
    assert None in learner.forget("c1").memory_.labels
    assert None not in learner.forget(None).memory_.labels


def test_classes_are_joined_within_bounds():
    vectors, labels = clouds(classes=2, each=2)
    refusing = taught(vectors, labels, per_class=2, eviction="refuse")
    with pytest.raises(InputError, match="got 2 examples more of class 'c1', which holds 2 of per_class=2"):
        refusing.rename("c0", "c1")
    assert refusing.classes_.tolist() == ["c0", "c1"]
    assert len(taught(vectors, labels, per_class=2).rename("c0", "c1").examples_) <= 2


def test_features_of_another_model_are_not_compared():
    vectors, labels = clouds()
    learner = FastSlowClassifier(torch.nn.Linear(5, 4)).fit(vectors, labels)
    learner.set_params(model=torch.nn.Linear(5, 4))
    for ask in (learner.predict, learner.explain, lambda x: learner.partial_fit(x, labels)):
        with pytest.raises(InputError, match="got another model than the one whose features were learned"):
            ask(vectors)
    assert learner.fit(vectors, labels).score(vectors, labels) > 0.9


def test_a_module_is_left_as_it_was_and_takes_what_numpy_gives():
    module = torch.nn.Sequential(torch.nn.Linear(5, 4), torch.nn.BatchNorm1d(4)).train()
    module[1].eval()
    vectors, labels = clouds()
    FastSlowClassifier(module).fit(vectors.astype(np.float64), labels)
    with pytest.raises(InputError, match=r"makes no features of examples of shape \(2, 7\)"):
        FastSlowClassifier(module).fit(np.ones((2, 7)), ["a", "b"])
    assert [part.training for part in module.modules()] == [True, True, False]
    with pytest.raises(InputError, match="it has to give one tensor"):
        FastSlowClassifier(torch.nn.LSTM(5, 4)).fit(vectors, labels)


def test_equal_examples_are_merged_quickly():
    vectors = np.tile(np.random.default_rng(0).normal(size=(1, 16)), (2001, 1))
    began = time.monotonic()
    learner = FastSlowClassifier(None, max_examples=2000).partial_fit(vectors, ["a"] * 2001)
    assert time.monotonic() - began < 3
    assert sum(kept.examples for kept in learner.examples_) == 2001


def test_distances_are_right_where_classes_are_ten_thousand_times_as_far_apart_as_wide():
    generator = np.random.default_rng(0)
    numbers = np.repeat(np.arange(10), 30)
    means = generator.normal(size=(10, 8))
    shown, asked = (means[numbers] + generator.normal(size=(300, 8)) / 1e4 for _ in range(2))
    novelty = FastSlowClassifier(None).fit(shown, numbers).novelty(asked)
    assert 0.1 < novelty.min() < novelty.max() < 3


def test_examples_beyond_all_measure_are_unknown():
    learner = FastSlowClassifier(None).fit(1e-6 * np.random.default_rng(0).normal(size=(30, 4)), list("abc") * 10)
    far = 1e36 * np.ones((2, 4))
    assert learner.predict(far, unknown="?").tolist() == ["?", "?"]
    assert np.isfinite(learner.predict_proba(far)).all()


@pytest.mark.parametrize("threshold", [0, -1, float("nan"), float("inf"), "x", True])
def test_a_threshold_that_is_none_is_refused(threshold):
    learner = taught(*clouds()).set_params(novelty_threshold=threshold)
    with pytest.raises(InputError, match=r"got novelty_threshold=.*; a positive number was expected"):
        learner.novelty(np.ones((1, 5)))


@pytest.mark.usefixtures("as_users_call_it")
def test_numbers_of_numpy_are_taken():
    vectors, _ = clouds()
    learner = taught(*clouds()).set_params(novelty_threshold=np.float32(1.5))
    same = taught(*clouds()).set_params(novelty_threshold=1.5)
    assert np.array_equal(learner.novelty(vectors), same.novelty(vectors))
    assert learner.explain(vectors, top=np.uint8(2)) == same.explain(vectors, top=2)
    learner.forget(example=np.int64(0))
    assert len(learner.examples_) == len(same.examples_) - 1


def test_only_classes_with_examples_take_room():
    vectors, _ = clouds()
    learner = FastSlowClassifier(None, max_examples=2).partial_fit(vectors[:1], ["a"], classes=["a", "b", "c"])
    assert learner.partial_fit(vectors[1:2], ["b"]).classes_.tolist() == ["a", "b", "c"]
    with pytest.raises(InputError, match="that would make 3 classes; max_examples=2"):
        learner.partial_fit(vectors[2:3], ["c"])


@pytest.mark.parametrize(
    "ask",
    [
        lambda learner: learner.explain(np.ones((1, 3))),
        lambda learner: learner.explain(np.ones((1, 5)), top=-1),
        lambda learner: learner.forget(example="x"),
        lambda learner: learner.forget(example=10**30),
        lambda learner: learner.forget(example=True),
        lambda learner: learner.forget(),
        lambda learner: learner.forget("c0", example=1),
        lambda learner: learner.partial_fit(np.ones((4, 5)), np.ones((2, 2))),
        lambda learner: learner.score(np.ones((2, 5)), ["a"]),
        lambda learner: learner.partial_fit([[10**400] * 5], ["a"]),
        lambda learner: FastSlowClassifier(None).fit(np.ones((1, 5000)), ["a"]),
    ],
)
def test_what_makes_no_sense_is_refused_in_words(ask):
    learner = taught(*clouds())
    before = learner.examples_
    with pytest.raises(InputError):
        ask(learner)
    assert learner.examples_ == before


@pytest.mark.parametrize(
    "ask", [lambda x: x.forget("a"), lambda x: x.undo(), lambda x: x.rename("a", "b"), lambda x: x.classes_,
            lambda x: x.examples_, lambda x: taught(*clouds()).merge_from(x)]
)  # fmt: skip
def test_nothing_can_be_changed_before_something_was_learned(ask):
    with pytest.raises(NotFittedError):
        ask(FastSlowClassifier(None))


def test_rows_are_of_32_bits_whatever_torchs_default_is(tmp_path):
    vectors, labels = clouds()
    torch.set_default_dtype(torch.float64)
    try:
        taught(vectors, labels).save(tmp_path / "a.safetensors")
    finally:
        torch.set_default_dtype(torch.float32)
    assert FastSlowClassifier.load(tmp_path / "a.safetensors").predict(vectors).tolist() == labels


def test_merging_leaves_the_spread_that_is_learned_as_it_was():
    vectors, labels = clouds(classes=3, each=400, features=8)
    whole, merged = (FastSlowClassifier(None, max_examples=most).fit(vectors, labels) for most in (5000, 60))
    assert len(merged.examples_) <= 60
    queries = clouds(classes=3, each=50, features=8)[0]
    ratio = np.median(merged.novelty(queries)) / np.median(whole.novelty(queries))
    assert 0.9 < ratio < 1.1


def test_directions_that_are_given_do_not_change_with_the_stream():
    vectors, labels = clouds(classes=3, each=40)
    learner = FastSlowClassifier(None, slow=False, max_examples=20).partial_fit(vectors[:10], labels[:10])
    before = learner.memory_.knowledge.axes.axes.clone()
    learner.partial_fit(vectors, labels)
    known = learner.memory_.knowledge.axes.axes
    assert torch.allclose(known / known.norm(), before / before.norm(), atol=1e-6)


@pytest.mark.parametrize("load", [load_iris, load_wine, load_breast_cancer])
def test_probabilities_of_vectors_are_about_as_often_right_as_they_say(load):
    vectors, labels = load(return_X_y=True)
    vectors = ((vectors - vectors.mean(0)) / vectors.std(0)).astype(np.float32)
    order = np.random.default_rng(0).permutation(len(vectors))
    shown, asked = np.array_split(order, 2)
    learner = FastSlowClassifier(None).fit(vectors[shown], labels[shown])
    shares = learner.predict_proba(vectors[asked])
    assert -np.log(shares[np.arange(len(asked)), labels[asked]]).mean() < 0.13
    assert abs(shares.max(1).mean() - (shares.argmax(1) == labels[asked]).mean()) < 0.05
