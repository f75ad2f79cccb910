import inspect
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.testing import assert_close

import reference
from fastslow.core.literal_memory import LiteralMemory, MemoryNetwork
from fastslow.core.memory import detach_state
from fastslow.errors import InputError

BATTERY = {"literal": {}, "query": {"compose": "query"}}
EVERY_MEMORY = pytest.mark.parametrize("options", BATTERY.values(), ids=BATTERY)


def make(*, num_slots=3, seed=0, dim=3, **options):
    """A memory in float64 with non-zero weights everywhere, and features of 4 steps for 2 examples."""
    generator = torch.Generator().manual_seed(seed)
    memory = LiteralMemory(input_size=3, dim=dim, num_slots=num_slots, generator=generator, **options).double()
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
    assert_close(state.slots, other.slots)
    for part, other_part in zip(state[1:], other[1:], strict=True):
        assert_close(part.hidden, other_part.hidden)
        assert_close(part.cell, other_part.cell)


def test_one_step_by_hand():
    """Two slots, two dimensions; each controller's gates are open or shut, so that it passes on what is said here."""
    memory = LiteralMemory(input_size=2, dim=2, num_slots=2).double()
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
    assert_close(state.slots, torch.tensor([expected], dtype=torch.float64))


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
            np.testing.assert_allclose(state.slots[b].detach(), columns.T)
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
        assert_close(state.slots[b : b + 1], alone_state.slots)


@EVERY_MEMORY
def test_a_set_of_queries_is_answered_one_by_one_and_changes_nothing(options):
    memory, features = make(**options)
    _, state = unroll(memory, features, memory.initial_state(2))
    before = [state.slots.clone(), state.input.hidden.clone()]
    queries = torch.stack([features[0], features[1].flip(0), -features[2]], dim=1)
    together = memory.look(queries, state)
    for n in range(3):
        alone = memory.look(queries[:, n], state)
        assert_close(together.query[:, n], alone.query)
        assert_close(together.address_weights[:, n], alone.address_weights)
        assert_close(together.read_vector[:, n], alone.read_vector)
        assert_close(together.output.output[:, n], alone.output.output)
    assert all(torch.equal(*pair) for pair in zip(before, (state.slots, state.input.hidden), strict=True))


@EVERY_MEMORY
def test_permuting_the_slots_permutes_the_memory_and_nothing_else(options):
    memory, features = make(**options)
    outputs, state = unroll(memory, features, memory.initial_state(2))
    order = [2, 0, 1]
    with torch.no_grad():
        memory.initial_slots.copy_(memory.initial_slots[order])
    permuted, permuted_state = unroll(memory, features, memory.initial_state(2))
    assert_close(permuted, outputs)
    assert_close(permuted_state.slots, state.slots[:, order])


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
            return outputs, state.slots

    def run(features, *parameters):
        named = {f"memory.{name}": value for name, value in zip(names, parameters, strict=True)}
        return torch.func.functional_call(TwoSteps(), named, (features,))

    parameters = [parameter for parameter in memory.parameters() if parameter.requires_grad]
    assert torch.autograd.gradcheck(run, (features[:2].clone().requires_grad_(), *parameters), fast_mode=True)


def test_a_batch_of_one():
    memory, features = make()
    output, state = memory(features[0, :1], memory.initial_state(1))
    assert output.shape == (1, 3)
    assert state.slots.shape == (1, 3, 3)


def test_equal_slots_stay_equal_and_say_nothing_of_the_input():
    """The trap of a memory that starts constant, and why `initial_slots` are distinct."""
    memory, features = make()
    with torch.no_grad():
        memory.initial_slots.copy_(memory.initial_slots[:1].expand(3, -1))
    _, state = unroll(memory, features, memory.initial_state(2))
    assert_close(state.slots, state.slots[:, :1].expand(-1, 3, -1))
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
        assert torch.equal(look.output.inputs[:, :width], read)
        assert torch.equal(write.inputs[:, :width], wrote)


def test_detach_state_cuts_every_path_and_changes_no_number():
    memory, features = make()
    _, state = unroll(memory, features, memory.initial_state(2))
    cut = detach_state(state)
    assert_same_state(state, cut)
    tensors = [cut.slots, *(tensor for part in cut[1:] for tensor in part)]
    assert len(tensors) == 7
    assert not any(tensor.requires_grad for tensor in tensors)
    assert state.slots.requires_grad


def test_the_encoder_comes_first():
    memory, features = make()
    network = MemoryNetwork(encoder=nn.Linear(3, 3), memory=memory, num_outputs=2).double()
    logits, state = network(features[0], network.initial_state(2))
    output, expected = memory(network.encoder(features[0]), memory.initial_state(2))
    assert torch.equal(logits, network.decoder(output))
    assert_same_state(state, expected)


def test_refusals():
    with pytest.raises(InputError, match="num_slots is 0; give a whole number of at least 1"):
        LiteralMemory(input_size=2, dim=2, num_slots=0)
    with pytest.raises(InputError, match=r"num_slots is 2\.5; give a whole number"):
        inspect.unwrap(LiteralMemory.__init__)(LiteralMemory.__new__(LiteralMemory), dim=2, num_slots=2.5, input_size=2)
    memory, _ = make()
    with pytest.raises(InputError, match="got inputs of 4 features; this controller takes 3"):
        memory(torch.zeros(2, 4, dtype=torch.float64), memory.initial_state(2))
    features = torch.zeros(2, 3, dtype=torch.float64)
    with pytest.raises(InputError, match=r"batch size 2 with a state of batch size 1; make one by initial_state\(2\)"):
        memory(features, memory.initial_state(1))
    with pytest.raises(InputError, match=r"got inputs of torch.float32; torch.float64 was expected"):
        memory(features.float(), memory.initial_state(2))
    controller, mixed = memory.input_controller, memory.initial_state(2)._replace(output=memory.initial_state(1).output)
    with pytest.raises(InputError, match="batch size 2 with a state of batch size 1"):
        controller(features, controller.initial_state(1))
    with pytest.raises(InputError, match="batch size 2 with a state of batch size 1"):
        memory(features, mixed)
