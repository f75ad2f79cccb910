import inspect
import math

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from fastslow.core.keyed_memory import USAGE_DECAY, KeyedMemory, KeyedState
from fastslow.errors import InputError


def make(*, num_slots=3, seed=0):
    """A memory in float64 with non-zero weights everywhere, and four examples for each of 2 tasks."""
    generator = torch.Generator().manual_seed(seed)
    memory = KeyedMemory(dim=3, num_slots=num_slots, generator=generator).double()
    with torch.no_grad():
        for controller in (memory.input_controller, memory.output_controller, memory.write_controller):
            for parameter in controller.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=generator))
    return memory, torch.randn(2, 4, 3, generator=generator, dtype=torch.float64)


def stored(memory, features, state):
    """The state after some examples, (batch, examples, dim), all at once."""
    look = memory.look(features, state)
    return memory.store(look, memory.write_controller(look.write_input), state)


def one_by_one(memory, features, state):
    for n in range(features.shape[1]):
        state = stored(memory, features[:, n : n + 1], state)
    return state


def changed(before, after):
    """Which slots of each task are not what they were."""
    return (after.slots != before.slots).any(2)


def test_a_look_by_hand():
    """Two written slots, two dimensions; the output controller's gates are open and pass on one number each."""
    memory = KeyedMemory(dim=2, num_slots=2).double()
    with torch.no_grad():
        for parameter in memory.output_controller.parameters():
            parameter.zero_()
        memory.output_controller.bias[[0, 1, 4, 5]] = 50.0  # input and output gates open: m = tanh(tanh(W_g u))
        memory.output_controller.weight[2, 2] = 1.0  # the first number of the read, behind the query's two
        memory.log_sharpness.fill_(math.log(2 * math.log(3)))
    # Squared distances 0 and 1, sharpness 2 ln 3: scores 0 and -ln 3, weights 3/4 and 1/4.
    slots = torch.tensor([[[1.0, 0.0, 0.4, 1.0], [0.0, 0.0, 0.8, 2.0]]], dtype=torch.float64)
    state = KeyedState(slots, torch.ones(1, 2, dtype=torch.float64))
    look = memory.look(torch.tensor([[[1.0, 0.0]]], dtype=torch.float64), state)
    assert_close(look.address_weights, torch.tensor([[[0.75, 0.25]]], dtype=torch.float64))
    assert_close(look.read_vector, torch.tensor([[[0.5, 1.25]]], dtype=torch.float64))
    assert_close(look.output, torch.tensor([[[math.tanh(math.tanh(0.5)), 0.0]]], dtype=torch.float64))


def test_a_slot_is_addressed_by_its_key_and_read_by_its_value():
    memory, features = make()
    state = memory.initial_state(2)._replace(usage=torch.ones(2, 3, dtype=torch.float64))
    look = memory.look(features, state)
    distances = torch.cdist(look.query, state.keys).square()
    assert_close(look.address_weights, (-0.5 * distances).softmax(-1))
    assert_close(look.read_vector, look.address_weights @ state.values)
    assert torch.equal(look.write_input, torch.cat([look.output, look.query], -1))


def test_slots_never_written_do_not_answer_while_others_do():
    memory, features = make()
    empty = memory.look(features, memory.initial_state(2)).address_weights
    assert empty.min() > 0
    one = stored(memory, features[:, :1], memory.initial_state(2))
    weights = memory.look(features, one).address_weights
    assert_close(weights, torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64).expand(2, 4, 3))


def test_queries_begin_as_the_features_themselves():
    memory = KeyedMemory(dim=3, num_slots=2)
    features = torch.randn(2, 1, 3, generator=torch.Generator().manual_seed(0))
    assert torch.equal(memory.look(features, memory.initial_state(2)).query, features)
    ready, examples = make()
    expected = examples + ready.input_controller(examples)
    assert torch.equal(ready.look(examples, ready.initial_state(2)).query, expected)
    assert not torch.equal(expected, examples)


def test_the_sharpness_is_learned():
    memory, features = make()
    plain = memory.look(features, memory.initial_state(2)).address_weights
    with torch.no_grad():
        memory.log_sharpness.fill_(math.log(2))
    sharp = memory.look(features, memory.initial_state(2)).address_weights
    assert_close(sharp, plain.square() / plain.square().sum(-1, keepdim=True))
    sharp.square().sum().backward()
    assert memory.log_sharpness.grad.abs() > 0


def test_writes_fill_one_slot_after_another_and_then_the_oldest():
    memory, features = make()
    state = memory.initial_state(2)
    for n, slot in enumerate((0, 1, 2, 0)):
        look = memory.look(features[:, n : n + 1], state)
        written = memory.write_controller(look.write_input)
        after = memory.store(look, written, state)
        assert changed(state, after).tolist() == [[other == slot for other in range(3)]] * 2
        assert torch.equal(after.keys[:, slot], look.query[:, 0])
        assert torch.equal(after.values[:, slot], written[:, 0])
        state = after
    assert_close(state.usage[0], torch.tensor([1 + USAGE_DECAY**3, USAGE_DECAY**2, USAGE_DECAY], dtype=torch.float64))


