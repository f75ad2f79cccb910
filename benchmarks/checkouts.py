"""What the benchmarks need of the library, under the names of this checkout or of an older one (`against.py`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

import fastslow


class Learner(NamedTuple):
    """The default preset's model: all of it, its encoder, and its answers to (support, labels, query) features."""

    module: nn.Module
    encoder: Any
    answers: Callable[[Tensor, Tensor, Tensor], Tensor]


def default_learner(n_way: int) -> Learner:
    torch.manual_seed(0)
    config = fastslow.preset("default", n_way=n_way)
    if hasattr(fastslow, "build_method"):
        method = fastslow.build_method(config)
        return Learner(method, method.encoder, method)
    learner = fastslow.build_learner(config)
    return Learner(learner, learner.network.encoder, learner)


def as_used(encoder: Any) -> Any:
    """A folded encoder as `FewShotClassifier` has it."""
    try:
        from fastslow.core.packed import packed
    except ImportError:  # an older checkout
        return encoder
    return packed(encoder)


def shipped_classifier(n_way: int, *, fast: bool) -> Any:
    """The shipped learner of 1-shot tasks: the small one (an older checkout has no other), or the most accurate."""
    name = f"omniglot-{n_way}w1s"
    return fastslow.load_pretrained(f"{name}-fast" if fast and f"{name}-fast" in fastslow.pretrained_names() else name)


def literal_memory(width: int, num_slots: int) -> Any:
    torch.manual_seed(0)
    name = "LiteralMemory" if hasattr(fastslow, "LiteralMemory") else "NeuralMemory"
    return getattr(fastslow, name)(input_size=width, dim=width, num_slots=num_slots)


def default_memory(width: int, num_slots: int) -> tuple[nn.Module, Callable[[Tensor, int], Tensor]]:
    """The default preset's memory, and its plain loop over features (batch, time, width): the last outputs, stacked."""
    torch.manual_seed(0)
    if not hasattr(fastslow, "KeyedMemory"):
        memory = fastslow.NeuralMemory(
            input_size=width, dim=width, num_slots=num_slots, compose="query", slots="keyed", similarity="euclidean",
            write_policy="least_used", recurrent=False, residual_query=True, skip_empty=True,
        )  # fmt: skip
        return memory, lambda features, batch: plain_loop(memory, features, memory.initial_state(batch))[0]
    keyed = fastslow.KeyedMemory(dim=width, num_slots=num_slots)

    def loop(features: Tensor, batch: int) -> Tensor:
        state, outputs = keyed.initial_state(batch), []
        for step in features.split(1, 1):
            look = keyed.look(step, state)
            state = keyed.store(look, keyed.write_controller(look.write_input), state)
            outputs.append(look.output)
        return torch.cat(outputs, 1)

    return keyed, loop


def plain_loop(memory: Any, features: Tensor, state: Any) -> tuple[Tensor, Any]:
    outputs = []
    for step_features in features.unbind(1):
        output, state = memory(step_features, state)
        outputs.append(output)
    return torch.stack(outputs, 1), state
