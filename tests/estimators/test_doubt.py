"""Labels that are wrong: how far each example is believed, and what that saves."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fastslow import FastSlowClassifier
from fastslow.core.gaussian import class_forms, distances, own_likelihood, posterior
from fastslow.estimators.doubt import LEAST, PASSES, believed, temperature_of
from stream_sample import all_that_is_known, clouds, taught


def mislabelled(share=0.3, classes=4, each=10, apart=4.0):
    """Clouds of which some labels are another class's; and which these are."""
    vectors, labels = clouds(classes=classes, each=each, apart=apart)
    wrong = np.random.default_rng(1).permutation(len(labels))[: int(share * len(labels))]
    names = list(labels)
    for row in wrong:
        names[row] = f"c{(int(labels[row][1:]) + 1) % classes}"
    return vectors, labels, names, wrong


def beliefs_of(learner):
    return np.array([one.belief for one in learner.examples_])


def test_shares_are_those_of_a_loop_over_examples_classes_and_passes():
    generator = torch.Generator().manual_seed(0)
    rows, spread = torch.randn(9, 3, generator=generator).double(), torch.tensor([4.0, 1.0, 0.5]).double()
    classes, counts = torch.tensor([0, 0, 0, 1, 1, 2, 3, 3, 1]), torch.tensor([1.0, 2, 1, 1, 1, 1, 3, 1, 1]).double()
    shares = [1.0] * 9
    for _ in range(PASSES):
        found = []
        for row in range(9):
            likelihood = []
            for number in range(4):
                members = [r for r in range(9) if classes[r] == number and r != row]
                weights = [shares[r] * float(counts[r]) for r in members]
                sums = sum((w * rows[r] for w, r in zip(weights, members, strict=True)), torch.zeros(3).double())
                known = posterior(sums[None], torch.tensor([sum(weights)]).double(), spread)
                forms = class_forms(known)
                likelihood.append(float(distances(rows[row : row + 1], forms, freedom=7.0).likelihood))
            probabilities = (torch.tensor(likelihood).double() / temperature_of(3)).softmax(0)
            found.append(max(LEAST, float(probabilities[classes[row]])))
        most = [max(found[r] for r in range(9) if classes[r] == classes[row]) for row in range(9)]
        shares = [share / top for share, top in zip(found, most, strict=True)]
    got = believed(rows, classes, counts, spread, num_classes=4, freedom=7.0)
    assert torch.allclose(got, torch.tensor(shares).double())


def test_temperature_grows_with_the_axes():
    assert temperature_of(5) == 1.0
    assert temperature_of(128) == 20.0
    assert temperature_of(256) == 40.0


def test_a_likelihood_in_a_class_of_its_own_is_that_of_any_class():
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(5, 3, generator=generator).double()
    classes = posterior(rows.flip(0), torch.arange(5).double(), torch.tensor([4.0, 1.0, 0.5]).double())
    for freedom in (3.0, float("inf")):
        all_of_them = distances(rows, class_forms(classes), freedom=freedom).likelihood
        assert torch.allclose(own_likelihood(rows, classes, freedom=freedom), all_of_them.diagonal())


def test_wrong_labels_are_believed_less_and_cost_less():
    vectors, labels, names, wrong = mislabelled()
    learner = FastSlowClassifier(None, doubt_labels=True).fit(vectors, names)
    beliefs = beliefs_of(learner)
    right = np.setdiff1d(np.arange(len(labels)), wrong)
    assert np.median(beliefs[wrong]) < 0.1 < 0.9 < np.median(beliefs[right])
    plain = FastSlowClassifier(None).fit(vectors, names)
    assert learner.score(vectors, labels) > plain.score(vectors, labels)
    assert (beliefs_of(plain) == 1).all()


def test_the_only_example_of_a_class_is_believed():
    vectors, labels = clouds(each=1)
    learner = FastSlowClassifier(None, doubt_labels=True).fit(vectors, labels)
    assert (beliefs_of(learner) == 1).all()
    plain = FastSlowClassifier(None).fit(vectors, labels)
    assert np.allclose(learner.decision_function(vectors), plain.decision_function(vectors))


def test_what_was_learned_in_parts_forgotten_or_saved_is_the_same_bit_for_bit(tmp_path):
    vectors, _, names, _ = mislabelled()
    queries = vectors[::3]
    known = all_that_is_known(taught(vectors, names, doubt_labels=True), queries)
    parts = FastSlowClassifier(None, doubt_labels=True).partial_fit(vectors[:7], names[:7])
    parts.predict(queries)
    parts.partial_fit(vectors[7:], names[7:])
    assert all_that_is_known(parts, queries) == known
    parts.learn_one(vectors[0] + 3, "c1")
    parts.forget(example=parts.examples_[-1].example)
    assert all_that_is_known(parts, queries) == known
    parts.save(tmp_path / "a.safetensors")
    again = FastSlowClassifier.load(tmp_path / "a.safetensors")
    assert again.doubt_labels is True
    assert all_that_is_known(again, queries) == known


def test_an_explanation_passes_over_what_is_not_believed():
    vectors, _, names, wrong = mislabelled()
    learner = FastSlowClassifier(None, doubt_labels=True).fit(vectors, names)
    row = int(wrong[0])
    (found,) = learner.explain(vectors[row : row + 1])
    assert row not in [one.example for one in found]
    assert sum(one.weight for one in learner.explain(vectors[:1], top=len(names))[0]) == pytest.approx(1)
    (plain,) = FastSlowClassifier(None).fit(vectors, names).explain(vectors[row : row + 1])
    assert plain[0].example == row


def test_a_full_memory_doubts_what_it_has_merged():
    vectors, labels, names, _ = mislabelled(each=40)
    learner = FastSlowClassifier(None, doubt_labels=True, max_examples=60).fit(vectors, names)
    assert len(learner.examples_) <= 60
    assert ((beliefs_of(learner) > 0) & (beliefs_of(learner) <= 1)).all()
    assert learner.score(vectors, labels) > 0.95