@pytest.mark.parametrize("earlier", [0, 1, 2])
def test_examples_stored_side_by_side_are_those_stored_one_after_another(earlier):
    memory, features = make(num_slots=4)
    state = one_by_one(memory, features[:, :earlier], memory.initial_state(2))
    at_once, after = stored(memory, features[:, 2:], state), state
    for n in (2, 3):
        look = memory.look(features[:, n : n + 1], state)  # neither sees what the other wrote
        after = memory.store(look, memory.write_controller(look.write_input), after)
    assert_close(at_once.slots, after.slots)


@pytest.mark.parametrize("earlier", [0, 1, 40])
def test_sets_fill_the_slots_written_longest_ago(earlier):
    # Whatever was stored singly before: two sets of two take four different slots.
    memory, features = make(num_slots=4)
    state = one_by_one(memory, features[:, 3:].expand(-1, earlier, -1), memory.initial_state(2))
    first = stored(memory, features[:, :2], state)
    second = stored(memory, features[:, 2:], first)
    written = [changed(*pair) for pair in ((state, first), (first, second))]
    assert [slots.sum(1).tolist() for slots in written] == [[2, 2], [2, 2]]
    assert not (written[0] & written[1]).any()


def test_each_example_is_answered_as_if_alone_and_looking_changes_nothing():
    memory, features = make()
    state = stored(memory, features[:, :2], memory.initial_state(2))
    before = [part.clone() for part in state[:2]]
    together = memory.look(features, state)
    for n in range(4):
        alone = memory.look(features[:, n : n + 1], state)
        for part, single in zip(together, alone, strict=True):
            assert_close(part[:, n : n + 1], single)
    assert all(torch.equal(*pair) for pair in zip(before, state[:2], strict=True))


def test_tasks_do_not_touch():
    memory, features = make()
    state = one_by_one(memory, features, memory.initial_state(2))
    for b in range(2):
        alone = one_by_one(memory, features[b : b + 1], memory.initial_state(1))
        for part, single in zip(state[:2], alone[:2], strict=True):
            assert_close(part[b : b + 1], single)


def test_permuting_the_slots_of_a_memory_in_use_permutes_what_is_stored_and_no_answer():
    memory, features = make()
    state = one_by_one(memory, features[:, :3], memory.initial_state(2))
    order = [2, 0, 1]
    permuted = KeyedState(*(part[:, order] for part in state[:2]))
    assert_close(memory.look(features, permuted).output, memory.look(features, state).output)
    after, permuted_after = (stored(memory, features[:, 3:], s) for s in (state, permuted))
    assert_close(permuted_after.slots, after.slots[:, order])


def test_gradients():
    memory, features = make()
    names = [name for name, _ in memory.named_parameters()]

    class TwoParts(nn.Module):
        def __init__(self):
            super().__init__()
            self.memory = memory

        def forward(self, features):
            state = stored(self.memory, features[:, :2], self.memory.initial_state(2))
            look = self.memory.look(features[:, 2:], state)
            return look.output, stored(self.memory, features[:, 2:3], state).values

    def run(features, *parameters):
        named = {f"memory.{name}": value for name, value in zip(names, parameters, strict=True)}
        return torch.func.functional_call(TwoParts(), named, (features,))

    inputs = (features.clone().requires_grad_(), *memory.parameters())
    assert torch.autograd.gradcheck(run, inputs, fast_mode=True)


def test_slots_start_distinct():
    memory, _ = make(num_slots=10)
    assert torch.pdist(memory.initial_slots.detach()).min() > 0.1


def test_refusals():
    with pytest.raises(InputError, match="num_slots is 0; give a whole number of at least 1"):
        KeyedMemory(dim=2, num_slots=0)
    with pytest.raises(InputError, match=r"num_slots is 2\.5; give a whole number"):
        inspect.unwrap(KeyedMemory.__init__)(KeyedMemory.__new__(KeyedMemory), dim=2, num_slots=2.5)
    memory, features = make()
    with pytest.raises(InputError, match="got 4 examples to store side by side in 3 slots; store them in parts"):
        stored(memory, features, memory.initial_state(2))
    state = memory.initial_state(len(features))
    with pytest.raises(InputError, match=r"with a state of batch size 1; make one by initial_state"):
        memory.look(features, memory.initial_state(1))
    with pytest.raises(InputError, match="was expected: convert them"):
        memory.look(features.half(), state)
    look = memory.look(features[:, :2], state)
    for wrong in (look.query[..., :-1], look.query[:, :1], look.query[:1]):
        with pytest.raises(InputError, match=r"got write vectors of shape .* give one per example"):
            inspect.unwrap(type(memory).store)(memory, look, wrong, state)
    with pytest.raises(InputError, match="with a state of batch size 1"):
        inspect.unwrap(type(memory).store)(memory, look, look.query, memory.initial_state(1))
