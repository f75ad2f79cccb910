"""The default rule with a write gate: what it changes, when it changes nothing, and how it is switched on."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from fastslow.core.keyed_memory import KeyedMemory
from fastslow.errors import InputError
from fastslow.methods import build_method
from fastslow.methods.base import Task
from fastslow.methods.config import preset
from fastslow.methods.default_rule import FastSlow
from fastslow.methods.files import TrainedModel, load_model, save_model
from fastslow.methods.write_gate import GatedFastSlow, with_write_gate
from fastslow.report.memory_scene import _address_weights, _slots

SMALL = {
    "channels": (2, 4), "residual": (False, True), "projection": 8, "dim": 8, "predictor_hidden": 4, "image_size": 8,
    "n_way": 3, "num_slots": 16,
}  # fmt: skip


@pytest.fixture(scope="module")
def plain():
    torch.manual_seed(0)
    rule = build_method(preset("default", **SMALL)).eval()
    for parameter in rule.parameters():
        parameter.data += 0.2 * torch.randn_like(parameter)
    return rule


def drawings(shot, seed=0):
    """Three classes well apart, `shot` examples of each, and two queries of each."""
    generator = torch.Generator().manual_seed(seed)
    centres = 3 * torch.randn(2, 3, 8, generator=generator)
    labels = torch.arange(3).repeat(2, shot)
    support = centres[:, torch.arange(3).repeat(shot)]
    support = support + 0.3 * torch.randn(support.shape, generator=generator)
    query = centres.repeat(1, 2, 1) + 0.3 * torch.randn(2, 6, 8, generator=generator)
    return support, labels, query


def test_with_one_example_of_each_class_nothing_changes(plain):
    support, labels, query = drawings(1)
    gated = with_write_gate(plain)
    assert torch.equal(gated.learn(support, labels).slots, plain.learn(support, labels).slots)
    assert torch.equal(gated(support, labels, query), plain(support, labels, query))


def test_a_wrong_label_is_written_less_than_right_ones(plain):
    support, labels, _ = drawings(5)
    labels[:, 0] = 1
    gates = with_write_gate(plain).learn(support, labels).shown.gates
    assert (gates[:, 0] < gates[:, 1:15].amin(-1)).all()
    assert torch.equal(gates[:, 15:], torch.ones(2, 1))


def test_gates_and_keys_are_the_same_in_however_many_parts_a_support_set_comes(plain):
    support, labels, _ = drawings(5)
    labels[:, 0] = 1
    gated = with_write_gate(plain)
    whole, state = gated.learn(support, labels), None
    for part, part_labels in zip(support.split(6, 1), labels.split(6, 1), strict=True):
        state = gated.learn(part, part_labels, state)
    assert_close(state.shown.gates, whole.shown.gates)
    assert_close(state.keys, whole.keys)
    assert torch.equal(state.shown.labels, whole.shown.labels)
    first = gated.learn(support[:, :6], labels[:, :6])
    assert not torch.allclose(first.shown.gates[:, :6], whole.shown.gates[:, :6])  # later examples say something


def test_an_example_that_takes_the_place_of_another_takes_its_label_too(plain):
    support, labels, _ = drawings(6)
    state = with_write_gate(plain).learn(support, labels)  # 18 examples, 16 slots
    assert torch.equal(state.shown.labels[:, :2], labels[:, 16:])
    assert torch.equal(state.shown.keys[:, :2], support[:, 16:] + plain.memory.input_controller(support[:, 16:]))


def test_it_is_an_option_of_a_model_with_the_weights_of_one_without(plain, tmp_path):
    config = preset("default", **SMALL, write_gate=True)
    gated = build_method(config).eval()
    assert type(gated) is GatedFastSlow
    assert type(plain) is FastSlow
    gated.load_state_dict(plain.state_dict())
    save_model(tmp_path / "gated.safetensors", TrainedModel(gated, config, {}))
    support, labels, query = drawings(5)
    loaded = load_model(tmp_path / "gated.safetensors").method
    assert torch.equal(loaded(support, labels, query), with_write_gate(plain)(support, labels, query))
    assert not torch.equal(loaded(support, labels, query), plain(support, labels, query))


@pytest.mark.parametrize("shot", [1, 2])
def test_gradients_of_training_are_finite_with_slots_and_classes_that_were_never_shown(shot):
    method = build_method(preset("default", **SMALL | {"n_way": 5}, write_gate=True))
    method.begin("memory")
    support, labels, query = drawings(shot)
    loss = method.loss(Task(support, labels, query, torch.arange(3).repeat(2, 2)))
    gradients = torch.autograd.grad(loss, [p for p in method.parameters_of("memory") if p.requires_grad])
    assert all(gradient.isfinite().all() for gradient in gradients)


def test_gradients_reach_the_predictor_through_gated_slots(plain):
    gated = with_write_gate(plain)
    support, labels, query = drawings(2)
    gated(support, labels, query).square().sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in gated.memory.parameters() if p.grad is not None)
    assert gated.predictor.head.weight.grad.abs().sum() > 0
    plain.zero_grad(set_to_none=True)


def test_a_picture_of_the_memory_shows_gated_slots(plain):
    support, labels, query = drawings(2)
    gated = with_write_gate(plain)
    state = gated.learn(support[:1], labels[:1])
    assert _slots(state)[1] == 8
    assert_close(_address_weights(gated, query[:1, :1], state).sum(), torch.tensor(1.0))


def test_states_without_gates_and_models_that_have_none_are_refused(plain):
    support, labels, _ = drawings(1)
    with pytest.raises(InputError, match="got a state without gates"):
        with_write_gate(plain).learn(support, labels, plain.initial_state(2))
    for changes in ({"method": "protonet"}, {"control": "label_only"}):
        with pytest.raises(InputError, match="got write_gate=True with method="):
            preset("default", **SMALL, write_gate=True, **changes)
    with pytest.raises(InputError, match="preset='paper'"):
        preset("paper", write_gate=True)
    assert KeyedMemory(dim=2, num_slots=2).initial_state(1).shown is None
