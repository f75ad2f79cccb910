"""Small designs, ready to be tested, without an encoder: features of size 3 go in as they are."""

from __future__ import annotations

import torch
from torch import nn

from fastslow.core.encoders import ConvEncoder, ImageEncoder
from fastslow.core.keyed_memory import KeyedMemory
from fastslow.core.literal_memory import LiteralMemory
from fastslow.core.predictors import GradientPredictor, Predictors, StatelessPredictor
from fastslow.methods.default_rule import FastSlow
from fastslow.methods.networks import KeyedNetwork, LiteralNetwork
from fastslow.methods.paper_rule import LiteralFastSlow

DIM, CLASSES, SLOTS = 3, 4, 4


def encoder():
    """An encoder that would change what it saw, to see that it is not asked."""
    return ImageEncoder(ConvEncoder(channels=(DIM,), image_size=2), None)


def _ready(method, predictors):
    """In float64, no weight at its start; predictors do not say zero any more."""
    method.double()
    with torch.no_grad():
        for part in (method.memory, method.decoder):
            for parameter in part.parameters():
                parameter.add_(0.5 * torch.randn(parameter.shape, dtype=torch.float64))
        for predictor in predictors:
            nn.init.normal_(predictor.head.weight)
    return method


def make_default(*, ready=True, memory=KeyedMemory, rule=FastSlow, step_size=1.3, wrap=None):
    torch.manual_seed(0)
    made, decoder = memory(dim=DIM, num_slots=SLOTS), nn.Linear(DIM, CLASSES)
    predictor = StatelessPredictor(dim=DIM, target_size=CLASSES, hidden_size=5)
    method = rule(
        encoder=encoder(), memory=made, decoder=decoder, predictor=wrap(predictor) if wrap else predictor,
        step_size=step_size,
    )  # fmt: skip
    return _ready(method, [predictor] if ready else [])


def make_paper(*, ready=True, memory=LiteralMemory, share=False, compose="literal", step_size=0.7, **options):
    torch.manual_seed(0)
    made = memory(input_size=DIM, dim=DIM, num_slots=SLOTS, compose=compose)
    decoder = nn.Linear(DIM, CLASSES)
    predictors = [GradientPredictor(dim=DIM, target_size=CLASSES, hidden_size=5) for _ in range(1 if share else 3)]
    predictors = predictors * 3 if share else predictors
    method = LiteralFastSlow(
        encoder=encoder(), memory=made, decoder=decoder, predictors=Predictors(*predictors), step_size=step_size,
        **options,
    )  # fmt: skip
    return _ready(method, predictors if ready else [])


def make_plain(kind, **options):
    torch.manual_seed(0)
    if kind is KeyedNetwork:
        memory = KeyedMemory(dim=DIM, num_slots=SLOTS)
    else:
        memory = LiteralMemory(input_size=DIM, dim=DIM, num_slots=SLOTS, **options)
    return _ready(kind(encoder=encoder(), memory=memory, decoder=nn.Linear(DIM, CLASSES)), [])


DESIGNS = {
    "default": make_default,
    "paper": make_paper,
    "paper, query": lambda **options: make_paper(compose="query", **options),
    "paper, write controller alone": lambda **options: make_paper(
        compose="query", fast_controllers=("write",), **options
    ),
}


def tasks(num_support=4, num_query=3, batch=2, seed=0):
    generator = torch.Generator().manual_seed(seed)
    support = torch.randn(batch, num_support, DIM, generator=generator, dtype=torch.float64)
    labels = torch.randint(0, CLASSES, (batch, num_support), generator=generator)
    return support, labels, torch.randn(batch, num_query, DIM, generator=generator, dtype=torch.float64)


__all__ = [
    "CLASSES", "DESIGNS", "DIM", "SLOTS", "KeyedNetwork", "LiteralNetwork", "make_default", "make_paper", "make_plain",
    "tasks",
]  # fmt: skip
