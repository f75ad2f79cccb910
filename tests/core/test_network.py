import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.testing import assert_close

import reference
from fastslow.core.memory import detach_state
from fastslow.core.network import USAGE_DECAY, MemoryNetwork, NeuralMemory
from fastslow.errors import InputError

#: Every option away from its first value at least once.
BATTERY = {
    "literal": {},
    "query": {"compose": "query"},
    "keyed": {"slots": "keyed"},
    "least used": {"write_policy": "least_used"},
    "no recurrence": {"recurrent": False},
    "all ours": {
        "compose": "query",
        "slots": "keyed",
        "similarity": "euclidean",
        "write_policy": "least_used",
        "recurrent": False,
        "residual_query": True,
    },
}
EVERY_MEMORY = pytest.mark.parametrize("options", BATTERY.values(), ids=BATTERY)


def make(*, num_slots=3, seed=0, dim=3, **options):
    """A memory in float64 with non-zero weights everywhere, and features of 4 steps for 2 examples."""
    generator = torch.Generator().manual_seed(seed)
    memory = NeuralMemory(input_size=3, dim=dim, num_slots=num_slots, generator=generator, **options).double()
    with torch.no_grad():
        for controller in (memory.input_controller, memory.output_controller, memory.write_controller):
            for parameter in controller.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=generator))
    return memory, torch.randn(4, 2, 3, generator=generator, dtype=torch.float64)


def unroll(memory, features, state):
    outputs = []
    for step in features:
        output, state = memory(step, state)
        outputs.append(output)
    return torch.stack(outputs), state


def assert_same_state(state, other):
    assert_close(state.memory, other.memory)
    assert_close(state.usage, other.usage)
    for part, other_part in zip(state[2:], other[2:], strict=True):
        assert_close(part.hidden, other_part.hidden)
        assert_close(part.cell, other_part.cell)


def test_one_step_by_hand():
    """Two slots, two dimensions; each controller's gates are open or shut, so that it passes on what is said here."""
    memory = NeuralMemory(input_size=2, dim=2, num_slots=2).double()
    third, half = math.log(2) / 2, math.log(3) / 2  # tanh of them: 1/3 and 1/2
    with torch.no_grad():
        for controller in (memory.input_controller, memory.output_controller, memory.write_controller):
            for parameter in controller.parameters():
                parameter.zero_()
            controller.bias_ih[[0, 1, 6, 7]] = 50.0  # input and output gates open: h = tanh(tanh(W_g x))
        memory.initial_slots.copy_(torch.tensor([[6.0, 0.0], [0.0, 2.0]]))
        # The query is tanh(tanh(.)) = (q, 0), with q such that 6 q = ln 3: address weights 3/4 and 1/4.
        q = math.log(3) / 6
        memory.input_controller.weight_ih[4, 0] = math.atanh(math.atanh(q))
        # The output controller takes 4.5 and 0.5, the read, to tanh(1/3) and 0.
        memory.output_controller.weight_ih[4, 0] = third / 4.5
        # The write controller's output is (0, tanh(1/2)), whatever comes in.
        memory.write_controller.bias_hh[5] = half
    output, state = memory(torch.tensor([[1.0, 7.0]], dtype=torch.float64), memory.initial_state(1))
    expected = [[0.25 * 6.0, 0.75 * math.tanh(0.5)], [0.0, 0.75 * 2.0 + 0.25 * math.tanh(0.5)]]
    assert_close(state.input.hidden, torch.tensor([[q, 0.0]], dtype=torch.float64))
    assert_close(output, torch.tensor([[math.tanh(1 / 3), 0.0]], dtype=torch.float64))
    assert_close(state.memory, torch.tensor([expected], dtype=torch.float64))
    assert_close(state.usage, torch.tensor([[0.75, 0.25]], dtype=torch.float64))


