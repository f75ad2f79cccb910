"""The memory of errors, against attention and averages written out one by one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastslow.core.error_memory import ErrorMemory
from fastslow.core.error_slots import squared_distances
from fastslow.errors import InputError


def drawn(count, seed=0, key=3, steps=4):
    random = np.random.default_rng(seed)
    return random.normal(size=(count, key)), random.normal(size=(count, steps, 2))


def filled(count=20, slots=50, seed=0, **options):
    memory = ErrorMemory(slots, 3, 4, **options)
    keys, errors = drawn(count, seed)
    memory.write(keys, errors)
    return memory, keys, errors


def test_an_answer_is_the_attention_over_all_errors_beside_an_empty_slot():
    memory, keys, errors = filled(alike=0.0, empty=0.7)
    queries, _ = drawn(5, seed=1)
    read = memory.read(queries)
    for row, query in enumerate(queries):
        weights = [np.exp(-0.5 * np.sum((query - key) ** 2)) for key in keys]
        total = sum(weights) + 0.7
        mean = sum(w * e for w, e in zip(weights, errors, strict=True)) / total
        prior = np.mean([np.sum(e**2, 1) for e in errors], 0)
        square = (sum(w * np.sum(e**2, 1) for w, e in zip(weights, errors, strict=True)) + 0.7 * prior) / total
        assert np.allclose(read.error[row], mean)
        assert np.allclose(read.square[row], square - np.sum(mean**2, 1))
        assert read.weight[row] == pytest.approx(sum(weights))
        alone = memory.read(query[None])
        assert np.allclose(alone.error[0], read.error[row])


def test_an_empty_memory_expects_no_error_and_knows_none():
    read = ErrorMemory(4, 3, 2).read(np.zeros((2, 3)))
    assert not read.error.any()
    assert not read.square.any()
    assert not read.weight.any()


def test_errors_alike_share_a_slot_as_their_mean():
    memory = ErrorMemory(10, 2, 3, alike=0.5)
    keys = np.array([[0.0, 0.0], [0.3, 0.0], [5.0, 0.0], [0.1, 0.1]])
    errors = np.random.default_rng(0).normal(size=(4, 3, 2))
    memory.write(keys, errors)
    assert memory.counts.tolist() == [3, 1]
    assert np.allclose(memory.errors[0], errors[[0, 1, 3]].mean(0))
    assert np.allclose(memory.keys[0], keys[[0, 1, 3]].mean(0))
    assert np.allclose(memory.squares[0], np.square(errors[[0, 1, 3]]).sum(2).mean(0))


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 999), st.integers(2, 6), st.integers(1, 40), st.floats(0.0, 2.0))
def test_slots_are_bounded_and_nothing_is_lost_in_merging(seed, slots, count, alike):
    memory, keys, errors = filled(count, slots, seed, alike=alike)
    assert memory.size <= slots
    assert memory.counts.sum() == memory.num_written == count
    assert np.allclose((memory.counts[:, None] * memory.keys).sum(0), keys.sum(0))
    assert np.allclose((memory.counts[:, None, None] * memory.errors).sum(0), errors.sum(0))
    assert np.allclose((memory.counts[:, None] * memory.squares).sum(0), np.square(errors).sum(2).sum(0))
    apart = np.square(memory.keys[:, None] - memory.keys).sum(2)
    np.fill_diagonal(apart, np.inf)
    assert np.allclose(memory._slots.apart[: memory.size, : memory.size], apart)
    assert np.isinf(memory._slots.apart[memory.size :]).all()


def test_a_full_memory_merges_the_two_that_are_nearest():
    memory = ErrorMemory(3, 1, 1, alike=0.0)
    memory.write(np.array([[0.0], [10.0], [11.0], [30.0]]), np.ones((4, 1, 2)))
    assert sorted(memory.keys[:, 0].tolist()) == [0.0, 10.5, 30.0]


def test_what_was_kept_is_restored_and_goes_on_alike():
    memory, *_ = filled(30, slots=8)
    other = ErrorMemory(8, 3, 4)
    other.restore(memory.arrays(), memory.num_written)
    more = drawn(10, seed=5)
    for one in (memory, other):
        one.write(*more)
    for name, part in memory.arrays().items():
        assert np.allclose(part, other.arrays()[name])


@pytest.mark.parametrize(
    "change",
    [
        {"counts": np.zeros(5)}, {"keys": np.zeros((5, 2))}, {"keys": np.full((5, 3), np.nan)}, {"prior": np.zeros(3)},
        {"squares": np.full((5, 4), -1.0)}, {"counts": np.full(5, 100.0)}, {"keys": np.zeros((5, 3), np.float32)},
        {"counts": np.array([0.5, 1.5, 1, 1, 1])}, {"errors": np.full((5, 4, 2), 1e20)}, {"prior": np.full(4, 9.0)},
        {"squares": np.zeros((5, 4))}, {"keys": np.full((5, 3), 1e160)},
    ],
)  # fmt: skip
def test_slots_that_no_memory_has_are_refused_and_change_nothing(change):
    memory, *_ = filled(5, slots=8, alike=0.0)
    arrays = {name: part.copy() for name, part in memory.arrays().items()}
    other = ErrorMemory(8, 3, 4)
    with pytest.raises(InputError, match=r"got (slots|arrays)"):
        other.restore(arrays | change, 5)
    assert other.size == 0
    for written in (4, 6):
        with pytest.raises(InputError, match="numbers that no memory has"):
            other.restore(arrays, written)
    with pytest.raises(InputError, match="more of them"):
        ErrorMemory(4, 3, 4).restore(arrays, 5)


def test_numbers_that_are_none_are_refused_before_anything_is_written():
    memory = ErrorMemory(4, 3, 2)
    with pytest.raises(InputError, match="not finite, or beyond all measure; nothing was written"):
        memory.write(np.zeros((2, 3)), np.array([np.zeros((2, 2)), np.full((2, 2), np.nan)]))
    with pytest.raises(InputError, match="nothing was written"):
        memory.write(np.full((2, 3), 1e160), np.zeros((2, 2, 2)))
    assert memory.num_written == 0
    for options in ({"num_slots": 1}, {"empty": 0.0}, {"alike": -1.0}):
        with pytest.raises(InputError, match="at least 2 slots, a positive weight"):
            ErrorMemory(**{"num_slots": 4, "key_size": 3, "steps": 2, **options})


@pytest.mark.parametrize("queries", [1, 3, 40])
@pytest.mark.parametrize("place", [0.0, 5.5e6, 1e9])
def test_distances_are_right_wherever_coordinates_begin_and_however_far_apart_slots_are(queries, place):
    random = np.random.default_rng(0)
    asked, keys = random.normal(size=(queries, 6)), random.normal(size=(30, 6))
    keys[20:, :2] += 1e9  # another place in the same memory
    asked[::2, :2] += 1e9
    wanted = np.array([[sum((a - b) ** 2 for a, b in zip(q, k, strict=True)) for k in keys + place]
                       for q in asked + place])  # fmt: skip
    for found, right in ((squared_distances(asked + place, keys + place), wanted),
                         (squared_distances(asked + place, keys[:20] + place), wanted[:, :20])):  # fmt: skip
        assert np.allclose(found, right, rtol=1e-7, atol=1e-6)
    assert squared_distances(asked, keys[:0]).shape == (queries, 0)
