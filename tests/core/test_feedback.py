import math

import numpy as np
import pytest
import torch
from torch.testing import assert_close

import reference
from fastslow.core.controllers import ControllerState, LSTMController
from fastslow.core.feedback import join_gradients, synthetic_update, true_gradients
from fastslow.core.literal_memory import LiteralMemory


def make(*, input_size=3, dim=2):
    controller = LSTMController(input_size=input_size, dim=dim, generator=torch.Generator().manual_seed(0)).double()
    generator = torch.Generator().manual_seed(1)
    state = ControllerState(*torch.randn(2, 4, dim, generator=generator, dtype=torch.float64))
    inputs = torch.randn(4, input_size, generator=generator, dtype=torch.float64)
    return controller, inputs, state, torch.randn(4, dim, generator=generator, dtype=torch.float64)


def test_by_hand():
    # All weights 0 but the candidate's bias ln 2: i = f = o = 1/2, g = 3/5, so c = 3/10 and h = tanh(3/10) / 2.
    controller = LSTMController(input_size=2, dim=1).double()
    with torch.no_grad():
        for parameter in controller.parameters():
            parameter.zero_()
        controller.bias_ih[2] = math.log(2)
    inputs, zeros = torch.tensor([[1.0, -2.0]], dtype=torch.float64), torch.zeros(1, 1, dtype=torch.float64)
    grads = synthetic_update(controller, inputs, ControllerState(zeros, zeros), torch.full_like(zeros, 4))
    d_cell = 4 * 0.5 * (1 - math.tanh(0.3) ** 2)
    deltas = torch.tensor([d_cell * 0.6 / 4, 0, d_cell * 0.5 * 16 / 25, 4 * math.tanh(0.3) / 4], dtype=torch.float64)
    assert_close(grads["bias_ih"], deltas)
    assert_close(grads["bias_hh"], deltas)
    assert_close(grads["weight_ih"], torch.stack([deltas, -2 * deltas], dim=1))
    assert_close(grads["weight_hh"], torch.zeros(4, 1, dtype=torch.float64))


def test_agrees_with_eq_10_by_finite_differences():
    controller, inputs, state, synthetic_grad = make()
    weights = {name: value.numpy() for name, value in controller.state_dict().items()}
    grads = synthetic_update(controller, inputs[:1], ControllerState(*(s[:1] for s in state)), synthetic_grad[:1])
    assert grads.keys() == weights.keys()
    for name, grad in grads.items():
        step = (inputs[0].numpy(), state.hidden[0].numpy(), state.cell[0].numpy(), synthetic_grad[0].numpy())
        expected = reference.updated_parameter(weights, name, *step, alpha=0.3)
        np.testing.assert_allclose(weights[name] - 0.3 * grad.numpy(), expected, atol=1e-8)


def test_it_is_summed_over_the_batch():
    controller, inputs, state, synthetic_grad = make()
    together = synthetic_update(controller, inputs, state, synthetic_grad)
    one_by_one = [
        synthetic_update(
            controller, inputs[b : b + 1], ControllerState(*(s[b : b + 1] for s in state)), synthetic_grad[b : b + 1]
        )
        for b in range(4)
    ]
    for name, grad in together.items():
        assert_close(grad, sum(grads[name] for grads in one_by_one))


def make_memory(**options):
    """A small memory in float64 and the features of two steps."""
    generator = torch.Generator().manual_seed(3)
    memory = LiteralMemory(input_size=3, dim=2, num_slots=3, generator=generator, **options).double()
    return memory, torch.randn(2, 4, 3, generator=generator, dtype=torch.float64)


def task_loss(memory, m, written, later):
    """A loss on m_t and, through what a later query finds in the memory, on q_t and m'_t."""
    state = memory.initial_state(4)._replace(slots=written)
    return m.square().sum() + memory.look(later, state).read_vector.pow(3).sum()


def run_memory(**options):
    """One step of a memory, with the controllers' outputs and the loss that comes of it."""
    memory, (features, later) = make_memory(**options)
    state = memory.initial_state(4)
    look = memory.look(features, state)
    write = memory.compose_write(look, state)
    activations = [look.input.output, look.output.output, write.output]
    loss = task_loss(memory, activations[1], memory.store(look, write, state).slots, later)
    return memory, features, state, look, write, activations, loss