@settings(deadline=None, max_examples=10)
@given(st.integers(1, 4), st.integers(0, 99))
def test_the_literal_memory_agrees_with_the_papers_loops_over_a_sequence(num_slots, seed):
    memory, features = make(num_slots=num_slots, seed=seed, dim=2)
    network = MemoryNetwork(encoder=nn.Identity(), memory=memory, num_outputs=3).double()
    weights = {
        name: {key: value.numpy() for key, value in getattr(memory, f"{name}_controller").state_dict().items()}
        for name in ("input", "output", "write")
    }
    decoder = [value.detach().numpy() for value in (network.decoder.weight, network.decoder.bias)]
    for b in range(2):
        columns = memory.initial_slots.detach().numpy().T
        states = dict.fromkeys(weights, (np.zeros(2), np.zeros(2)))
        state = network.initial_state(2)
        for step in features:
            look = memory.look(step, state)
            logits, state = network(step, state)
            q, z, m, written, columns, states = reference.memory_step(weights, step[b].numpy(), columns, states)
            np.testing.assert_allclose(look.query[b].detach(), q)
            np.testing.assert_allclose(look.address_weights[b].detach(), z)
            np.testing.assert_allclose(look.output.output[b].detach(), m)
            np.testing.assert_allclose(state.write.hidden[b].detach(), written)
            np.testing.assert_allclose(state.memory[b].detach(), columns.T)
            np.testing.assert_allclose(logits[b].detach(), reference.decode(*decoder, m))


@EVERY_MEMORY
def test_a_sequence_equals_its_pieces_chained(options):
    memory, features = make(**options)
    outputs, state = unroll(memory, features, memory.initial_state(2))
    first, between = unroll(memory, features[:2], memory.initial_state(2))
    second, chained = unroll(memory, features[2:], between)
    assert torch.equal(outputs, torch.cat([first, second]))
    assert_same_state(state, chained)
    # The state is all there is: going on from the middle again, after other input, gives the same.
    unroll(memory, -features, memory.initial_state(2))
    assert torch.equal(unroll(memory, features[2:], between)[0], second)


@EVERY_MEMORY
def test_examples_in_a_batch_do_not_touch(options):
    memory, features = make(**options)
    outputs, state = unroll(memory, features, memory.initial_state(2))
    for b in range(2):
        alone, alone_state = unroll(memory, features[:, b : b + 1], memory.initial_state(1))
        assert_close(outputs[:, b : b + 1], alone)
        assert_close(state.memory[b : b + 1], alone_state.memory)


@EVERY_MEMORY
def test_a_set_of_queries_is_answered_one_by_one_and_changes_nothing(options):
    memory, features = make(**options)
    _, state = unroll(memory, features, memory.initial_state(2))
    before = [state.memory.clone(), state.usage.clone(), state.input.hidden.clone()]
    queries = torch.stack([features[0], features[1].flip(0), -features[2]], dim=1)
    together = memory.look(queries, state)
    for n in range(3):
        alone = memory.look(queries[:, n], state)
        assert_close(together.query[:, n], alone.query)
        assert_close(together.address_weights[:, n], alone.address_weights)
        assert_close(together.read_vector[:, n], alone.read_vector)
        assert_close(together.output.output[:, n], alone.output.output)
    assert all(torch.equal(*pair) for pair in zip(before, (state.memory, state.usage, state.input.hidden), strict=True))


@pytest.mark.parametrize("options", [{}, {"compose": "query"}, {"slots": "keyed"}, {"similarity": "euclidean"}])
def test_permuting_the_slots_permutes_the_memory_and_nothing_else(options):
    memory, features = make(**options)
    outputs, state = unroll(memory, features, memory.initial_state(2))
    order = [2, 0, 1]
    with torch.no_grad():
        memory.initial_slots.copy_(memory.initial_slots[order])
    permuted, permuted_state = unroll(memory, features, memory.initial_state(2))
    assert_close(permuted, outputs)
    assert_close(permuted_state.memory, state.memory[:, order])
    assert_close(permuted_state.usage, state.usage[:, order])


@EVERY_MEMORY
def test_gradients(options):
    memory, features = make(dim=3, **options)
    names = [name for name, parameter in memory.named_parameters() if parameter.requires_grad]

    class TwoSteps(nn.Module):
        def __init__(self):
            super().__init__()
            self.memory = memory

        def forward(self, features):
            outputs, state = unroll(self.memory, features, self.memory.initial_state(2))
            return outputs, state.memory

    def run(features, *parameters):
        named = {f"memory.{name}": value for name, value in zip(names, parameters, strict=True)}
        return torch.func.functional_call(TwoSteps(), named, (features,))

    parameters = [parameter for parameter in memory.parameters() if parameter.requires_grad]
    assert torch.autograd.gradcheck(run, (features[:2].clone().requires_grad_(), *parameters), fast_mode=True)


