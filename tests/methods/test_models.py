import dataclasses
import math

import pytest
import torch
from torch.nn import functional as F
from torch.testing import assert_close

from fastslow.errors import InputError
from fastslow.methods.models import PRESETS, ModelConfig, build_encoder, build_learner, preset

#: Sizes that make each preset quick, everything else as it is.
SMALL = {
    "paper": {"channels": (2, 2, 8), "image_size": 8, "n_way": 2, "dim": 16, "predictor_hidden": 16},
    "default": {
        "channels": (2, 2, 8),
        "image_size": 8,
        "n_way": 2,
        "dim": 16,
        "projection": 16,
        "num_slots": 6,
        "predictor_hidden": 16,
    },
}
EVERY_PRESET = pytest.mark.parametrize("name", sorted(PRESETS))


def small(name, **changes):
    torch.manual_seed(0)
    return build_learner(preset(name, **{**SMALL[name], **changes}))


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


def train(learner, tasks, steps=30):
    """Adam on the query loss; the losses."""
    support, support_labels, query, query_labels = tasks
    optimiser = torch.optim.Adam([p for p in learner.parameters() if p.requires_grad], lr=0.02)
    losses = []
    for _ in range(steps):
        loss = F.cross_entropy(learner(support, support_labels, query).flatten(0, 1), query_labels.flatten())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    return losses


def test_the_paper_preset_is_the_papers_text():
    paper = preset("paper")
    assert paper == ModelConfig()
    assert (paper.channels, paper.num_slots, paper.projection) == ((64, 64, 64), 10, 0)
    assert (paper.compose, paper.slots, paper.similarity, paper.write_policy) == ("literal", "shared", "dot", "read")
    assert paper.fast_controllers == ("input", "output", "write")
    assert paper.recurrent
    assert (paper.order, paper.support) == ("write_then_update", "stream")


@EVERY_PRESET
def test_a_preset_builds_at_full_size(name):
    config = preset(name)
    learner = build_learner(config)
    memory = learner.network.memory
    assert memory.input_controller.input_size == learner.network.encoder.num_features
    assert memory.num_slots == config.num_slots
    assert learner.num_classes == config.n_way


@EVERY_PRESET
def test_a_preset_learns_and_answers_images(name):
    learner = small(name).eval()
    images = torch.rand(2 * 5, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    features = learner.network.encoder(images).reshape(2, 5, -1)
    steps, state = learner.learn(features[:, :2], torch.tensor([[0, 1], [1, 0]]))
    logits = learner.answer(features[:, 2:], state)
    assert len(steps) == (1 if learner.support == "set" else 2)
    assert logits.shape == (2, 3, 2)
    assert torch.isfinite(logits).all()


@EVERY_PRESET
def test_a_preset_learns_to_learn_from_the_support_set(name):
    learner = small(name)
    losses = train(learner, toy_tasks(learner.network.encoder.num_features))
    assert losses[0] == pytest.approx(math.log(2), abs=0.1)
    assert losses[-1] < 0.75 * math.log(2)


@EVERY_PRESET
def test_without_the_fast_path_a_preset_stays_at_chance(name):
    learner = small(name, fast_controllers=())
    losses = train(learner, toy_tasks(learner.network.encoder.num_features))
    assert min(losses) >= math.log(2) - 1e-5


@EVERY_PRESET
def test_every_parameter_that_learns_gets_a_gradient(name):
    learner = small(name)
    support, support_labels, query, query_labels = toy_tasks(learner.network.encoder.num_features)
    # Two shots: what the write controller learns acts on the next write only, and its predictor's state one later.
    # Three steps: a predictor's LSTM waits for its head to leave zero.
    tasks = (support.repeat(1, 2, 1), support_labels.repeat(1, 2), query, query_labels)
    train(learner, tasks, steps=3)
    idle = {key for key, p in learner.named_parameters() if p.requires_grad and (p.grad is None or not p.grad.any())}
    # The toy gives features, not images; what does not learn fast does not ask its predictor.
    unused = [f"predictors.{c}." for c in ("input", "output", "write") if c not in learner.fast_controllers]
    assert {key for key in idle if not key.startswith(("network.encoder.", *unused))} == set()


@EVERY_PRESET
def test_a_state_dict_makes_the_same_model_again(name):
    learner, other = small(name), small(name)
    tasks = toy_tasks(learner.network.encoder.num_features)
    train(learner, tasks, steps=2)
    assert not torch.allclose(learner(*tasks[:3]), other(*tasks[:3]))
    other.load_state_dict(learner.state_dict())
    assert torch.equal(learner(*tasks[:3]), other(*tasks[:3]))


def test_options_reach_the_parts():
    learner = small(
        "paper",
        compose="query",
        slots="keyed",
        similarity="euclidean",
        write_policy="least_used",
        recurrent=False,
        order="update_then_write",
        support="set",
        fast_bias=False,
        zero_read=True,
        fast_controllers=("input", "write"),
        step_sizes=(0.5, 1.0, 2.0),
        predictor="label_only",
        num_slots=4,
    )
    memory = learner.network.memory
    assert (memory.compose, memory.slots, memory.similarity) == ("query", "keyed", "euclidean")
    assert (memory.write_policy, memory.num_slots, memory.input_controller.recurrent) == ("least_used", 4, False)
    assert (learner.order, learner.support) == ("update_then_write", "set")
    assert (learner.fast_bias, learner.zero_read) == (False, True)
    assert {key: alpha.exp().item() for key, alpha in learner.log_alpha.items()} == pytest.approx(
        {"input": 0.5, "write": 2.0}
    )
    assert learner.predictors.write.kind == "label_only"
    assert not learner.predictors.write.lstm.recurrent
    assert len({id(p) for p in learner.predictors.children()}) == 3


def test_the_lifetime_of_fast_weights_reaches_the_learner():
    assert small("default").fast_lifetime == "step"
    assert small("default", fast_lifetime="task").fast_lifetime == "task"


def test_the_seed_decides_the_weights():
    one, same = small("default"), small("default")
    torch.manual_seed(1)
    other = build_learner(preset("default", **SMALL["default"]))
    slots = [learner.network.memory.initial_slots for learner in (one, same, other)]
    assert torch.equal(slots[0], slots[1])
    assert not torch.equal(slots[0], slots[2])


@pytest.mark.parametrize("projection", [0, 6])
def test_a_folded_image_encoder_equals_it_in_evaluation_mode(projection):
    torch.manual_seed(0)
    encoder = build_encoder(
        preset("paper", channels=(2, 3), residual=(True, False), image_size=8, projection=projection)
    )
    images = torch.rand(8, 1, 8, 8)
    for _ in range(10):
        encoder(images)
    encoder.eval()
    assert encoder.num_features == (projection or 3 * 2 * 2)
    assert encoder(images).shape == (8, encoder.num_features)
    assert_close(encoder.folded()(images), encoder(images), rtol=1e-5, atol=1e-5)


def test_a_preset_with_changes_leaves_the_preset_alone():
    assert preset("default", dim=7).dim == 7
    assert preset("default").dim == PRESETS["default"].dim != 7
    with pytest.raises(dataclasses.FrozenInstanceError):
        preset("default").dim = 3


def test_refusals():
    with pytest.raises(InputError, match=r"no preset 'papr'; choose from \['default', 'paper'\]"):
        preset("papr")
    with pytest.raises(InputError, match=r"no option \['dims'\]; its options are \['channels', "):
        preset("paper", dims=3)
    with pytest.raises(InputError, match="inputs of 8 features to queries of 16; make input_size equal dim"):
        small("default", projection=8)
