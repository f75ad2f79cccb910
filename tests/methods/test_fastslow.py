import math

import pytest
import torch
from torch.nn import functional as F
from torch.testing import assert_close

from fastslow.core.encoders import build_encoder
from fastslow.core.gated_layer import GatedLayer
from fastslow.methods import build_method, controls
from fastslow.methods.config import CONTROLS, PRESETS, preset
from fastslow.methods.default_rule import FastSlow
from fastslow.methods.networks import KeyedNetwork, LiteralNetwork
from fastslow.methods.paper_rule import LiteralFastSlow

#: Sizes that make each preset quick, everything else as it is.
SMALL = {
    "paper": {"channels": (2, 2, 8), "image_size": 8, "n_way": 2, "dim": 16, "predictor_hidden": 16},
    "default": {
        "channels": (2, 2, 8), "image_size": 8, "n_way": 2, "dim": 16, "projection": 16, "num_slots": 6,
        "predictor_hidden": 16,
    },
}  # fmt: skip
EVERY_PRESET = pytest.mark.parametrize("name", sorted(PRESETS))


def small(name, seed=0, **changes):
    torch.manual_seed(seed)
    return build_method(preset(name, **{**SMALL[name], **changes}))


def toy_tasks(features, num_tasks=8):
    """2-way 1-shot tasks of well separated classes, each also with its labels exchanged.

    What the labels are thus depends on the support set alone: without it no answer has less than ln 2 of loss.
    """
    generator = torch.Generator().manual_seed(0)
    prototypes = torch.randn(num_tasks, 2, features, generator=generator)
    support = prototypes + 0.05 * torch.randn(prototypes.shape, generator=generator)
    query = (prototypes + 0.05 * torch.randn(prototypes.shape, generator=generator)).repeat(2, 1, 1)
    labels = torch.tensor([0, 1]).expand(num_tasks, 2)
    labels = torch.cat([labels, 1 - labels])
    return support.repeat(2, 1, 1), labels, query, labels


def train(method, tasks, steps=30):
    """Adam on the query loss; the losses."""
    support, support_labels, query, query_labels = tasks
    optimiser = torch.optim.Adam([p for p in method.parameters() if p.requires_grad], lr=0.02)
    losses = []
    for _ in range(steps):
        loss = F.cross_entropy(method(support, support_labels, query).flatten(0, 1), query_labels.flatten())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    return losses


@EVERY_PRESET
def test_a_preset_builds_at_full_size(name):
    config = preset(name)
    method = build_method(config)
    first = method.memory.input_controller
    assert first.input_size == method.encoder.num_features
    assert method.memory.num_slots == config.num_slots
    assert method.num_classes == config.n_way
    assert method.capacity == config.capacity
    assert isinstance(first, GatedLayer) == (name == "default")


