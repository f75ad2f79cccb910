import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from fastslow.core.controllers import ControllerState, LSTMController, lstm_gates
from fastslow.core.fast_weights import FastWeights, gate_deltas
from fastslow.core.feedback import synthetic_update
from fastslow.core.literal_memory import controller_step

BATCH, FEATURES, DIM = 3, 3, 2


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def make():
    controller = LSTMController(input_size=FEATURES, dim=DIM, generator=torch.Generator().manual_seed(5)).double()
    with torch.no_grad():
        for name, parameter in controller.named_parameters():
            if name.startswith("bias"):
                parameter.copy_(normal(len(parameter), seed=6))
    return controller, ControllerState(*normal(2, BATCH, DIM, seed=7))


def learned(*, num_biases, steps, features=FEATURES, gates=4 * DIM):
    """Fast weights of some steps, linear-attention form, with the keys and values they are made of."""
    keys, values = normal(BATCH, steps, features, seed=1), normal(BATCH, steps, gates, seed=2)
    fast = FastWeights.empty(BATCH, features, gates, keys, num_biases=num_biases)
    for s in range(steps):
        fast = fast.append(keys[:, s], values[:, s])
    return fast, keys, values


def test_deltas_by_hand():
    # i = f = o = 3/4, g = 3/5, c' = 0: c = 9/20. One feature; SG = 2.
    up = math.log(3)
    preactivation = torch.tensor([[up, up, math.log(2), up]], dtype=torch.float64)
    gates = lstm_gates(preactivation, torch.zeros(1, 1, dtype=torch.float64))
    squashed = math.tanh(0.45)
    d_cell = 2 * 0.75 * (1 - squashed**2)
    expected = [d_cell * 0.6 * 3 / 16, 0.0, d_cell * 0.75 * 16 / 25, 2 * squashed * 3 / 16]
    deltas = gate_deltas(gates, torch.tensor([[2.0]], dtype=torch.float64))
    assert_close(deltas, torch.tensor([expected], dtype=torch.float64))


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 999), st.sampled_from([(1,), (3,), (2, 3)]))
def test_deltas_are_autograds_gradient_at_the_preactivations(seed, batch):
    preactivation = normal(*batch, 4 * DIM, seed=seed).requires_grad_()
    gates = lstm_gates(preactivation, normal(*batch, DIM, seed=seed + 1))
    synthetic_grad = normal(*batch, DIM, seed=seed + 2)
    (expected,) = torch.autograd.grad(gates.hidden, preactivation, synthetic_grad)
    assert_close(gate_deltas(gates, synthetic_grad), expected)


@given(st.integers(0, 999))
def test_deltas_of_a_step_from_zeros_leave_out_the_forget_gate(seed):
    preactivation, synthetic_grad = normal(3, 4 * DIM, seed=seed), normal(3, DIM, seed=seed + 1)
    i, _, g, o = preactivation.chunk(4, -1)
    alone = gate_deltas(lstm_gates(torch.cat([i, g, o], -1), None), synthetic_grad)
    d_i, d_f, d_g, d_o = gate_deltas(lstm_gates(preactivation, normal(3, DIM) * 0), synthetic_grad).chunk(4, -1)
    assert_close(alone, torch.cat([d_i, d_g, d_o], -1))
    assert torch.equal(d_f, torch.zeros_like(d_f))


def test_gradients_of_deltas():
    prev_cell = normal(2, DIM, seed=1)

    def deltas(preactivation, synthetic_grad):
        return gate_deltas(lstm_gates(preactivation, prev_cell), synthetic_grad)

    inputs = (normal(2, 4 * DIM), normal(2, DIM, seed=2))
    assert torch.autograd.gradcheck(deltas, [tensor.requires_grad_() for tensor in inputs])


def test_the_outer_products_are_the_vector_jacobian_product():
    controller, state = make()
    inputs, synthetic_grad = normal(BATCH, FEATURES, seed=8), normal(BATCH, DIM, seed=9)
    step = controller_step(controller, inputs, state, None)
    deltas = gate_deltas(step.gates, synthetic_grad)
    grads = synthetic_update(controller, inputs, state, synthetic_grad)
    outer = torch.einsum("bg,bu->gu", deltas, step.inputs)
    assert_close(outer[:, :FEATURES], grads["weight_ih"])
    assert_close(deltas.sum(0), grads["bias_ih"])
    assert_close(outer[:, FEATURES:], grads["weight_hh"])
    assert_close(deltas.sum(0), grads["bias_hh"])


@pytest.mark.parametrize("bias", [True, False])
def test_fast_weights_answer_as_a_controller_with_the_new_weights(bias):
    # Eq. 10 done explicitly for each task, theta - alpha * synthetic_update summed over two support steps.
    controller, state = make()
    num_biases = controller.num_biases if bias else 0
    sizes = FEATURES + DIM, 4 * DIM
    fast = FastWeights.empty(BATCH, *sizes, state.hidden, num_biases=num_biases)
    alpha, support = 0.7, [(normal(BATCH, FEATURES, seed=s), normal(BATCH, DIM, seed=20 + s)) for s in (11, 12)]
    for inputs, synthetic_grad in support:
        step = controller_step(controller, inputs, state, None)
        fast = fast.append(step.inputs, -alpha * gate_deltas(step.gates, synthetic_grad))
    queries = normal(BATCH, 4, FEATURES, seed=13)
    answers = [controller_step(controller, queries, state, form).output for form in (fast, fast.materialise())]
    for b in range(BATCH):
        task_state = ControllerState(*(tensor[b : b + 1] for tensor in state))
        moved = {name: parameter.detach().clone() for name, parameter in controller.named_parameters()}
        for inputs, synthetic_grad in support:
            grads = synthetic_update(controller, inputs[b : b + 1], task_state, synthetic_grad[b : b + 1])
            for name, grad in grads.items():
                if bias or not name.startswith("bias"):
                    moved[name] = moved[name] - alpha * grad
        expected, _ = torch.func.functional_call(controller, moved, (queries[b : b + 1], task_state))
        for answer in answers:
            assert_close(answer[b : b + 1], expected)


