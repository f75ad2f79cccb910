import copy

import pytest
import torch
from torch.testing import assert_close

from fastslow.errors import InputError
from fastslow.estimators.fewshot import FewShotClassifier
from fastslow.methods import build_method, maml
from fastslow.methods.config import MAMLS, preset
from fastslow.methods.files import TrainedModel
from fastslow.methods.maml import PUBLISHED, published_inner_loop
from methods.maml_reference import (
    SIZES,
    adapted_weights,
    direction_of,
    make,
    make_task,
    query_loss,
    respond,
    slope_by_autograd,
    slope_of,
    take_step,
)

EVERY_SIZE = pytest.mark.parametrize("sizes", SIZES)
EVERY_CONTROL = pytest.mark.parametrize("control", ["none", "transductive"])


def stepped(method, support, labels, steps):
    """A copy of a method after the steps of one task."""
    moved = copy.deepcopy(method)
    for _ in range(steps):
        take_step(moved, support, labels, [method.rate] * len(adapted_weights(moved)))
    return moved


def loss_by_loops(method, task, steps):
    """The mean over tasks of the query loss after the steps."""
    losses = [
        query_loss(stepped(method, support, labels, steps), support, query, query_labels)
        for support, labels, query, query_labels in zip(*task[:4], strict=True)
    ]
    return torch.stack(losses).mean()


@EVERY_SIZE
@EVERY_CONTROL
@pytest.mark.parametrize("method", ["maml", "fomaml"])
def test_steps_are_gradient_descent_of_every_weight_and_queries_are_normalised_as_said(method, control, sizes):
    method, task = make(method, sizes, control=control).eval(), make_task()
    logits = method(task.support, task.support_labels, task.query)
    assert method.test_steps == 3
    for n in range(2):
        moved = stepped(method, task.support[n], task.support_labels[n], 3)
        assert_close(logits[n], respond(moved, task.support[n], task.query[n]))


@EVERY_SIZE
@EVERY_CONTROL
def test_training_goes_through_the_steps(control, sizes):
    method, task = make("maml", sizes, control=control), make_task()
    method.steps, direction = 2, direction_of(method)
    assert_close(method.loss(task), loss_by_loops(method, task, 2))
    slope = slope_of(lambda moved: loss_by_loops(moved, task, 2), method, direction)
    assert_close(slope_by_autograd(method, task, direction), slope, rtol=1e-5, atol=1e-7)


@EVERY_CONTROL
def test_the_first_order_is_the_gradient_where_the_steps_end(control):
    method, task = make("fomaml", "residual, projected", control=control), make_task()
    method.steps, direction = 2, direction_of(method)
    slopes = []
    for support, labels, query, query_labels in zip(*task[:4], strict=True):
        end = stepped(method, support, labels, 2)
        slopes.append(
            slope_of(lambda moved: query_loss(moved, support, query, query_labels), end, direction)  # noqa: B023
        )
    expected = torch.stack(slopes).mean()
    assert_close(slope_by_autograd(method, task, direction), expected, rtol=1e-5, atol=1e-7)
    exact = make("maml", "residual, projected", control=control)
    exact.steps = 2
    assert_close(exact.loss(task), method.loss(task))
    assert abs(slope_by_autograd(exact, task, direction) - expected) > 1e-3


def test_steps_are_those_of_the_paper():
    assert published_inner_loop(5) == (1, 0.4, 3)
    assert published_inner_loop(20) == (5, 0.1, 5)
    method, task = make("maml"), make_task()
    for training, steps in ((True, 1), (False, 3)):
        assert_close(method.train(training).loss(task), loss_by_loops(method, task, steps))


@pytest.mark.parametrize("name", MAMLS)
def test_steps_and_their_size_can_be_told(name):
    given = preset("paper", method=name, n_way=20, inner_steps=2, inner_rate=0.05)
    published = build_method(preset("paper", method=name, n_way=20))
    method = build_method(given)
    assert (method.steps, method.test_steps, method.rate) == (2, 2, 0.05)
    assert (published.steps, published.test_steps, published.rate) == (5, 5, 0.1)
    if name == "mamlpp":
        assert method.inner_rates.shape[0] == 2
        assert_close(method.inner_rates, torch.full_like(method.inner_rates, 0.05))
    few = build_method(preset("paper", method=name, inner_rate=0.05))
    assert few.rate == 0.05
    assert (few.steps, few.test_steps) == ((5, 5) if name == "mamlpp" else (1, 3))