@EVERY_PRESET
def test_a_preset_learns_and_answers_images(name):
    method = small(name).eval()
    images = torch.rand(2 * 5, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    features = method.embed(images).reshape(2, 5, -1)
    steps, state = method.learn_steps(features[:, :2], torch.tensor([[0, 1], [1, 0]]))
    logits = method.answer(features[:, 2:], state)
    assert len(steps) == {"default": 1, "paper": 2}[name]
    assert logits.shape == (2, 3, 2)
    assert torch.isfinite(logits).all()


@EVERY_PRESET
def test_a_preset_learns_to_learn_from_the_support_set(name):
    method = small(name)
    losses = train(method, toy_tasks(method.encoder.num_features))
    assert losses[0] == pytest.approx(math.log(2), abs=0.1)
    assert losses[-1] < 0.75 * math.log(2)


@EVERY_PRESET
def test_without_the_fast_path_a_preset_stays_at_chance(name):
    method = small(name, control="fast_path_off")
    losses = train(method, toy_tasks(method.encoder.num_features))
    assert min(losses) >= math.log(2) - 1e-5


@EVERY_PRESET
def test_every_parameter_that_learns_gets_a_gradient(name):
    method = small(name)
    support, support_labels, query, query_labels = toy_tasks(method.encoder.num_features)
    # Two shots: what the write controller learns acts on the next write only, and its predictor's state one later.
    # Three steps: a predictor waits for its head to leave zero.
    train(method, (support.repeat(1, 2, 1), support_labels.repeat(1, 2), query, query_labels), steps=3)
    idle = {key for key, p in method.named_parameters() if p.requires_grad and (p.grad is None or not p.grad.any())}
    assert {key for key in idle if not key.startswith("encoder.")} == set()  # the toy gives features, not images


@EVERY_PRESET
def test_a_state_dict_makes_the_same_model_again(name):
    method, other = small(name), small(name)
    tasks = toy_tasks(method.encoder.num_features)
    train(method, tasks, steps=2)
    assert not torch.allclose(method(*tasks[:3]), other(*tasks[:3]))
    other.load_state_dict(method.state_dict())
    assert torch.equal(method(*tasks[:3]), other(*tasks[:3]))


def test_options_reach_the_parts():
    method = small("paper", compose="query", fast_controllers=("input", "write"), step_size=0.5, num_slots=4)
    assert isinstance(method, LiteralFastSlow)
    assert (method.memory.compose, method.memory.num_slots) == ("query", 4)
    sizes = {name: size().item() for name, size in method.step_sizes.items()}
    assert sizes == pytest.approx({"input": 0.5, "write": 0.5})
    assert len({id(p) for p in method.predictors.children()}) == 3


@pytest.mark.parametrize(
    ("name", "control"),
    [(name, control) for name in sorted(PRESETS) for control in CONTROLS["fastslow", name]],
)
def test_each_control_is_built_of_its_own_parts_and_shares_the_seeds_other_weights(name, control):
    method, plain = small(name, control=control), small(name)
    assert torch.equal(method.memory.initial_slots, plain.memory.initial_slots)
    assert torch.equal(method.decoder.weight, plain.decoder.weight)
    memory = type(method.memory)
    assert (memory is type(plain.memory)) == (control not in ("zero_read", "write_where_read"))
    if control == "fast_path_off":
        assert type(method) is {"default": KeyedNetwork, "paper": LiteralNetwork}[name]
        return
    predictor = method.predictor if name == "default" else method.predictors.write
    assert isinstance(predictor, controls.LabelOnly) == (control == "label_only")
    learns = control not in ("random_predictor", "true_gradient")
    assert all(p.requires_grad == learns for p in predictor.parameters())
    if name == "default":
        assert type(method) is (controls.RecallGradient if control == "true_gradient" else FastSlow)


def test_the_seed_decides_the_weights():
    one, same, other = (small("default", seed=seed) for seed in (0, 0, 1))
    slots = [method.memory.initial_slots for method in (one, same, other)]
    assert torch.equal(slots[0], slots[1])
    assert not torch.equal(slots[0], slots[2])


@pytest.mark.parametrize("projection", [0, 6])
def test_a_folded_image_encoder_equals_it_in_evaluation_mode(projection):
    torch.manual_seed(0)
    encoder = build_encoder(channels=(2, 3), residual=(True, False), image_size=8, projection=projection)
    images = torch.rand(8, 1, 8, 8)
    for _ in range(10):
        encoder(images)
    torch.nn.init.constant_(encoder.log_sharpness, 0.7)
    encoder.eval()
    assert encoder.num_features == (projection or 3 * 2 * 2)
    assert encoder(images).shape == (8, encoder.num_features)
    folded = encoder.folded()
    assert_close(folded(images), encoder(images), rtol=1e-5, atol=1e-5)
    assert torch.equal(folded.log_sharpness, encoder.log_sharpness)
    assert not any(p.requires_grad for p in folded.parameters())


def test_a_method_is_built_around_a_given_encoder():
    encoder = small("default").encoder
    other = build_method(preset("default", method="protonet", **SMALL["default"]), encoder)
    assert other.encoder is encoder
