import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.testing import assert_close

import reference
from fastslow.core.controllers import LSTMController
from fastslow.core.feedback import true_gradients
from fastslow.core.predictors import (
    GradientPredictor,
    Predictors,
    RunningRMS,
    StatelessPredictor,
    gradient_quality,
    predictor_loss,
)

BATTERY = pytest.mark.parametrize("kind", [GradientPredictor, StatelessPredictor])


def make(kind=GradientPredictor, *, ready=True, seed=0):
    """A predictor for dim 2 and 3 classes, float64; `ready`: its head is not zero any more."""
    generator = torch.Generator().manual_seed(seed)
    predictor = kind(dim=2, target_size=3, hidden_size=4, generator=generator).double()
    if ready:
        nn.init.normal_(predictor.head.weight, generator=generator)
        nn.init.normal_(predictor.head.bias, generator=generator)
    return predictor


def batch(seed=0):
    """Activations and one-hot targets of 5 examples."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(5, 2, generator=generator, dtype=torch.float64), torch.eye(3, dtype=torch.float64)[
        [0, 1, 2, 0, 0]
    ]


def test_agrees_with_the_loop_over_two_steps():
    predictor = make()
    lstm = {name: value.numpy() for name, value in predictor.lstm.state_dict().items()}
    head = [value.detach().numpy() for value in (predictor.head.weight, predictor.head.bias)]
    activations, targets = batch()
    state = predictor.initial_state(5)
    first, state = predictor(activations, targets, state)
    second, _ = predictor(-activations, targets, state)
    for b in range(5):
        activation, target = activations[b].numpy(), targets[b].numpy()
        grad, hidden, cell = reference.predict_gradient(lstm, *head, activation, target, np.zeros(4), np.zeros(4))
        np.testing.assert_allclose(first[b].detach(), grad)
        grad, *_ = reference.predict_gradient(lstm, *head, -activation, target, hidden, cell)
        np.testing.assert_allclose(second[b].detach(), grad)


def predict(predictor, activations, targets):
    """What a predictor of either kind says in its first step."""
    answer = predictor(activations, targets)
    return answer[0] if isinstance(answer, tuple) else answer


@BATTERY
def test_battery_shape_reproducible_and_no_example_touches_another(kind):
    predictor, same = make(kind), make(kind)
    activations, targets = batch()
    grads = predict(predictor, activations, targets)
    assert grads.shape == (5, 2)
    assert torch.equal(grads, predict(same, activations, targets))
    assert_close(grads[2:3], predict(predictor, activations[2:3], targets[2:3]))
    assert not torch.allclose(grads[0], grads[1])  # the label matters


@BATTERY
def test_an_untrained_predictor_says_zero(kind):
    grads = predict(make(kind, ready=False), *batch())
    assert torch.equal(grads, torch.zeros(5, 2, dtype=torch.float64))


def test_a_stateless_predictor_is_one_whose_state_is_zero():
    predictor, stateless = make(), make(StatelessPredictor)
    with torch.no_grad():
        for name in ("weight", "bias"):
            i, g, o = getattr(stateless.layer, name).chunk(3)
            getattr(predictor.lstm, f"{name}_ih").copy_(torch.cat([i, torch.zeros_like(g), g, o]))
        predictor.head.load_state_dict(stateless.head.state_dict())
    assert_close(predict(predictor, *batch()), stateless(*batch()))


def test_gradients():
    predictor = make()
    activations, targets = batch()
    state = predictor.initial_state(5)
    assert torch.autograd.gradcheck(
        lambda a, y: predictor(a, y, state)[0], [x.requires_grad_() for x in (activations, targets)]
    )


def test_several_examples_are_each_answered_from_the_same_state():
    predictor = make()
    activations, targets = batch()
    _, state = predictor(activations, targets, predictor.initial_state(5))
    grads, _ = predictor(torch.stack([activations, -activations], 1), torch.stack([targets, targets], 1), state)
    assert_close(grads[:, 1], predictor(-activations, targets, state)[0])


def test_the_state_matters():
    predictor = make()
    activations, targets = batch()
    first, state = predictor(activations, targets, predictor.initial_state(5))
    second, _ = predictor(activations, targets, state)
    assert [part.shape for part in state] == [(5, 4), (5, 4)]
    assert not torch.equal(first, second)


def test_predictor_loss_by_hand():
    # (1-0)^2 + (2-4)^2 = 5 and 0 + 1 = 1, mean 3; at scale 2 the truth is [0, 2], [1.5, 2]: 1 + 0 and 2.25 + 1.
    synthetic, true = torch.tensor([[1.0, 2.0], [3.0, 3.0]]), torch.tensor([[0.0, 4.0], [3.0, 4.0]])
    assert predictor_loss(synthetic, true).item() == 3.0
    assert predictor_loss(synthetic, true, torch.tensor(2.0)).item() == (1.0 + 3.25) / 2


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 4), st.integers(1, 5))
def test_predictor_loss_is_the_mean_of_the_papers_distance(num, dim):
    generator = torch.Generator().manual_seed(num)
    synthetic, true = torch.randn(2, num, dim, generator=generator, dtype=torch.float64)
    expected = np.mean([reference.predictor_loss(synthetic[n].numpy(), true[n].numpy()) for n in range(num)])
    np.testing.assert_allclose(predictor_loss(synthetic, true).item(), expected)
    assert predictor_loss(true, true).item() == 0
    # Any number of axes before the last; the mean is over all of them.
    assert_close(predictor_loss(synthetic.unsqueeze(1), true.unsqueeze(1)), predictor_loss(synthetic, true))


def test_gradients_of_predictor_loss():
    synthetic, true = torch.randn(2, 3, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert torch.autograd.gradcheck(lambda s: predictor_loss(s, true, 0.7), (synthetic.requires_grad_(),))


def test_eq_11_moves_one_predictor_and_no_controller():
    controller = LSTMController(input_size=3, dim=2).double()
    predictors = Predictors(make(seed=1), make(seed=2), make(seed=3))
    _, targets = batch()
    output, _ = controller(torch.ones(5, 3, dtype=torch.float64), controller.initial_state(5))
    (true_grad,) = true_gradients(output.square().sum(), [output])
    synthetic, _ = predictors.output(output.detach(), targets, predictors.output.initial_state(5))
    predictor_loss(synthetic, true_grad).backward()
    assert predictors.output.head.weight.grad.abs().sum() > 0
    assert predictors.output.lstm.weight_ih.grad.abs().sum() > 0
    others = (controller, predictors.input, predictors.write)
    assert all(parameter.grad is None for module in others for parameter in module.parameters())


def test_predictor_loss_does_not_move_the_truth():
    synthetic, true = torch.zeros(1, 2, requires_grad=True), torch.ones(1, 2, requires_grad=True)
    predictor_loss(synthetic, true).backward()
    assert synthetic.grad is not None
    assert true.grad is None


def test_a_predictor_fits_the_gradient_of_a_loss_it_can_see():
    torch.manual_seed(0)
    predictor = make(ready=False)
    activations, targets = (
        torch.randn(64, 2, dtype=torch.float64),
        torch.eye(3, dtype=torch.float64)[torch.arange(64) % 3],
    )
    # The true gradient of a squared error: a - y, up to which class.
    true = activations - targets[:, :2]
    optimiser = torch.optim.Adam(predictor.parameters(), lr=0.02)
    losses = []
    for _ in range(100):
        loss = predictor_loss(predictor(activations, targets, predictor.initial_state(64))[0], true)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.1 * losses[0]


def test_one_object_three_times_is_one_set_of_parameters():
    shared = make(seed=1)
    predictors = Predictors(shared, shared, shared)
    assert len(list(predictors.parameters())) == len(list(shared.parameters()))
    other = make(seed=2)
    restored = Predictors(other, other, other)
    restored.load_state_dict(predictors.state_dict())
    assert restored.input is restored.write
    assert torch.equal(restored.input.head.weight, shared.head.weight)
    assert torch.equal(restored.input.lstm.weight_hh, shared.lstm.weight_hh)


def test_running_rms_of_equal_gradients_is_their_size_from_the_first_update_on():
    rms = RunningRMS(momentum=0.9)
    assert rms.scale.item() == 1.0
    for _ in range(3):
        rms.update(torch.tensor([[3e-6, -3e-6]]))
        assert_close(rms.scale, torch.tensor(3e-6))


def test_running_rms_by_hand():
    rms = RunningRMS(momentum=0.5)
    rms.update(torch.tensor([2.0]))
    rms.update(torch.tensor([0.0, 4.0]))
    # Mean squares 4 and 8 at weights 1/4 and 1/2 of a total of 3/4: 20/3.
    assert_close(rms.scale, torch.tensor((20 / 3) ** 0.5))


def test_running_rms_of_zeros_can_be_divided_by():
    rms = RunningRMS()
    rms.update(torch.zeros(2, 2))
    assert predictor_loss(torch.zeros(2, 2), torch.zeros(2, 2), rms.scale).item() == 0


def test_running_rms_survives_saving():
    rms, restored = RunningRMS(), RunningRMS()
    rms.update(torch.tensor([5.0]))
    restored.load_state_dict(rms.state_dict())
    assert_close(restored.scale, torch.tensor(5.0))


def test_gradient_quality_by_hand():
    synthetic = torch.tensor([[3.0, 4.0], [0.0, 0.0]], requires_grad=True)
    quality = gradient_quality(synthetic, torch.tensor([[4.0, 3.0], [2.0, 0.0]]))
    assert_close(quality.cosine, torch.tensor((24 / 25 + 0) / 2))  # a zero prediction has cosine 0
    assert_close(quality.relative_error, torch.tensor((2**0.5 + 2) / 7))
    assert_close(quality.predicted_norm, torch.tensor(2.5))
    assert_close(quality.true_norm, torch.tensor(3.5))
    assert not quality.cosine.requires_grad