def backpropagated(memory, name, features, later):
    """Gradients of that loss by one controller's parameters; the later look uses the same numbers, held fixed."""
    controller = getattr(memory, name)
    parameters = {key: value.detach().clone().requires_grad_() for key, value in controller.named_parameters()}
    named = {f"{name}.{key}": value for key, value in parameters.items()}
    m, after = torch.func.functional_call(memory, named, (features, memory.initial_state(4)))
    loss = task_loss(memory, m, after.slots, later)
    return dict(zip(parameters, torch.autograd.grad(loss, list(parameters.values())), strict=True))


@pytest.mark.parametrize("compose", ["literal", "query"])
def test_an_oracle_predictor_gives_backpropagations_gradients(compose):
    memory, features, state, look, _, activations, loss = run_memory(compose=compose)
    m = activations[1]
    inputs = {
        "input": features,
        "output": torch.cat([look.query, look.read_vector], 1) if compose == "query" else look.read_vector,
        "write": torch.cat([m, look.query], 1) if compose == "query" else m,
    }
    for name, true_grad in zip(inputs, true_gradients(loss, activations), strict=True):
        controller = getattr(memory, f"{name}_controller")
        update = synthetic_update(controller, inputs[name], getattr(state, name), true_grad)
        expected = backpropagated(memory, f"{name}_controller", *make_memory(compose=compose)[1])
        assert update.keys() == expected.keys()
        for parameter_name, grad in update.items():
            assert_close(grad, expected[parameter_name])
        assert update["weight_ih"].abs().max() > 1e-6


def test_it_gives_gradients_of_one_controller_and_leaves_every_grad_alone():
    memory, features, state, _, _, activations, loss = run_memory()
    features = features.clone().requires_grad_()
    synthetic_grad = torch.ones(4, 2, dtype=torch.float64, requires_grad=True)
    grads = synthetic_update(memory.input_controller, features, state.input, synthetic_grad)
    true_gradients(loss, activations)
    assert {name: grad.shape for name, grad in grads.items()} == {
        name: parameter.shape for name, parameter in memory.input_controller.named_parameters()
    }
    assert not any(grad.requires_grad for grad in grads.values())
    assert all(tensor.grad is None for tensor in (features, synthetic_grad, *memory.parameters()))


def test_it_goes_back_one_step_only():
    # Input and state both come of the same controller's weights, two and one steps ago.
    controller, inputs, state, synthetic_grad = make(input_size=2)
    earlier, _ = controller(inputs, state)
    _, attached = controller(inputs, state)
    cut = ControllerState(*(tensor.detach() for tensor in attached))
    expected = synthetic_update(controller, earlier.detach(), cut, synthetic_grad)
    for given in ((earlier, cut), (earlier.detach(), attached)):
        grads = synthetic_update(controller, *given, synthetic_grad)
        assert all(torch.equal(grads[name], expected[name]) for name in expected)


def test_it_needs_no_graph():
    controller, inputs, state, synthetic_grad = make()
    expected = synthetic_update(controller, inputs, state, synthetic_grad)
    with torch.no_grad():
        grads = synthetic_update(controller, inputs, state, synthetic_grad)
    assert all(torch.equal(grads[name], expected[name]) for name in expected)


def test_true_gradients_are_those_of_autograd_and_the_graph_is_kept():
    *_, activations, loss = run_memory()
    grads = true_gradients(loss, activations)
    for activation in activations:
        activation.retain_grad()
    loss.backward()
    for grad, activation in zip(grads, activations, strict=True):
        assert_close(grad, activation.grad)
        assert not grad.requires_grad


def test_the_last_write_vector_has_no_true_gradient():
    _, _, _, look, write, activations, _ = run_memory()
    grads = true_gradients(look.output.output.square().sum(), activations)
    assert grads[0] is not None
    assert grads[1] is not None
    assert grads[2] is None
    assert write.output.requires_grad


@pytest.mark.parametrize(
    ("true_grad", "join", "expected"),
    [(10.0, "added", 11.0), (10.0, "replaced", 1.0), (10.0, "matched", 11.0), (-10.0, "matched", -9.0),
     (None, "added", 1.0), (None, "replaced", 1.0), (None, "matched", 0.0)],
)  # fmt: skip
def test_synthetic_gradients_join_or_replace_the_true_ones_or_tell_their_length(true_grad, join, expected):
    controller = LSTMController(input_size=1, dim=1)
    if true_grad is not None:
        for parameter in controller.parameters():
            parameter.grad = torch.full_like(parameter, true_grad)
    grads = {name: torch.full_like(parameter, 4.0) for name, parameter in controller.named_parameters()}
    join_gradients(controller, grads, weight=0.25, join=join)
    for parameter in controller.parameters():
        torch.testing.assert_close(parameter.grad, torch.full_like(parameter, expected))
    assert all((grad == 4.0).all() for grad in grads.values())
