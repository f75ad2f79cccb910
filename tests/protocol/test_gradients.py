import pytest
import torch
from torch.nn import functional as F

from fastslow.methods import build_method
from fastslow.methods.base import Task
from fastslow.methods.config import preset
from fastslow.protocol.gradients import gradient_quality_of


def method_of(name="default", **changes):
    sizes = {"channels": (4, 8), "residual": (False, True), "projection": 16, "dim": 16, "predictor_hidden": 8}
    torch.manual_seed(0)
    method = build_method(preset(name, image_size=8, n_way=3, **{**sizes, **changes}))
    for parameter in method.parameters():
        parameter.data += 0.2 * torch.randn_like(parameter)
    return method


def task(num_support=6):
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(num_support).expand(2, -1) % 3
    support, query = (torch.randn(2, n, 16, generator=generator) for n in (num_support, 4))
    return Task(support, labels, query, torch.tensor([[0, 1, 2, 0], [2, 1, 0, 0]]))


@pytest.mark.parametrize(("name", "controllers"), [("default", {"write"}), ("paper", {"input", "output", "write"})])
def test_every_controller_that_learns_fast_is_measured(name, controllers):
    quality = gradient_quality_of(method_of(name), task())
    assert set(quality) == controllers
    for numbers in quality.values():
        assert set(numbers) == {"cosine", "relative_error", "predicted_norm", "true_norm"}
        assert -1 <= numbers["cosine"] <= 1
        assert numbers["true_norm"] > 0


def test_the_true_gradient_is_that_of_the_query_loss_by_what_was_written():
    method, given = method_of(), task()
    [step], state = method.learn_steps(given.support, given.support_labels)
    logits = method.answer(given.query, state)
    loss = F.cross_entropy(logits.flatten(0, 1), given.query_labels.flatten(), reduction="sum")
    [true] = torch.autograd.grad(loss, step.activations["write"])
    quality = gradient_quality_of(method, given)["write"]
    assert quality["true_norm"] == pytest.approx(true.flatten(0, -2).norm(dim=-1).mean().item())
    predicted = step.synthetic_grads["write"].detach()
    assert quality["cosine"] == pytest.approx(F.cosine_similarity(predicted, true, dim=-1).mean().item(), abs=1e-5)


def test_the_true_gradient_of_the_write_controller_is_that_of_the_vector_written():
    # Predictors that see the label only: the write vector before its update reaches nothing.
    quality = gradient_quality_of(method_of(control="label_only"), task())
    assert quality["write"]["true_norm"] > 0


def test_a_support_set_in_parts_of_different_sizes():
    # A set of six goes in parts of four and two.
    assert set(gradient_quality_of(method_of(num_slots=4), task())) == {"write"}


def test_a_controller_that_the_loss_does_not_depend_on_is_left_out():
    method = method_of()
    method.answer = lambda examples, state: method.decoder(examples)  # asks nothing of what was learned
    assert gradient_quality_of(method, task()) == {}


def test_a_method_without_a_fast_path_has_nothing_to_measure():
    assert gradient_quality_of(method_of().without_fast_path(), task()) == {}


def test_nothing_is_left_behind():
    method = method_of()
    with torch.no_grad():
        quality = gradient_quality_of(method, task())
    assert quality == gradient_quality_of(method, task())
    assert all(parameter.grad is None for parameter in method.parameters())