def test_a_batch_of_one():
    memory, features = make()
    output, state = memory(features[0, :1], memory.initial_state(1))
    assert output.shape == (1, 3)
    assert state.memory.shape == (1, 3, 3)


def test_equal_slots_stay_equal_and_say_nothing_of_the_input():
    """The trap of a memory that starts constant, and why `initial_slots` are distinct."""
    memory, features = make()
    with torch.no_grad():
        memory.initial_slots.copy_(memory.initial_slots[:1].expand(3, -1))
    _, state = unroll(memory, features, memory.initial_state(2))
    assert_close(state.memory, state.memory[:, :1].expand(-1, 3, -1))
    one, other = memory.look(features[0], state), memory.look(10 * features[1], state)
    assert not torch.allclose(one.query, other.query)
    assert_close(one.output.output, other.output.output)
    inputs = features[0].clone().requires_grad_()
    (grad,) = torch.autograd.grad(memory.look(inputs, state).output.output.sum(), inputs)
    assert grad.abs().max() < 1e-12


def test_slots_start_distinct():
    memory, features = make(num_slots=10)
    assert torch.pdist(memory.initial_slots.detach()).min() > 0.1
    one, other = (memory.look(f, memory.initial_state(2)).output.output for f in features[:2])
    assert not torch.allclose(one, other)


def test_what_the_controllers_read():
    for compose, width in (("literal", 3), ("query", 6)):
        memory, features = make(compose=compose)
        state = memory.initial_state(2)
        look = memory.look(features[0], state)
        write = memory.compose_write(look, state)
        read = torch.cat([look.query, look.read_vector], 1) if compose == "query" else look.read_vector
        wrote = torch.cat([look.output.output, look.query], 1) if compose == "query" else look.output.output
        assert torch.equal(look.output.key[:, :width], read)
        assert torch.equal(write.key[:, :width], wrote)


def test_a_keyed_slot_is_addressed_by_its_key_and_read_by_its_value():
    memory, features = make(slots="keyed")
    state = memory.initial_state(2)
    keys, values = state.memory[..., :3], state.memory[..., 3:]
    look = memory.look(features[0], state)
    weights = torch.einsum("bd,bsd->bs", look.query, keys).softmax(1)
    assert_close(look.address_weights, weights)
    assert_close(look.read_vector, torch.einsum("bs,bsd->bd", weights, values))
    write = memory.compose_write(look, state)
    stored = memory.store(look, write, state).memory
    content = torch.cat([look.query, write.output], 1)
    expected = state.memory + weights.unsqueeze(2) * (content.unsqueeze(1) - state.memory)
    assert_close(stored, expected)


def test_the_sharpness_of_keyed_slots_is_learned_and_of_shared_ones_fixed():
    for slots, learned in (("shared", False), ("keyed", True)):
        memory, features = make(slots=slots)
        assert memory.log_sharpness.requires_grad == learned
        plain = memory.look(features[0], memory.initial_state(2)).address_weights
        with torch.no_grad():
            memory.log_sharpness.fill_(math.log(2))
        sharp = memory.look(features[0], memory.initial_state(2)).address_weights
        assert_close(sharp, plain.square() / plain.square().sum(1, keepdim=True))


def test_least_used_writes_fill_one_slot_after_another_and_then_the_oldest():
    memory, features = make(write_policy="least_used")
    state = memory.initial_state(2)
    for written in (0, 1, 2, 0):
        look = memory.look(features[written], state)
        write = memory.compose_write(look, state)
        after = memory.store(look, write, state)
        changed = (after.memory != state.memory).any(2)
        assert changed.tolist() == [[slot == written for slot in range(3)]] * 2
        assert torch.equal(after.memory[:, written], write.output)
        state = after
    assert_close(state.usage[0], torch.tensor([1 + USAGE_DECAY**3, USAGE_DECAY**2, USAGE_DECAY], dtype=torch.float64))


def fill(memory, features, state):
    """The state after storing what each of some features, (batch, steps, size), finds, all at once."""
    look = memory.look(features, state)
    return memory.store(look, memory.compose_write(look, state), state)


@pytest.mark.parametrize("earlier", [0, 1, 2])
def test_steps_stored_side_by_side_are_those_stored_one_after_another(earlier):
    memory, features = make(num_slots=4, write_policy="least_used", recurrent=False)
    state = memory.initial_state(2)
    for step in features[:earlier]:
        _, state = memory(step, state)
    look = memory.look(features[2:].transpose(0, 1), state)
    at_once = memory.store(look, memory.compose_write(look, state), state)
    one_by_one = state
    for step in features[2:]:
        look = memory.look(step, state)  # neither sees what the other wrote
        one_by_one = memory.store(look, memory.compose_write(look, state), one_by_one)
    assert_close(at_once.memory, one_by_one.memory)


