"""One battery for all registered methods under every preset and control: a new one is tested by being listed."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from fastslow.errors import InputError
from fastslow.methods import build_method
from fastslow.methods.base import Task
from fastslow.methods.config import METHODS, PRESETS, controls_of, preset, refuse_overfull
from fastslow.methods.files import TrainedModel, load_model, save_model
from fastslow.methods.networks import KeyedNetwork

# Measured without coverage, which takes half as long again: what it runs is covered by the tests of its parts.
pytestmark = pytest.mark.no_cover

CASES = [(method, name, control) for method in METHODS for name in PRESETS for control in controls_of(method, name)]
TASKS, SHOT, QUERIES = 2, 2, 4
every_method = pytest.mark.parametrize("case", CASES, ids="-".join)
#: Methods whose own weights, beside the encoder's, compare features and know no class by its number.
COMPARING = ("relation",)


def config_of(case):
    method, name, control = case
    sizes = {"channels": (4, 8), "residual": (False, True), "projection": 16, "dim": 16, "predictor_hidden": 8}
    return preset(name, method=method, control=control, image_size=8, n_way=3, num_slots=8, **sizes)


def build(case):
    """A small method, every weight of it moved from where it starts: a predictor at zero would hide its mistakes."""
    generator = torch.Generator().manual_seed(1)
    torch.manual_seed(0)
    method = build_method(config_of(case)).eval()
    for parameter in method.parameters():
        parameter.data.add_(0.2 * torch.randn(parameter.shape, generator=generator, dtype=torch.float32))
    return quick(method)


def quick(method):
    """A method that takes gradient steps for each task takes few of them here."""
    for name, few in (("steps", 2), ("test_steps", 1)):
        if hasattr(method, name):
            setattr(method, name, few)
    return method


def task_of(method, *, tasks=TASKS, shot=SHOT, seed=0):
    """Drawings that overlap, as features in the method's own way, with every class in each support set."""
    generator = torch.Generator().manual_seed(seed)
    ways = method.num_classes
    labels = [torch.arange(ways).repeat(shot)[torch.randperm(ways * shot, generator=generator)] for _ in range(tasks)]
    support_labels = torch.stack(labels)
    query_labels = torch.randint(ways, (tasks, QUERIES), generator=generator)
    drawings = torch.rand(tasks, ways, 1, 8, 8, generator=generator)

    def seen(labels: Tensor) -> Tensor:
        chosen = drawings[torch.arange(tasks).unsqueeze(1), labels]
        images = (chosen + 0.3 * torch.rand(chosen.shape, generator=generator)).flatten(0, 1)
        with torch.no_grad():
            return method.embed(images).unflatten(0, labels.shape)

    return Task(seen(support_labels), support_labels, seen(query_labels), query_labels)


def answers(method, task):
    return method(task.support, task.support_labels, task.query).detach()


def tensors_of(state):
    """Every tensor of a state, whatever it is made of."""
    if isinstance(state, Tensor):
        return [state]
    parts = state.values() if isinstance(state, dict) else state if isinstance(state, tuple | list) else []
    return [tensor for part in parts for tensor in tensors_of(part)]


@every_method
def test_there_is_a_finite_logit_for_each_class_that_was_shown(case):
    method = build(case)
    logits = answers(method, task_of(method))
    assert logits.shape == (TASKS, QUERIES, 3)
    assert torch.isfinite(logits).all()
    assert not torch.equal(logits[0], logits[1])


@every_method
def test_each_query_is_answered_as_if_alone_unless_the_method_says_that_others_matter(case):
    method = build(case)
    task = task_of(method)
    state = method.learn(task.support, task.support_labels)
    logits = method.answer(task.query, state)
    alone = torch.cat([method.answer(task.query[:, n : n + 1], state) for n in range(QUERIES)], 1)
    if method.transductive:
        assert (alone - logits).abs().max() > 0.1
    else:
        assert_close(alone, logits)
    assert_close(method.answer(task.query.flip(1), state).flip(1), logits)


