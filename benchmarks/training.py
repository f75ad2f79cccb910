"""Meta-training end to end: drawing tasks, forward, backward, clipping and optimiser; beside the encoder's work alone.

What the encoder does alone is a forward and a backward pass over as many images, in memory already.
"""

from __future__ import annotations

import torch
from checkouts import default_learner
from timing import Form
from torch import nn
from torch.nn import functional as F

from fastslow.data.episodes import EpisodeSampler

BARE, FULL = "encoder alone", "fastslow"
FORMS = (BARE, FULL)
#: Tasks a step by ways; one query a class.
TASKS = {5: 16, 20: 4}
CLASSES, PER_CLASS = 964, 20
CLIP = 1.0


def make(form: str, n_way: int) -> Form:
    """One form of the work as a function without arguments."""
    tasks = TASKS[n_way]
    learner = default_learner(n_way)
    torch.manual_seed(0)
    encoder = learner.encoder.eval()
    images = torch.randint(0, 256, (CLASSES * PER_CLASS, 28, 28), dtype=torch.uint8)
    labels = torch.arange(CLASSES).repeat_interleave(PER_CLASS)
    sampler = EpisodeSampler(labels=labels, n_way=n_way, n_shot=1, n_query=1, seed=0)
    optimiser = torch.optim.AdamW(learner.module.parameters(), lr=1e-3)
    ready = images[: tasks * 2 * n_way].unsqueeze(1) / 255

    def bare() -> None:
        encoder.zero_grad()
        encoder(ready).square().mean().backward()

    def full() -> None:
        batch = sampler.sample(tasks)
        drawn = torch.cat([batch.support_indices, batch.query_indices], 1)
        features = encoder(images[drawn.flatten()].unsqueeze(1) / 255).unflatten(0, drawn.shape)
        support, query = features.split([n_way, n_way], 1)
        logits = learner.answers(support, batch.support_labels, query)
        loss = F.cross_entropy(logits.flatten(0, 1), batch.query_labels.flatten())
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(learner.module.parameters(), CLIP)
        optimiser.step()

    return {BARE: bare, FULL: full}[form]