def test_fast_weights_by_hand():
    # Keys (1, 0) and (0, 2), values (3, 4) and (5, 6), query (1, 1): products 1 and 2, each one more with a bias.
    fast = FastWeights.empty(1, 2, 2, torch.zeros(1), num_biases=0)
    with_bias = fast._replace(num_biases=1)
    for key, value in (([1.0, 0.0], [3.0, 4.0]), ([0.0, 2.0], [5.0, 6.0])):
        step = torch.tensor([key]), torch.tensor([value])
        fast, with_bias = fast.append(*step), with_bias.append(*step)
    query = torch.ones(1, 2)
    assert fast.preactivation(query).tolist() == [[3 + 10, 4 + 12]]
    assert with_bias.preactivation(query).tolist() == [[6 + 15, 8 + 18]]
    assert with_bias.materialise().matrix.tolist() == [[[3, 10], [4, 12]]]
    assert with_bias.materialise().bias.tolist() == [[8, 10]]


@pytest.mark.parametrize("num_biases", [0, 1, 2])
@pytest.mark.parametrize("shape", [(BATCH, FEATURES), (BATCH, 4, FEATURES)])
def test_all_forms_are_the_same_weights(num_biases, shape):
    fast, keys, values = learned(num_biases=num_biases, steps=4)
    mixed = learned(num_biases=num_biases, steps=2)[0]
    mixed = FastWeights(keys[:, :2], values[:, :2], num_biases).materialise()
    for s in (2, 3):
        mixed = mixed.append(keys[:, s], values[:, s])
    assert mixed.matrix is not None
    assert mixed.inputs.shape[1] == 2
    rows = normal(*shape, seed=3)
    expected = torch.einsum("bsg,bsu,b...u->b...g", values, keys, rows)
    bias = num_biases * values.sum(1)
    expected = expected + (bias if rows.ndim == 2 else bias.unsqueeze(1))
    for form in (fast, fast.materialise(), mixed, mixed.materialise(), mixed.materialise().materialise()):
        assert_close(form.preactivation(rows), expected)


@pytest.mark.parametrize("num_biases", [0, 2])
def test_gradients_of_both_forms(num_biases):
    keys, values, rows = normal(2, 3, 2, seed=1), normal(2, 3, 4, seed=2), normal(2, 2, seed=3)
    inputs = [tensor.requires_grad_() for tensor in (keys, values, rows)]
    for form in (lambda fast: fast, FastWeights.materialise):

        def answer(keys, values, rows, form=form):
            return form(FastWeights(keys, values, num_biases)).preactivation(rows)

        assert torch.autograd.gradcheck(answer, inputs)


@pytest.mark.parametrize("materialise", [False, True])
def test_no_steps_change_nothing(materialise):
    fast = FastWeights.empty(BATCH, FEATURES, 4 * DIM, normal(1), num_biases=2)
    fast = fast.materialise() if materialise else fast
    assert fast.is_empty != materialise
    out = fast.preactivation(normal(BATCH, FEATURES))
    assert out.dtype == torch.float64
    assert torch.equal(out, torch.zeros(BATCH, 4 * DIM, dtype=torch.float64))


def test_steps_appended_at_once_are_those_appended_one_by_one():
    fast, keys, values = learned(num_biases=2, steps=4)
    for start in (0, 1):
        at_once = FastWeights(keys[:, :start], values[:, :start], 2).append(keys[:, start:], values[:, start:])
        assert torch.equal(at_once.inputs, fast.inputs)
        assert torch.equal(at_once.deltas, fast.deltas)
        assert at_once.num_biases == 2
    assert not fast.is_empty
    assert not fast.materialise().is_empty


def test_appending_leaves_the_old_weights_as_they_were():
    fast, *_ = learned(num_biases=1, steps=2)
    fast.append(normal(BATCH, FEATURES), normal(BATCH, 4 * DIM))
    assert fast.inputs.shape[1] == 2


def test_tasks_do_not_touch():
    fast, keys, values = learned(num_biases=1, steps=3)
    rows = normal(BATCH, FEATURES, seed=3)
    for form in (FastWeights.materialise, lambda fast: fast):
        moved = FastWeights(keys.clone(), values.clone(), 1)
        moved.deltas[0] *= 2
        before, after = form(fast).preactivation(rows), form(moved).preactivation(rows)
        assert_close(before[1:], after[1:])
        assert not torch.allclose(before[0], after[0])


def test_compact_takes_the_form_of_fewer_products():
    # 4 features and 12 gates: attention costs 16 a step, the matrix 48 whatever the steps.
    three, *_ = learned(num_biases=2, steps=3, features=4, gates=12)
    four, *_ = learned(num_biases=2, steps=4, features=4, gates=12)
    assert three.compact() is three
    assert four.compact().matrix is not None
    assert four.compact().inputs.shape[1] == 0
    rows = normal(BATCH, 4)
    assert_close(four.compact().preactivation(rows), four.preactivation(rows))