@pytest.mark.parametrize("earlier", [0, 1, 40])
def test_sets_fill_the_slots_written_longest_ago(earlier):
    # Whatever was stored singly before: two sets of two take four different slots.
    memory, features = make(num_slots=4, write_policy="least_used", recurrent=False)
    state = memory.initial_state(2)
    for _ in range(earlier):
        _, state = memory(features[3], state)
    first = fill(memory, features[:2].transpose(0, 1), state)
    second = fill(memory, features[2:].transpose(0, 1), first)
    written = [(after.memory != before.memory).any(2) for before, after in ((state, first), (first, second))]
    assert [slots.sum(1).tolist() for slots in written] == [[2, 2], [2, 2]]
    assert not (written[0] & written[1]).any()


def test_residual_queries_begin_as_the_features_themselves():
    memory = NeuralMemory(input_size=3, dim=3, residual_query=True)
    features = torch.randn(2, 3, generator=torch.Generator().manual_seed(0))
    assert torch.equal(memory.look(features, memory.initial_state(2)).query, features)
    moved, _ = make(residual_query=True)
    look = moved.look(features.double(), moved.initial_state(2))
    assert_close(look.query, features.double() + look.input.output)
    assert look.input.output.abs().max() > 0


def test_without_recurrence_the_order_of_looking_does_not_matter():
    memory, features = make(recurrent=False)
    _, state = unroll(memory, features, memory.initial_state(2))
    fresh = memory.initial_state(2)._replace(memory=state.memory)
    assert torch.equal(memory.look(features[0], state).output.output, memory.look(features[0], fresh).output.output)


def test_zero_read_hides_the_memory():
    memory, features = make(compose="query")
    state = memory.initial_state(2)
    other = state._replace(memory=state.memory + 1)
    shown = [memory.look(features[0], s).output.output for s in (state, other)]
    hidden = [memory.look(features[0], s, zero_read=True).output.output for s in (state, other)]
    assert not torch.allclose(*shown)
    assert torch.equal(*hidden)
    assert not memory.look(features[0], state, zero_read=True).read_vector.any()


def test_detach_state_cuts_every_path_and_changes_no_number():
    memory, features = make()
    _, state = unroll(memory, features, memory.initial_state(2))
    cut = detach_state(state)
    assert_same_state(state, cut)
    tensors = [cut.memory, cut.usage, *(tensor for part in cut[2:] for tensor in part)]
    assert len(tensors) == 8
    assert not any(tensor.requires_grad for tensor in tensors)
    assert state.memory.requires_grad


def test_the_encoder_comes_first():
    memory, features = make()
    network = MemoryNetwork(encoder=nn.Linear(3, 3), memory=memory, num_outputs=2).double()
    logits, state = network(features[0], network.initial_state(2))
    output, expected = memory(network.encoder(features[0]), memory.initial_state(2))
    assert torch.equal(logits, network.decoder(output))
    assert_same_state(state, expected)


def test_refusals():
    with pytest.raises(InputError, match="needs at least one slot; num_slots=0 came"):
        NeuralMemory(input_size=2, dim=2, num_slots=0)
    with pytest.raises(InputError, match="inputs of 3 features to queries of 2; make input_size equal dim"):
        NeuralMemory(input_size=3, dim=2, residual_query=True)
    memory, _ = make()
    with pytest.raises(InputError, match="takes 3 features; 4 came"):
        memory(torch.zeros(2, 4, dtype=torch.float64), memory.initial_state(2))
    for options, reason in (
        ({"recurrent": False}, "2 slots with write_policy='read', recurrent=False"),
        ({"write_policy": "least_used"}, "2 slots with write_policy='least_used', recurrent=True"),
        ({"write_policy": "least_used", "recurrent": False}, "2 slots with write_policy='least_used', recurrent=False"),
    ):
        memory, features = make(num_slots=2, **options)
        with pytest.raises(InputError, match=f"3 steps cannot be stored side by side in {reason}"):
            fill(memory, features[:3].transpose(0, 1), memory.initial_state(2))
