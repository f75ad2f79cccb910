"""Rows of examples: growing, merging, dropping, and copies that stay what they were."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fastslow.errors import InputError
from fastslow.estimators.eviction import limit, make_room
from fastslow.estimators.examples import Examples, weighted_sums


def filled(sizes, features=3, seed=0):
    """Examples of classes of these sizes, drawn at random and in no order."""
    classes = torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes))
    generator = torch.Generator().manual_seed(seed)
    classes = classes[torch.randperm(len(classes), generator=generator)]
    examples = Examples(features)
    examples.add(torch.randn(len(classes), features, generator=generator), classes)
    return examples


SIZES = st.lists(st.integers(1, 30), min_size=1, max_size=6)


@settings(deadline=None)
@given(SIZES, st.integers(1, 60), st.sampled_from(["merge", "oldest"]), st.integers(0, 9))
def test_room_is_made_in_the_largest_classes_and_none_loses_its_last(sizes, most, eviction, seed):
    examples = filled(sizes, seed=seed)
    before, sums = weighted_sums(examples, len(sizes)), len(examples)
    if len(sizes) > most:
        with pytest.raises(InputError, match=f"got {len(sizes)} classes for a memory of max_examples={most}"):
            make_room(examples, most, eviction)
        assert len(examples) == sums
        return
    make_room(examples, most, eviction)
    left = examples.classes.bincount(minlength=len(sizes))
    assert len(examples) <= most
    assert (left >= 1).all()
    cut = left < torch.tensor(sizes)
    assert not cut.any() or left[cut].max() - left.max() in (0, -1)  # only what is over one level is cut
    assert (examples.ids.diff() > 0).all()  # in the order in which they came
    if eviction == "merge":
        after = weighted_sums(examples, len(sizes))
        assert torch.equal(before[1], after[1])
        assert torch.allclose(before[0], after[0], atol=1e-4)


def test_the_nearest_two_of_a_class_become_their_mean():
    examples = Examples(1)
    examples.add(torch.tensor([[0.0], [10.0], [11.0], [0.1], [10.4]]), torch.tensor([0, 0, 0, 1, 0]))
    limit(examples, 3, "merge")
    # First 10 and 10.4, then their mean and 11: a little below 3, so that not every example after it makes work.
    assert examples.features.flatten().tolist() == pytest.approx([0.0, 31.4 / 3, 0.1])
    assert examples.counts.tolist() == [1, 3, 1]
    assert examples.ids.tolist() == [0, 1, 3]
    assert examples.num_lost == 2
    assert examples.lost.item() == pytest.approx(2 * 0.2**2 + 2 / 3 * 0.8**2, abs=1e-6)
    limit(examples, 1, "merge")
    assert examples.features.flatten().tolist() == pytest.approx([(0 + 10 + 11 + 10.4) / 4, 0.1])


@given(SIZES, st.integers(1, 10), st.integers(0, 9))
@settings(deadline=None)
def test_merging_loses_no_scatter(sizes, per_class, seed):
    def scatter(examples):
        sums, counts = weighted_sums(examples, len(sizes))
        residues = examples.features.double() - (sums / counts.unsqueeze(1))[examples.classes]
        kept = (residues * examples.counts.unsqueeze(1)).mT @ residues
        return kept + examples.lost if examples.lost.numel() else kept

    examples = filled(sizes, seed=seed)
    before = scatter(examples)
    limit(examples, per_class, "merge")
    assert torch.allclose(before, scatter(examples), atol=1e-3)


def test_the_oldest_go_first():
    examples = filled([5, 2])
    newest = examples.ids[examples.classes == 0][-3:]
    limit(examples, 4, "oldest")
    assert torch.equal(examples.ids[examples.classes == 0], newest)
    assert (examples.classes == 1).sum() == 2


def test_many_alike_are_merged_too():
    examples = Examples(2)
    examples.add(torch.zeros(40, 2), torch.zeros(40, dtype=torch.int64))
    limit(examples, 1, "merge")
    assert examples.counts.tolist() == [40]


@pytest.mark.parametrize("change", ["add", "merge", "oldest", "keep", "move", "take"])
def test_a_shallow_copy_stays_what_it_was(change):
    examples = filled([20, 9])
    before = copy.copy(examples)
    copied = {name: part.clone() for name, part in before.tensors().items()}
    {
        "add": lambda: examples.add(torch.ones(40, 3), torch.zeros(40, dtype=torch.int64)),
        "merge": lambda: limit(examples, 3, "merge"),
        "oldest": lambda: limit(examples, 3, "oldest"),
        "keep": lambda: examples.keep(examples.classes == 1),
        "move": lambda: examples.move(torch.tensor([1, 0])),
        "take": lambda: examples.take(filled([3]), torch.zeros(3, dtype=torch.int64)),
    }[change]()
    assert all(torch.equal(copied[name], part) for name, part in before.tensors().items())
    assert (len(before), before.next_id, before.num_lost) == (29, 29, 0)


def test_rows_come_back_from_tensors_and_what_is_none_is_refused():
    examples = filled([4, 2])
    limit(examples, 3, "merge")
    again = Examples.of(examples.tensors(), examples.next_id, examples.num_lost)
    assert all(torch.equal(part, again.tensors()[name]) for name, part in examples.tensors().items())
    assert again.add(torch.zeros(1, 3), torch.tensor([0])).tolist() == [6]
    good = examples.tensors()
    for name, bad in (
        ("features", good["features"].double()), ("features", good["features"][:-1]), ("numbers", good["numbers"][:2]),
        ("numbers", -good["numbers"]), ("lost", good["lost"][:1]), ("other", good["lost"]),
    ):  # fmt: skip
        with pytest.raises(InputError, match="got rows that no stream learner has"):
            Examples.of({**good, name: bad}, examples.next_id, 0)
    for next_id, lost in ((5, 0), ("6", 0), (6, -1)):
        with pytest.raises(InputError, match="give a whole number of at least"):
            Examples.of(good, next_id, lost)


def test_no_more_is_cut_than_has_to_be():
    examples = filled([1500, 300, 40, 5])
    make_room(examples, 1700, "merge")
    assert examples.classes.bincount().tolist() == [1185, 300, 40, 5]  # nine tenths of the room