def test_the_published_network_is_four_strided_convolutions():
    method = build_method(preset("paper", method="maml", **PUBLISHED))
    assert method.head.in_features == 256
    assert [block.conv.stride for block in method.encoder.encoder.blocks] == [(2, 2)] * 4
    assert len(method.start()) == 4 * 3 + 2


@EVERY_CONTROL
def test_running_averages_play_no_part_and_stay(control):
    method, task = make("maml", "residual, projected", control=control), make_task()
    logits = method(task.support, task.support_labels, task.query)
    for name, buffer in method.named_buffers():
        if "running" in name:
            buffer += 1
    before = {name: buffer.clone() for name, buffer in method.named_buffers()}
    assert torch.equal(method(task.support, task.support_labels, task.query), logits)
    assert all(torch.equal(buffer, before[name]) for name, buffer in method.named_buffers())


def test_only_the_transductive_answer_depends_on_the_other_queries():
    task = make_task()
    for control in ("none", "transductive"):
        method = make("maml", control=control)
        state = method.learn(task.support, task.support_labels)
        alone = method.answer(task.query[:, :1], state)
        together = method.answer(task.query, state)[:, :1]
        assert torch.allclose(alone, together) != method.transductive
        assert len(state.moments) == (0 if method.transductive else 2)


def test_a_support_set_in_parts_is_trained_on_as_the_whole():
    method, task = make("maml"), make_task()
    assert torch.equal(method.loss(task._replace(cut=2)), method.loss(task))


@pytest.mark.parametrize("method", ["maml", "mamlpp"])
def test_how_many_tasks_are_passed_side_by_side_changes_nothing(method, monkeypatch):
    method, task = make(method).eval(), make_task(tasks=5)
    with torch.no_grad():
        logits = method(task.support, task.support_labels, task.query)
        for images in (1, 14):
            monkeypatch.setattr(maml, "images_per_pass", lambda encoder, images=images: images)
            assert_close(method(task.support, task.support_labels, task.query), logits)


@pytest.mark.parametrize("method", ["maml", "fomaml", "mamlpp"])
def test_every_weight_that_training_moves_has_a_gradient(method):
    method, task = make(method, "residual, projected"), make_task()
    method.loss(task).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in method.parameters_of("end_to_end"))


@pytest.mark.parametrize("method", ["maml", "mamlpp"])
@EVERY_CONTROL
def test_without_a_support_set_the_network_answers_as_it_is(method, control):
    method, task = make(method, control=control), make_task()
    logits = method.answer(task.query, method.initial_state(2))
    assert logits.shape == (2, 4, 3)
    assert torch.isfinite(logits).all()


def test_images_of_another_size_are_refused():
    with pytest.raises(InputError, match=r"got images of shape \(1, 8, 8\); this encoder takes \(1, 9, 9\)"):
        make("maml").embed(torch.rand(2, 1, 8, 8, dtype=torch.float64))


def test_the_ready_made_learner_adapts_the_encoder_as_it_is():
    config = preset("paper", method="maml", image_size=28, n_way=3, **SIZES["residual, projected"])
    method = build_method(config).eval()
    images = torch.zeros(3, 28, 28)
    for number in range(3):
        images[number, 4 + 6 * number : 9 + 6 * number, 5:20] = 1
    learner = FewShotClassifier(TrainedModel(method, config, {}), ink="as_is").learn(images, ["a", "b", "c"])
    labels = torch.arange(3).unsqueeze(0)
    expected = method(images.view(1, 3, 1, 28, 28), labels, images.view(1, 3, 1, 28, 28))[0].argmax(-1)
    assert learner.predict(images) == ["abc"[number] for number in expected]