@every_method
def test_tasks_side_by_side_do_not_touch(case):
    method = build(case)
    task = task_of(method, tasks=3)
    alone = [answers(method, Task(*(part[n : n + 1] for part in task[:4]))) for n in range(3)]
    assert_close(torch.cat(alone), answers(method, task))


@every_method
def test_a_support_set_in_two_parts_is_the_whole_one(case):
    method = build(case)
    blind = isinstance(method, KeyedNetwork) and method.memory.examples_at_once > 1  # those of a part to each other
    task = task_of(method)
    state = None
    for part, labels in zip(task.support.split(4, 1), task.support_labels.split(4, 1), strict=True):
        state = method.learn(part, labels, state)
    nearly = {"atol": 0.01, "rtol": 0.0} if blind else {}
    assert_close(method.answer(task.query, state).detach(), answers(method, task), **nearly)


def test_an_easy_support_set_in_two_parts_is_answered_as_the_whole_one():
    method = load_model("pretrained:omniglot-5w1s-fast").method
    generator = torch.Generator().manual_seed(0)
    centres = 2 * torch.randn(8, 5, method.encoder.num_features, generator=generator)
    labels = torch.arange(5).repeat(8, 2)
    near = centres[:, torch.arange(5).repeat(2)]
    support, query = (near + 0.2 * torch.randn(near.shape, generator=generator) for _ in range(2))
    state = None
    for part, part_labels in zip(support.split(3, 1), labels.split(3, 1), strict=True):
        state = method.learn(part, part_labels, state)
    assert torch.equal(method.answer(query, state).argmax(-1), labels)
    assert torch.equal(method(support, labels, query).argmax(-1), labels)


@every_method
@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda labels: labels.int(), "give one int64 label per example"),
        (lambda labels: labels.double(), "give one int64 label per example"),
        (lambda labels: labels[:, 1:], "give one int64 label per example"),
        (lambda labels: labels[0], "give one int64 label per example"),
        (lambda labels: labels + 1, "from 1 to 3; this model tells 3 classes apart"),
        (lambda labels: labels - 1, "from -1 to 1; this model tells 3 classes apart"),
    ],
    ids=["int32", "float", "too-few", "no-task-axis", "too-high", "negative"],
)
def test_wrong_labels_are_refused_before_anything_is_learned(case, wrong, message, as_users_call_it):
    method = build(case)
    task = task_of(method)
    state = method.learn(task.support, task.support_labels)
    before = [tensor.clone() for tensor in tensors_of(state)]
    with pytest.raises(InputError, match=message):
        method.learn(task.support, wrong(task.support_labels), state)
    assert all(torch.equal(old, new) for old, new in zip(before, tensors_of(state), strict=True))


@every_method
def test_neither_learning_nor_answering_changes_what_was_known(case):
    method = build(case)
    task = task_of(method)
    state = method.learn(task.support, task.support_labels)
    weights = {name: value.clone() for name, value in method.state_dict().items()}
    before = [tensor.clone() for tensor in tensors_of(state)]
    logits = method.answer(task.query, state)
    method.learn(task.support.flip(1), task.support_labels, state)
    assert before
    assert all(torch.equal(old, new) for old, new in zip(before, tensors_of(state), strict=True))
    assert all(torch.equal(weights[name], value) for name, value in method.state_dict().items())
    assert torch.equal(method.answer(task.query, state), logits)


@every_method
def test_nothing_is_known_at_first(case):
    method = build(case)
    task = task_of(method)
    state = method.learn(task.support, task.support_labels, method.initial_state(TASKS))
    assert torch.equal(method.answer(task.query, state).detach(), answers(method, task))


@every_method
def test_learning_works_where_autograd_is_switched_off_and_does_without_it_where_it_says_so(case, monkeypatch):
    method = build(case)
    task = task_of(method)
    expected = answers(method, task)
    method.requires_grad_(False)
    if not method.needs_autograd:

        def refuse(*_args, **_kwargs):
            raise AssertionError("autograd was called")

        for owner, name in ((torch.autograd, "grad"), (torch.Tensor, "backward"), (torch.func, "grad")):
            monkeypatch.setattr(owner, name, refuse)
        logits = method(task.support, task.support_labels, task.query)
        assert not logits.requires_grad
        assert_close(logits, expected)
    method.requires_grad_(True)
    with torch.inference_mode():
        logits = method(task.support, task.support_labels, task.query)
    assert not logits.requires_grad
    assert_close(logits, expected)


