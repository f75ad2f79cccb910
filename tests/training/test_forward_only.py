from __future__ import annotations

import copy

import torch
from torch.nn import functional as F

from fastslow.core.predictors import GradientPredictor
from fastslow.core.track_networks import track_network
from fastslow.training.online import forward_only_step

STEPS, ROWS = 3, 5
OUTPUTS = 2 * STEPS


class Exact(GradientPredictor):
    """What a predictor is fitted to where the loss is a mean square and the decoder is linear."""

    def __init__(self, decoder):
        super().__init__(dim=decoder.in_features, target_size=OUTPUTS)
        self.decoder = copy.deepcopy(decoder)

    def forward(self, activation, target, state=None):
        wrong = F.linear(activation, self.decoder.weight, self.decoder.bias) - target
        return 2 / OUTPUTS * wrong @ self.decoder.weight, self.initial_state(len(activation))


def made(seed=0):
    torch.manual_seed(seed)
    network = track_network(STEPS)
    return network, torch.randn(1, ROWS, 4, 2), torch.randn(1, ROWS, OUTPUTS)


def test_a_right_predictor_gives_the_gradient_of_backpropagation_also_beside_another_network_of_the_same_decoder():
    other, *_ = made(seed=1)
    network, inputs, targets = made()
    network.decoder = other.decoder
    controller = network.memory.output_controller
    forward_only_step(network, Exact(other.decoder), inputs, targets, torch.optim.SGD(controller.parameters(), lr=0.0))
    found = {name: parameter.grad.clone() for name, parameter in controller.named_parameters()}
    answers, _ = network(inputs[0], network.initial_state(ROWS))
    network.zero_grad()
    F.mse_loss(answers, targets[0]).backward()
    for name, parameter in controller.named_parameters():
        torch.testing.assert_close(found[name], parameter.grad, atol=1e-6, rtol=1e-4)
        assert bool(parameter.grad.any()) or "weight_hh" in name  # a window of one step has no past


def test_only_the_output_controller_moves_and_nothing_is_backpropagated():
    network, inputs, targets = made()
    predictor = Exact(network.decoder)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    steps = torch.optim.SGD(network.memory.output_controller.parameters(), lr=0.1)
    errors = []
    for _ in range(30):
        errors.append(float(F.mse_loss(network(inputs[0], network.initial_state(ROWS))[0], targets[0]).detach()))
        forward_only_step(network, predictor, inputs, targets, steps)
    moved = {name for name, value in network.state_dict().items() if not torch.equal(value, before[name])}
    assert moved
    assert all(name.startswith("memory.output_controller.") for name in moved)
    given = {name for name, p in network.named_parameters() if p.grad is not None}
    assert all(name.startswith("memory.output_controller.") for name in given)
    assert all(parameter.grad is None for parameter in predictor.parameters())
    assert errors[-1] < errors[0]
