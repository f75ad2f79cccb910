"""MAML one task after another on a copy of the modules themselves, with torch's own batch norm; values only."""

from __future__ import annotations

import copy

import torch
from torch import nn
from torch.nn import functional as F

from fastslow.methods import build_method
from fastslow.methods.base import Task
from fastslow.methods.config import preset

SIZES = {
    "plain": {"channels": (3, 4), "residual": (False, False), "projection": 0},
    "residual, projected": {"channels": (3, 4), "residual": (False, True), "projection": 5},
    "ceil": {"channels": (3, 4), "residual": (True, False), "projection": 0, "halving": "ceil"},
    "stride": {"channels": (3, 4), "residual": (False, True), "projection": 5, "halving": "stride"},
}


def make(method, sizes="plain", **changes):
    """A small method in double precision and training mode, every weight moved from where it starts."""
    generator = torch.Generator().manual_seed(1)
    torch.manual_seed(0)
    made = build_method(preset("paper", method=method, image_size=9, n_way=3, **SIZES[sizes], **changes)).double()
    for parameter in made.parameters():
        parameter.data.add_(0.1 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    return made.train()


def make_task(*, tasks=2, seed=0):
    """Random images of three classes, two of each and four queries."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(tasks, 10, 1, 9, 9, generator=generator, dtype=torch.float64)
    labels = torch.stack([torch.randperm(6, generator=generator) % 3 for _ in range(tasks)])
    return Task(images[:, :6], labels, images[:, 6:], torch.randint(3, (tasks, 4), generator=generator))


def adapted_weights(moved):
    """The weights that steps move, as `start` names them."""
    return list(moved.start().values())


def take_step(moved, support, labels, rates):
    """One gradient step in place; a rate for each weight."""
    moved.encoder.train()
    weights = adapted_weights(moved)
    loss = F.cross_entropy(moved.head(moved.encoder(support)), labels)
    for weight, grad, rate in zip(weights, torch.autograd.grad(loss, weights), rates, strict=True):
        weight.data.sub_(rate * grad)


@torch.no_grad()
def respond(moved, support, query):
    """Logits of a task's queries, under the statistics of the support set or, if transductive, of the queries."""
    moved = copy.deepcopy(moved)
    moved.encoder.train()
    if moved.transductive:
        return moved.head(moved.encoder(query))

    def keep(norm, inputs):
        values = inputs[0].transpose(0, 1).flatten(1)
        norm.running_mean, norm.running_var = values.mean(1), values.var(1, correction=0)

    for norm in moved.encoder.modules():
        if isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d):
            norm.register_forward_hook(lambda norm, inputs, _: keep(norm, inputs))
    moved.encoder(support)
    for norm in moved.encoder.modules():
        norm._forward_hooks.clear()
    return moved.head(moved.encoder.eval()(query))


def query_loss(moved, support, query, query_labels):
    """The mean cross entropy of `respond`."""
    return F.cross_entropy(respond(moved, support, query), query_labels)


def direction_of(method, seed=5):
    """A random direction in the space of the weights that training moves."""
    generator = torch.Generator().manual_seed(seed)
    parameters = method.parameters_of("end_to_end")
    return [torch.randn(p.shape, generator=generator, dtype=torch.float64) for p in parameters]


def shifted(method, direction, size):
    """A copy of a method, its weights moved along a direction."""
    moved = copy.deepcopy(method)
    for parameter, part in zip(moved.parameters_of("end_to_end"), direction, strict=True):
        parameter.data.add_(size * part)
    return moved


def slope_of(loss, method, direction, size=1e-6):
    """Derivative of a loss of a method along a direction, by its two sides."""
    return (loss(shifted(method, direction, size)) - loss(shifted(method, direction, -size))) / (2 * size)


def slope_by_autograd(method, task, direction):
    """The same of `Method.loss`, by its gradient."""
    parameters = method.parameters_of("end_to_end")
    grads = torch.autograd.grad(method.loss(task), parameters)
    return sum((grad * part).sum() for grad, part in zip(grads, direction, strict=True))
