"""One learner, several threads: nothing is lost, and nobody reads what is half written."""

import copy
import io
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from exported_sample import SMALL, built
from fastslow import FastSlowClassifier, FewShotClassifier
from fastslow.data import make_glyphs
from fastslow.estimators.answers import answers_in_full
from stream_sample import all_that_is_known, clouds

READERS = {
    "predict": lambda learner, x: learner.predict(x),
    "shares": lambda learner, x: learner.predict_proba_one(x[0]),
    "explain": lambda learner, x: learner.explain(x),
    "in full": lambda learner, x: answers_in_full(learner, x),
    "kept": lambda learner, _x: (learner.examples_, learner.classes_, learner.memory_bytes_),
    "copied": lambda learner, x: copy.deepcopy(learner).predict(x),
    "pickled": lambda learner, x: pickle.loads(pickle.dumps(learner)).predict(x),
    "merged": lambda learner, x: FastSlowClassifier(None).merge_from(learner).predict(x),
}


@pytest.mark.no_cover
@pytest.mark.parametrize("reader", READERS)
def test_several_threads_teach_one_learner_while_others_ask(reader):
    vectors, labels = clouds(each=50)
    learner = FastSlowClassifier(None, max_examples=150).learn_one(vectors[0], "first")

    def teach(part):
        for x, y in zip(vectors[part::3], labels[part::3], strict=True):
            learner.learn_one(x, f"{y} {part}")

    with ThreadPoolExecutor(5) as threads:
        teachers = [threads.submit(teach, part) for part in range(3)]
        while not all(one.done() for one in teachers):
            for asked in [threads.submit(READERS[reader], learner, vectors[:5]) for _ in range(2)]:
                asked.result()
        for one in teachers:
            one.result()
    assert sum(kept.examples for kept in learner.examples_) == len(vectors) + 1
    assert len(learner.classes_) == 13


def test_two_learners_take_from_each_other_at_once():
    vectors, labels = clouds()
    one, other = (FastSlowClassifier(None, max_examples=500).fit(vectors, labels) for _ in range(2))
    with ThreadPoolExecutor(2) as threads:
        for future in [threads.submit(a.merge_from, b) for a, b in ((one, other), (other, one)) for _ in range(3)]:
            future.result(timeout=60)
    assert len(one.merge_from(one).examples_) > len(vectors)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_the_lock_does_not_travel(protocol):
    vectors, labels = clouds()
    learner = FastSlowClassifier(None).fit(vectors, labels)
    assert "_lock" not in vars(learner)
    file = io.BytesIO(pickle.dumps(learner, protocol))
    with learner._lock, ThreadPoolExecutor(1) as threads:
        for again in (pickle.load(file), copy.deepcopy(learner), copy.copy(learner)):
            found = threads.submit(all_that_is_known, again.learn_one(vectors[0], "new").undo(), vectors)
            assert found.result(timeout=60) == all_that_is_known(learner, vectors)
    assert learner.examples_ == again.examples_
    assert np.array_equal(learner.classes_, again.classes_)


def test_a_learner_of_few_classes_loses_nothing_that_threads_teach_it():
    drawings = make_glyphs(num_classes=12, per_class=1, seed=3).images.numpy()
    learner = FewShotClassifier(built(name="default", n_way=12, **SMALL))

    def teach(number):
        return learner.learn(drawings[number : number + 1], [number]).predict(drawings)

    with ThreadPoolExecutor(12) as threads:
        answers = [one.result(timeout=60) for one in [threads.submit(teach, number) for number in range(12)]]
        answers.append(pickle.loads(pickle.dumps(learner)).predict(drawings))
    assert sorted(learner.classes) == list(range(12))
    assert all(len(answer) == 12 for answer in answers)
    assert "_lock" not in vars(copy.copy(learner))
    with pytest.raises(ValueError, match="got 33 examples in a task"):  # all twelve are counted
        learner.learn(drawings[[0] * 21], [0] * 21)
