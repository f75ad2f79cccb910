import inspect
import math
import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

import reference
from fastslow.core import functional
from fastslow.errors import InputError

SIZES = st.tuples(st.integers(1, 4), st.integers(1, 5), st.integers(1, 4))  # batch, slots, dim
FEW = settings(deadline=None, max_examples=20)


def random_case(batch, slots, dim, seed=0):
    """A query, a memory, address weights and a write vector, float64."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    return normal(batch, dim), normal(batch, slots, dim), normal(batch, slots).softmax(1), normal(batch, dim)


def two_slots():
    return torch.tensor([[[1.0, 0.0], [0.0, 2.0]]])


def test_address_by_hand():
    # Scores ln 3 and 0: exponentials 3 and 1.
    weights = functional.address(torch.tensor([[math.log(3), 0.0]]), two_slots())
    assert_close(weights, torch.tensor([[0.75, 0.25]]))


def test_sharpness_by_hand():
    # Twice ln 3: exponentials 9 and 1.
    weights = functional.address(torch.tensor([[math.log(3), 0.0]]), two_slots(), sharpness=2.0)
    assert_close(weights, torch.tensor([[0.9, 0.1]]))


def test_euclidean_address_by_hand():
    # Half squared distances ln 3 / 2 more for the second slot than for the first, twice that at sharpness 2.
    query, memory = torch.tensor([[1.0, 1.0]]), torch.tensor([[[1.0, 1.0], [1.0, 1.0 + math.sqrt(math.log(3))]]])
    weights = functional.address(query, memory, similarity="euclidean", sharpness=2.0)
    assert_close(weights, torch.tensor([[0.75, 0.25]]))


def test_read_by_hand():
    assert_close(functional.read(torch.tensor([[0.75, 0.25]]), two_slots()), torch.tensor([[0.75, 0.5]]))


def test_write_by_hand():
    memory = functional.write(two_slots(), torch.tensor([[0.75, 0.25]]), torch.tensor([[4.0, 4.0]]))
    assert_close(memory, torch.tensor([[[3.25, 3.0], [1.0, 2.5]]]))


def test_least_used_slots_by_hand():
    usage = torch.tensor([[2.0, 1.0, 0.5, 1.0]])
    assert functional.least_used_slots(usage, 3).tolist() == [[2, 1, 3]]
    assert functional.least_used_slots(torch.zeros(2, 4), 4).tolist() == [[0, 1, 2, 3]] * 2  # the first of equals


@FEW
@given(st.integers(1, 8), st.integers(0, 8), st.data())
def test_least_used_slots_are_those_that_writes_one_after_another_take(slots, earlier, data):
    usage = torch.zeros(1, slots, dtype=torch.float64)
    count = data.draw(st.integers(1, slots))
    taken = []
    for _ in range(earlier + count):
        first = int(functional.least_used_slots(usage, 1))
        taken.append(first)
        if len(taken) == earlier + 1:
            at_once = functional.least_used_slots(usage, count)
        usage = 0.99 * usage
        usage[0, first] += 1
    assert at_once.tolist() == [taken[earlier:]]


@FEW
@given(SIZES)
def test_agrees_with_the_papers_loops(sizes):
    query, memory, weights, write_vector = random_case(*sizes)
    address, read = functional.address(query, memory), functional.read(weights, memory)
    written = functional.write(memory, weights, write_vector)
    for b in range(sizes[0]):
        columns = memory[b].numpy().T
        np.testing.assert_allclose(address[b], reference.address(query[b].numpy(), columns))
        np.testing.assert_allclose(read[b], reference.read(weights[b].numpy(), columns))
        expected = reference.write(columns, weights[b].numpy(), write_vector[b].numpy())
        np.testing.assert_allclose(written[b], expected.T)


@FEW
@given(SIZES)
def test_euclidean_address_is_the_softmax_of_squared_distances(sizes):
    query, memory, *_ = random_case(*sizes)
    distances = (query.unsqueeze(1) - memory).square().sum(-1)
    assert_close(
        functional.address(query, memory, similarity="euclidean", sharpness=3.0), (-1.5 * distances).softmax(1)
    )


@pytest.mark.parametrize("similarity", ["dot", "euclidean"])
def test_several_queries_are_each_answered_as_if_alone(similarity):
    query, memory, *_ = random_case(2, 3, 4)
    queries = torch.stack([query, 2 * query, -query], dim=1)
    weights = functional.address(queries, memory, similarity=similarity, sharpness=0.5)
    reads = functional.read(weights, memory)
    for n in range(3):
        alone = functional.address(queries[:, n], memory, similarity=similarity, sharpness=0.5)
        assert_close(weights[:, n], alone)
        assert_close(reads[:, n], functional.read(alone, memory))


@pytest.mark.parametrize("similarity", ["dot", "euclidean"])
def test_gradients_of_address(similarity):
    query, memory, *_ = random_case(2, 3, 2)
    sharpness = torch.tensor(1.3, dtype=torch.float64)

    def address(query, memory, sharpness):
        return functional.address(query, memory, sharpness=sharpness, similarity=similarity)

    assert torch.autograd.gradcheck(address, [x.requires_grad_() for x in (query, memory, sharpness)])


def test_gradients_of_read_and_write():
    _, memory, weights, write_vector = random_case(2, 3, 2)
    # Weights on both sides of 0.5, where lerp changes its formula.
    weights[0] = torch.tensor([0.9, 0.1, 0.0], dtype=torch.float64)
    for tensor in (memory, weights, write_vector):
        tensor.requires_grad_()
    assert torch.autograd.gradcheck(functional.read, (weights, memory))
    assert torch.autograd.gradcheck(functional.write, (memory, weights, write_vector))


def test_one_hot_weights_replace_one_slot_and_leave_the_rest_bit_for_bit():
    _, memory, _, write_vector = random_case(2, 4, 3)
    memory, write_vector = memory.float() * 1e6, write_vector.float()
    weights = torch.tensor([[0.0, 0, 1, 0], [1, 0, 0, 0]])
    expected = memory.clone()
    expected[0, 2], expected[1, 0] = write_vector
    assert torch.equal(functional.write(memory, weights, write_vector), expected)


def test_write_leaves_the_old_memory_as_it_was():
    _, memory, weights, write_vector = random_case(2, 4, 3)
    before = memory.clone()
    functional.write(memory, weights, write_vector)
    assert torch.equal(memory, before)


@FEW
@given(SIZES, st.floats(0.01, 1e4), st.sampled_from(["dot", "euclidean"]))
def test_address_weights_are_shares(sizes, sharpness, similarity):
    query, memory, *_ = random_case(*sizes)
    weights = functional.address(query, memory, sharpness=sharpness, similarity=similarity)
    assert (weights >= 0).all()
    assert_close(weights.sum(1), torch.ones(sizes[0], dtype=torch.float64))


@FEW
@given(SIZES)
def test_each_entry_stays_between_old_slot_and_write_vector(sizes):
    _, memory, weights, write_vector = random_case(*sizes)
    written = functional.write(memory, weights, write_vector)
    other = write_vector.unsqueeze(1).expand_as(memory)
    assert (written >= torch.minimum(memory, other) - 1e-12).all()
    assert (written <= torch.maximum(memory, other) + 1e-12).all()


@FEW
@given(SIZES, st.randoms(use_true_random=False), st.sampled_from(["dot", "euclidean"]))
def test_permuting_slots_permutes_the_result(sizes, random, similarity):
    query, memory, weights, write_vector = random_case(*sizes)
    order = random.sample(range(sizes[1]), sizes[1])
    addressed = functional.address(query, memory, similarity=similarity)
    assert_close(functional.address(query, memory[:, order], similarity=similarity), addressed[:, order])
    assert_close(functional.read(weights[:, order], memory[:, order]), functional.read(weights, memory))
    written = functional.write(memory, weights, write_vector)
    assert_close(functional.write(memory[:, order], weights[:, order], write_vector), written[:, order])


def test_examples_in_a_batch_do_not_touch():
    case = random_case(3, 4, 2)
    others_changed = [torch.cat([tensor[:1], 7 * tensor[1:]]) for tensor in case]

    def results(query, memory, weights, write_vector):
        return (
            functional.address(query, memory),
            functional.address(query, memory, similarity="euclidean"),
            functional.read(weights, memory),
            functional.write(memory, weights, write_vector),
        )

    for result, other in zip(results(*case), results(*others_changed), strict=True):
        assert_close(result[0], other[0])
        assert not torch.allclose(result[1], other[1])


def test_refuses_sizes_that_do_not_fit():
    # Unwrapped: jaxtyping, on in these tests only, would refuse them first.
    address, read, write = (inspect.unwrap(f) for f in (functional.address, functional.read, functional.write))
    with pytest.raises(InputError, match="got a query of 3 features for slots of 2; make them equal"):
        address(torch.zeros(1, 3), two_slots())
    with pytest.raises(InputError, match="got 3 address weights for a memory of 2 slots; give one weight per slot"):
        read(torch.zeros(1, 3), two_slots())
    with pytest.raises(InputError, match=r"got gates of shape \(1, 3\) for a memory of shape \(1, 2, 2\)"):
        address(torch.zeros(1, 2), two_slots(), gates=torch.ones(1, 3))
    with pytest.raises(InputError, match=r"got empty of shape \(1, 1\) for a memory of shape \(1, 2, 2\)"):
        address(torch.zeros(1, 2), two_slots(), empty=torch.zeros(1, 1, dtype=torch.bool))
    fitting = {"weights": (1, 2), "vector": (1, 2)}
    for wrong in ({"weights": (1, 3)}, {"weights": (2, 2)}, {"vector": (1, 3)}, {"vector": (2, 2)}):
        sizes = fitting | wrong
        with pytest.raises(InputError, match=re.escape(f"got address weights of shape {sizes['weights']} and")):
            write(two_slots(), torch.zeros(sizes["weights"]), torch.zeros(sizes["vector"]))
    with pytest.raises(InputError, match=r"vectors of shape \(2, 4\) for a memory of shape \(1, 3, 4\); give one"):
        write(torch.zeros(1, 3, 4), torch.zeros(2, 3), torch.zeros(2, 4))  # once (2, 3, 4), silently


def test_refuses_other_batches_and_types():
    address, read = (inspect.unwrap(f) for f in (functional.address, functional.read))
    for queries in ((2, 2), (2, 5, 2)):
        with pytest.raises(InputError, match="got queries of batch size 2 for memories of batch size 1"):
            address(torch.zeros(queries), two_slots())
        with pytest.raises(InputError, match="got address weights of batch size 2 for memories of batch size 1"):
            read(torch.zeros(queries), two_slots())
    with pytest.raises(InputError, match=r"got queries of torch.float64; torch.float32 was expected: convert them"):
        address(torch.zeros(1, 2).double(), two_slots())
    with torch.autocast("cpu", torch.bfloat16):
        address(torch.zeros(1, 2).bfloat16(), two_slots())


@pytest.mark.parametrize("similarity", ["cosine", "Euclidean", ""])
def test_refuses_a_similarity_that_there_is_not(similarity):
    with pytest.raises(InputError, match=f"got similarity={similarity!r}; choose from"):
        inspect.unwrap(functional.address)(torch.zeros(1, 2), two_slots(), similarity=similarity)


@pytest.mark.parametrize("sharpness", [0, -1.0, math.nan, math.inf, torch.ones(2)])
def test_refuses_a_sharpness_that_is_no_positive_number(sharpness):
    with pytest.raises(InputError, match="sharpness"):
        inspect.unwrap(functional.address)(torch.zeros(1, 2), two_slots(), sharpness=sharpness)


def test_empty_slots_do_not_answer_while_others_do():
    query, memory = torch.randn(2, 3), torch.randn(2, 4, 3)
    empty = torch.tensor([[False, True, False, True], [True, True, True, True]])
    weights = functional.address(query, memory, empty=empty)
    assert torch.equal(weights[0, [1, 3]], torch.zeros(2))
    alone = functional.address(query[:1], memory[:1, [0, 2]])
    torch.testing.assert_close(weights[0, [0, 2]], alone[0])
    # Where every slot is empty, all of them answer as if none were: no digit is lost.
    assert torch.equal(weights[1], functional.address(query, memory)[1])
