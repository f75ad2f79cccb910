import math

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from fastslow.core.gated_layer import GatedLayer
from fastslow.errors import InputError


def make(*, input_size=3, dim=2, seed=0):
    """A layer in float64 with biases that are not zero, and inputs of four examples."""
    generator = torch.Generator().manual_seed(seed)
    layer = GatedLayer(input_size=input_size, dim=dim, generator=generator).double()
    with torch.no_grad():
        layer.bias.normal_(generator=generator)
    return layer, torch.randn(4, input_size, generator=generator, dtype=torch.float64)


def test_it_is_an_lstm_cell_on_a_zero_state():
    layer, inputs = make()
    cell = nn.LSTMCell(3, 2, dtype=torch.float64)
    weights = {"weight_hh": cell.weight_hh * 0, "bias_hh": cell.bias_hh * 0}
    for name, rows in layer.state_dict().items():
        i, g, o = rows.chunk(3)
        weights[f"{name}_ih"] = torch.cat([i, torch.full_like(g, 7.0), g, o])  # a forget gate with nothing to forget
    cell.load_state_dict(weights)
    assert_close(layer(inputs), cell(inputs)[0])


def test_a_step_by_hand():
    # sigmoid(ln 3) = 3/4, tanh(ln 2) = 3/5: c = 9/20 and h = 3/4 tanh(9/20).
    layer = GatedLayer(input_size=1, dim=1).double()
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[math.log(3)], [math.log(2)], [math.log(3)]]))
    output = layer(torch.ones(1, 1, dtype=torch.float64))
    assert_close(output, torch.tensor([[0.75 * math.tanh(0.45)]], dtype=torch.float64))


def test_gradients():
    layer, inputs = make()
    names = [name for name, _ in layer.named_parameters()]

    def step(inputs, *parameters):
        return torch.func.functional_call(layer, dict(zip(names, parameters, strict=True)), (inputs,))

    assert torch.autograd.gradcheck(step, (inputs.requires_grad_(), *layer.parameters()))


def test_each_row_is_a_step_of_its_own():
    layer, inputs = make()
    rows = torch.stack([inputs, -inputs, 2 * inputs], dim=1)
    outputs = layer(rows)
    for n in range(3):
        assert_close(outputs[:, n], layer(rows[:, n]))
    (grad,) = torch.autograd.grad(layer(inputs.requires_grad_())[1].sum(), inputs)
    assert grad[1].abs().min() > 0
    assert grad[[0, 2, 3]].abs().max() == 0


def test_the_generator_alone_decides_the_weights():
    one, _ = make(seed=1)
    torch.manual_seed(99)
    same, _ = make(seed=1)
    other, _ = make(seed=2)
    assert torch.equal(one.weight, same.weight)
    assert not torch.equal(one.weight, other.weight)
    assert one.weight.abs().max() <= 1 / math.sqrt(2)


def test_refusals():
    with pytest.raises(InputError, match="input_size is 0; give a whole number of at least 1"):
        GatedLayer(input_size=0, dim=2)
    layer, _ = make()
    with pytest.raises(InputError, match="got inputs of 5 features; this controller takes 3"):
        layer(torch.zeros(4, 5, dtype=torch.float64))