@every_method
def test_a_saved_method_is_the_one_that_is_loaded(case, tmp_path):
    method, config = build(case), config_of(case)
    save_model(tmp_path / "model.safetensors", TrainedModel(method, config, {}))
    loaded = load_model(tmp_path / "model.safetensors")
    task = task_of(method)
    assert loaded.config == config
    assert type(loaded.method) is type(method)
    assert torch.equal(answers(quick(loaded.method), task), answers(method, task))


@pytest.mark.parametrize("case", [case for case in CASES if config_of(case).capacity is not None], ids="-".join)
def test_a_full_memory_keeps_every_example(case):
    method = build(case)
    capacity = method.capacity
    support, labels = torch.randn(1, capacity, method.encoder.num_features), torch.arange(capacity).unsqueeze(0) % 3
    refuse_overfull(capacity, capacity)
    with pytest.raises(
        InputError, match=f"got {capacity + 1} examples in a task; this model's memory holds {capacity}"
    ):
        refuse_overfull(capacity + 1, capacity)
    whole = tensors_of(method.learn(support, labels))
    for n in range(capacity):
        other = support.clone()
        other[:, n] += 1
        changed = tensors_of(method.learn(other, labels))
        assert any(not torch.equal(a, b) for a, b in zip(whole, changed, strict=True))


# Without the fast path, a configuration is that of the design that it stands beside.
@pytest.mark.parametrize("case", [case for case in CASES if case[2] != "fast_path_off"], ids="-".join)
def test_a_configuration_says_the_capacity_of_what_it_builds(case):
    assert config_of(case).capacity == build(case).capacity


@every_method
def test_renamed_classes_are_answered_under_their_new_names_unless_weights_are_of_their_numbers(case):
    method = build(case)
    beside = {id(p) for p in method.parameters()} - {id(p) for p in method.encoder.parameters()}
    task = task_of(method)
    names = torch.tensor([2, 0, 1])
    renamed = method(task.support, names[task.support_labels], task.query)[..., names]
    if beside and case[0] not in COMPARING:
        assert (renamed - answers(method, task)).abs().max() > 0.01
    else:
        assert_close(renamed, method(task.support, task.support_labels, task.query))


@every_method
def test_double_precision_says_the_same(case):
    method = build(case)
    task = task_of(method)
    exact = Task(*(part.double() if part.is_floating_point() else part for part in task[:4]))
    single = answers(method, task)
    double = answers(method.double(), exact)
    assert double.dtype == torch.float64
    assert_close(double.float(), single, atol=1e-3, rtol=1e-3)


@every_method
def test_torchs_global_defaults_play_no_part(case):
    method = build(case)
    task = task_of(method)
    expected = answers(method, task)
    torch.set_default_dtype(torch.float64)
    try:
        with torch.device("meta"):
            logits = answers(method, task)
    finally:
        torch.set_default_dtype(torch.float32)
    assert torch.equal(logits, expected)


@every_method
def test_every_stage_has_weights_to_move_and_makes_its_loss_smaller(case):
    method = build(case)
    task = task_of(method, tasks=4)
    images = torch.rand(6, 2, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    assert method.stages
    for stage in method.stages:
        method.begin(stage)
        parameters = method.parameters_of(stage)
        assert parameters
        assert {id(p) for p in parameters} <= {id(p) for p in method.parameters()}
        assert all(p.requires_grad for p in parameters)
        optimizer = torch.optim.Adam(parameters, lr=0.003)
        losses = []
        for _ in range(20):
            features = method.encoder(images.flatten(0, 1)).unflatten(0, (6, 2)) if stage == "encoder" else None
            loss = method.loss(task) if features is None else method.pair_loss(features)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        assert losses[-1] < losses[0]
