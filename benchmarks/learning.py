"""Learning one task and answering its queries at batch 1, beside other few-shot learners on an encoder of that size.

What is timed of ours is what a user calls: `FewShotClassifier.learn` on images and labels, checks and all. The others
are functions on tensors that need no checks. Their encoders have their batch norm folded and, but for MAML's, which
changes, are packed. The encoder alone is timed as torch runs the model's, in evaluation mode, and packed as well.

- fastslow, eight views: the most accurate of the shipped models, whose encoder is wider and looks eight times.
- prototypical network: one pass of the encoder, the mean of each class.
- ANIL: one pass of the encoder, then gradient steps on a linear head, their gradient written out.
- MAML, first order: gradient steps on everything, a loop of `torch.autograd.grad` and steps in place, begun by copying
  the weights back. It is lean, but eager PyTorch: a compiled one would be quicker. Its folded batch norm spares it the
  statistics of each task.

Whoever encodes once is far quicker than MAML; that says nothing of ours beside the other two.
"""

from __future__ import annotations

import copy
import functools
from typing import Any

import torch
from checkouts import as_used, default_learner, shipped_classifier
from timing import Form
from torch import Tensor, nn
from torch.nn import functional as F

ENCODER, PACKED, OURS, ACCURATE = "encoder", "encoder, packed", "fastslow", "fastslow, eight views"
PROTOTYPES, ANIL, MAML = "prototypical network", "ANIL, 5 steps", "MAML, 5 steps"
LEARNERS = (OURS, PROTOTYPES, ANIL, MAML, ACCURATE)
ANSWERS = {name: f"{name}, + queries" for name in LEARNERS}
FORMS = (ENCODER, PACKED, *LEARNERS, *ANSWERS.values())
QUERIES_PER_CLASS = 15
STEPS, RATE = 5, 0.4


def drawings(count: int) -> Tensor:
    """Crosses of bright ink at random places, bytes, shape (count, 28, 28)."""
    images = torch.zeros(count, 28, 28, dtype=torch.uint8)
    for image, (row, column) in zip(images, torch.randint(8, 20, (count, 2)).tolist(), strict=True):
        image[row - 1 : row + 1, 5:23] = 255
        image[5:23, column - 1 : column + 1] = 255
    return images


class _Task:
    """Learners by name; each learns the support set and, if asked, answers the queries."""

    def __init__(self, n_way: int) -> None:
        torch.manual_seed(0)
        self.n_way, self.labels = n_way, torch.arange(n_way)
        images, query_images = drawings(n_way), drawings(QUERIES_PER_CLASS * n_way)
        self.support, self.queries = (drawn.unsqueeze(1) / 255 for drawn in (images, query_images))
        plain = default_learner(n_way).encoder.eval()
        folded = plain.folded()
        self.plain, self.encoder = plain, as_used(folded)
        self.by_name = {PROTOTYPES: self.prototypes, ANIL: self.anil, MAML: self.maml}
        for name, fast in ((OURS, True), (ACCURATE, False)):
            self.by_name[name] = functools.partial(self.ours, shipped_classifier(n_way, fast=fast))
        self.images, self.query_images = images.numpy(), query_images.numpy()
        self.names = [f"class {k}" for k in range(n_way)]
        self.adapted = nn.Sequential(copy.deepcopy(folded), nn.Linear(self.encoder.num_features, n_way))
        named = self.adapted.requires_grad_().named_parameters()
        self.parameters = [parameter for name, parameter in named if "log_sharpness" not in name]  # of prototypes alone
        self.start = [parameter.detach().clone() for parameter in self.parameters]

    def ours(self, classifier: Any, then_answer: bool) -> object:
        classifier.reset()
        classifier.learn(self.images, self.names)
        return classifier.predict(self.query_images) if then_answer else classifier

    @torch.inference_mode()
    def prototypes(self, then_answer: bool) -> Tensor:
        members = F.one_hot(self.labels, self.n_way).float()
        means = members.T @ self.encoder(self.support) / members.sum(0).unsqueeze(1)
        return -torch.cdist(self.encoder(self.queries), means) if then_answer else means

    @torch.inference_mode()
    def anil(self, then_answer: bool) -> Tensor:
        features, one_hot = self.encoder(self.support), F.one_hot(self.labels, self.n_way).float()
        weight, bias = self.start[-2].clone(), self.start[-1].clone()
        for _ in range(STEPS):
            error = (F.linear(features, weight, bias).softmax(-1) - one_hot) / len(features)
            weight.addmm_(error.T, features, alpha=-RATE)
            bias.sub_(error.sum(0), alpha=RATE)
        return F.linear(self.encoder(self.queries), weight, bias) if then_answer else weight

    def maml(self, then_answer: bool) -> object:
        with torch.no_grad():
            for parameter, value in zip(self.parameters, self.start, strict=True):
                parameter.copy_(value)
        for _ in range(STEPS):
            loss = F.cross_entropy(self.adapted(self.support), self.labels)
            grads = torch.autograd.grad(loss, self.parameters)
            with torch.no_grad():
                for parameter, grad in zip(self.parameters, grads, strict=True):
                    parameter.sub_(grad, alpha=RATE)
        with torch.no_grad():
            return self.adapted(self.queries) if then_answer else self.parameters

    @torch.inference_mode()
    def encode(self, encoder: nn.Module) -> Tensor:
        return encoder(self.support)


def make(form: str, n_way: int) -> Form:
    """One form of the work as a function without arguments."""
    task = _Task(n_way)
    if form in (ENCODER, PACKED):
        return functools.partial(task.encode, task.plain if form == ENCODER else task.encoder)
    answers = {with_queries: name for name, with_queries in ANSWERS.items()}
    learn: Any = task.by_name[answers.get(form, form)]
    return lambda: learn(form in answers)
