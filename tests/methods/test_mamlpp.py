import copy

import pytest
import torch
from torch.testing import assert_close

from fastslow.methods.mamlpp import step_weights
from methods.maml_reference import (
    SIZES,
    direction_of,
    make,
    make_task,
    query_loss,
    shifted,
    slope_by_autograd,
    slope_of,
    take_step,
)

EVERY_SIZE = pytest.mark.parametrize("sizes", SIZES)
EVERY_CONTROL = pytest.mark.parametrize("control", ["none", "transductive"])


def make_annealed(done, sizes="plain", **changes):
    """A small method of three steps, so much of its annealing over."""
    method = make("mamlpp", sizes, **changes)
    method.steps = 3
    method.anneal(0.1 * done)
    return method


def steps_of(method, support, labels):
    """Copies of the method after each step of one task, each with the batch norm of that step."""
    moved, names = copy.deepcopy(method), [name for name, _ in method.encoder.named_parameters() if "norm" in name]
    for step in range(method.steps):
        for name, values in zip(names, method.norm_values, strict=True):
            moved.encoder.get_parameter(name).data.copy_(values[step])
        take_step(moved, support, labels, method.inner_rates[step].detach())
        yield copy.deepcopy(moved)


def loss_by_loops(method, task, shares):
    """The mean over tasks of the weighted query losses after each step."""
    losses = []
    for support, labels, query, query_labels in zip(*task[:4], strict=True):
        after = [query_loss(moved, support, query, query_labels) for moved in steps_of(method, support, labels)]
        losses.append(sum(share * loss for share, loss in zip(shares, after, strict=True)))
    return torch.stack(losses).mean()


def test_weights_of_the_losses_by_hand():
    assert step_weights(5, 0.0) == pytest.approx([0.2] * 5)
    assert step_weights(5, 0.5) == pytest.approx([0.1] * 4 + [0.6])
    assert step_weights(5, 0.99) == pytest.approx([0.006] * 4 + [0.976])
    assert step_weights(5, 1.0) == [0, 0, 0, 0, 1]
    assert step_weights(1, 0.3) == [1]


@EVERY_CONTROL
@EVERY_SIZE
@pytest.mark.parametrize(("done", "shares"), [(0.0, [1 / 3] * 3), (0.4, [0.2, 0.2, 0.6]), (1.0, [0.0, 0.0, 1.0])])
def test_the_loss_is_that_of_the_queries_after_each_step(done, shares, sizes, control):
    method, task = make_annealed(done, sizes, control=control), make_task()
    assert_close(method.loss(task), loss_by_loops(method, task, shares))


@EVERY_CONTROL
@EVERY_SIZE
def test_learning_ends_where_the_last_step_does(sizes, control):
    method, task = make_annealed(1.0, sizes, control=control), make_task()
    logits = method(task.support, task.support_labels, task.query)
    losses = torch.nn.functional.cross_entropy(logits.flatten(0, 1), task.query_labels.flatten())
    assert_close(losses, loss_by_loops(method, task, [0.0, 0.0, 1.0]))


@EVERY_CONTROL
@EVERY_SIZE
def test_once_annealed_the_gradient_goes_through_weights_rates_and_batch_norm_of_every_step(sizes, control):
    method, task = make_annealed(1.0, sizes, control=control), make_task()
    direction = direction_of(method)
    slope = slope_of(lambda moved: loss_by_loops(moved, task, [0.0, 0.0, 1.0]), method, direction)
    assert_close(slope_by_autograd(method, task, direction), slope, rtol=1e-5, atol=1e-7)


def test_at_first_the_gradient_takes_steps_for_constants():
    method, task = make_annealed(0.0), make_task()
    adapted = {id(weight) for weight in method.start().values()}
    direction = direction_of(method)
    for parameter, part in zip(method.parameters_of("end_to_end"), direction, strict=True):
        part *= id(parameter) in adapted
    slopes = []
    for support, labels, query, query_labels in zip(*task[:4], strict=True):
        for moved in steps_of(method, support, labels):
            sides = [query_loss(shifted(moved, direction, s), support, query, query_labels) for s in (1e-6, -1e-6)]
            slopes.append((sides[0] - sides[1]) / 2e-6)
    expected = torch.stack(slopes).mean()
    assert_close(slope_by_autograd(method, task, direction), expected, rtol=1e-5, atol=1e-7)


def test_annealing_is_over_when_a_tenth_of_the_training_is():
    method = make_annealed(0.0)
    for done, annealed in ((0.0, 0.0), (0.03, 0.3), (0.1, 1.0), (0.7, 1.0)):
        method.anneal(done)
        assert method.annealed == pytest.approx(annealed)
        assert method.is_first_order() == (done < 0.1)


def test_the_stage_begins_with_the_batch_norm_of_the_encoder():
    method = make("mamlpp", "residual, projected")
    method.begin("end_to_end")
    names = [name for name, _ in method.encoder.named_parameters() if "norm" in name]
    assert len(names) == len(method.norm_values) == 6
    for name, values in zip(names, method.norm_values, strict=True):
        assert values.shape[0] == 5
        assert torch.equal(values, method.encoder.get_parameter(name).expand_as(values))


def test_neither_the_encoders_own_batch_norm_nor_its_scale_of_distances_is_trained():
    method = make("mamlpp")
    moved = {id(p) for p in method.parameters_of("end_to_end")}
    rests = {name for name, p in method.named_parameters() if id(p) not in moved}
    assert rests == {
        "encoder.log_sharpness",
        *(f"encoder.encoder.blocks.{n}.norm.{kind}" for n in (0, 1) for kind in ("weight", "bias")),
    }
