import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.testing import assert_close

import reference
from fastslow.core.controllers import ControllerState, LSTMController, lstm_gates
from fastslow.errors import InputError


def make(*, input_size=3, dim=2, seed=0):
    """A controller in float64 with non-zero biases, and a state that is not zero either."""
    generator = torch.Generator().manual_seed(seed)
    controller = LSTMController(input_size=input_size, dim=dim, generator=generator).double()
    with torch.no_grad():
        for name, parameter in controller.named_parameters():
            if name.startswith("bias"):
                parameter.normal_(generator=generator)
    state = ControllerState(*torch.randn(2, 4, dim, generator=generator, dtype=torch.float64))
    return controller, torch.randn(4, input_size, generator=generator, dtype=torch.float64), state


def test_a_step_by_hand():
    # sigmoid(ln 3) = 3/4, sigmoid(-ln 3) = 1/4, tanh(ln 2) = 3/5; two features of the state.
    up, down = math.log(3), -math.log(3)
    preactivation = torch.tensor([[up, down, down, up, math.log(2), 0.0, 0.0, up]])
    gates = lstm_gates(preactivation, torch.tensor([[4.0, -4.0]]))
    # c = f c' + i g: 1/4 * 4 + 3/4 * 3/5 and 3/4 * -4 + 1/4 * 0.
    assert_close(gates.cell, torch.tensor([[1.45, -3.0]]))
    assert_close(gates.hidden, torch.tensor([[0.5 * math.tanh(1.45), 0.75 * math.tanh(-3.0)]]))


def test_a_forget_bias_keeps_a_share_of_the_state():
    controller = LSTMController(input_size=1, dim=2, forget_bias=math.log(3))
    for weight in (controller.weight_ih, controller.weight_hh):
        nn.init.zeros_(weight)
    _, state = controller(torch.zeros(1, 1), ControllerState(torch.zeros(1, 2), torch.tensor([[4.0, -8.0]])))
    assert_close(state.cell, torch.tensor([[3.0, -6.0]]))  # g = tanh(0) adds nothing


def test_a_step_from_zeros_needs_no_forget_gate():
    preactivation = torch.linspace(-2, 2, 24, dtype=torch.float64).view(3, 8)
    i, _, g, o = preactivation.chunk(4, -1)
    alone = lstm_gates(torch.cat([i, g, o], -1), None)
    from_zeros = lstm_gates(preactivation, torch.zeros(3, 2, dtype=torch.float64))
    assert alone.forget is None
    assert alone.prev_cell is None
    assert torch.equal(alone.cell, from_zeros.cell)
    assert torch.equal(alone.hidden, from_zeros.hidden)


def test_agrees_with_lstm_cell_of_the_same_weights():
    controller, inputs, state = make()
    cell = nn.LSTMCell(3, 2, dtype=torch.float64)
    cell.load_state_dict(controller.state_dict())
    output, after = controller(inputs, state)
    hidden, memory = cell(inputs, tuple(state))
    assert_close(output, hidden, rtol=1e-14, atol=1e-14)
    assert_close(after.cell, memory, rtol=1e-14, atol=1e-14)
    assert after.hidden is output


def test_agrees_with_the_loop():
    controller, inputs, state = make()
    weights = {name: value.numpy() for name, value in controller.state_dict().items()}
    output, after = controller(inputs, state)
    for b in range(4):
        hidden, cell = reference.lstm(weights, inputs[b].numpy(), state.hidden[b].numpy(), state.cell[b].numpy())
        np.testing.assert_allclose(output[b].detach(), hidden)
        np.testing.assert_allclose(after.cell[b].detach(), cell)


def test_gradients():
    controller, inputs, state = make()
    names = [name for name, _ in controller.named_parameters()]

    def step(inputs, hidden, cell, *parameters):
        named = dict(zip(names, parameters, strict=True))
        output, after = torch.func.functional_call(controller, named, (inputs, ControllerState(hidden, cell)))
        return output, after.cell

    assert torch.autograd.gradcheck(step, (inputs.requires_grad_(), *state, *controller.parameters()))


def test_several_queries_start_from_the_same_state():
    controller, inputs, state = make()
    queries = torch.stack([inputs, -inputs, 2 * inputs], dim=1)
    outputs, after = controller(queries, state)
    joined = controller.step_input(queries, state)
    for n in range(3):
        output, alone = controller(queries[:, n], state)
        assert_close(outputs[:, n], output)
        assert_close(after.cell[:, n], alone.cell)
        assert_close(joined[:, n], controller.step_input(queries[:, n], state))


def test_what_a_step_reads_times_the_weights_is_the_preactivation():
    controller, inputs, state = make()
    weights = torch.cat([controller.weight_ih, controller.weight_hh], dim=1)
    joined = controller.step_input(inputs, state)
    assert joined.shape == (4, 3 + 2)
    assert controller.num_biases == 2
    expected = joined @ weights.mT + controller.bias_ih + controller.bias_hh
    assert_close(controller.preactivation(inputs, state), expected)


def test_examples_in_a_batch_do_not_touch():
    controller, inputs, state = make()
    state = ControllerState(*(tensor.requires_grad_() for tensor in state))
    output, _ = controller(inputs.requires_grad_(), state)
    for grad in torch.autograd.grad(output[1].sum(), (inputs, *state)):
        assert grad[1].abs().min() > 0
        assert grad[[0, 2, 3]].abs().max() == 0


def test_a_sequence_equals_its_steps_and_leaves_the_state_it_got():
    controller, inputs, state = make()
    before = [tensor.clone() for tensor in state]
    rnn = nn.LSTM(3, 2, dtype=torch.float64)
    rnn.load_state_dict({f"{name}_l0": value for name, value in controller.state_dict().items()})
    sequence = torch.stack([inputs, inputs.sin(), inputs.cos()])
    expected, _ = rnn(sequence, tuple(tensor.unsqueeze(0) for tensor in state))
    after = state
    for t in range(3):
        output, after = controller(sequence[t], after)
        assert_close(output, expected[t])
    assert all(torch.equal(*pair) for pair in zip(state, before, strict=True))


def test_the_generator_alone_decides_the_weights():
    one, _, _ = make(seed=1)
    torch.manual_seed(99)
    same, _, _ = make(seed=1)
    other, _, _ = make(seed=2)
    assert torch.equal(one.weight_hh, same.weight_hh)
    assert not torch.equal(one.weight_hh, other.weight_hh)
    assert one.weight_ih.abs().max() <= 1 / math.sqrt(2)


def test_the_initial_state_is_zero_in_the_dtype_of_the_weights():
    controller, *_ = make()
    for tensor in controller.initial_state(3):
        assert torch.equal(tensor, torch.zeros(3, 2, dtype=torch.float64))


def test_refusals():
    with pytest.raises(InputError, match="input_size is 0; give a whole number of at least 1"):
        LSTMController(input_size=0, dim=2)
    with pytest.raises(InputError, match="dim is 0; give a whole number of at least 1"):
        LSTMController(input_size=2, dim=0)
    controller, _, state = make()
    with pytest.raises(InputError, match="got inputs of 5 features; this controller takes 3"):
        controller(torch.zeros(4, 5, dtype=torch.float64), state)


def test_no_state_is_a_state_of_zeros():
    controller, inputs, _ = make()
    for batch in (inputs, inputs.unsqueeze(1).repeat(1, 2, 1)):
        output, after = controller(batch)
        expected, expected_after = controller(batch, controller.initial_state(4))
        assert torch.equal(output, expected)
        assert torch.equal(after.cell, expected_after.cell)
