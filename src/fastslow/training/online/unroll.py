"""Eqs. 1-8 over a window, by the quick form where there is one and step by step elsewhere."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from fastslow.core.literal_memory import ControllerStep, MemoryNetwork
from fastslow.core.memory import MemoryState
from fastslow.core.sequence.function import runs_quickly
from fastslow.core.sequence.window import Probes, Trace, memory_window
from fastslow.methods.config import CONTROLLERS


class Unrolled(NamedTuple):
    """One window through the network; dicts are by controller.

    Attributes:
        logits: shape (window, batch, outputs).
        traces: what each controller read and answered, cut from the graph.
        anchors: where in the graph the gradient at a_t is found: tensors of shape (batch, dim), one per step, or one of
            shape (steps, batch, dim).
        memory: the state after the window, in the graph.
    """

    logits: Tensor
    traces: dict[str, Trace]
    anchors: dict[str, list[Tensor]]
    memory: MemoryState


def unroll(network: MemoryNetwork, inputs: Tensor, state: MemoryState) -> Unrolled:
    """A window of inputs, shape (window, batch, ...), from a state; the encoder sees all its examples as one batch."""
    features = network.encoder(inputs.flatten(0, 1)).unflatten(0, inputs.shape[:2])
    # One step is not quicker, and its write controller would get a gradient of zeros in place of none.
    quick = len(features) > 1 and torch.is_grad_enabled() and runs_quickly(network.memory, features)
    return (_quickly if quick else _step_by_step)(network, features, state)


def _quickly(network: MemoryNetwork, features: Tensor, state: MemoryState) -> Unrolled:
    probes = Probes.zeros(network.memory, len(features), features.shape[1])
    # The last write vector acts only after the window: no gradient, which is other than a gradient of zero.
    write = probes.write[:-1].detach().requires_grad_()
    padded = probes._replace(write=F.pad(write, (0, 0, 0, 0, 0, 1)))
    window = memory_window(network.memory, features, state, padded)
    anchors = {"input": [probes.input], "output": [probes.output], "write": [write]}
    traces = dict(zip(CONTROLLERS, window[2:], strict=True))
    return Unrolled(network.decoder(window.outputs), traces, anchors, window.state)


def _step_by_step(network: MemoryNetwork, features: Tensor, state: MemoryState) -> Unrolled:
    steps: dict[str, list[ControllerStep]] = {name: [] for name in CONTROLLERS}
    memory = network.memory
    for step_features in features:
        look = memory.look(step_features, state)
        write = memory.compose_write(look, state)
        state = memory.store(look, write, state)
        for name, step in zip(CONTROLLERS, (look.input, look.output, write), strict=True):
            steps[name].append(step)
    anchors = {name: [step.output for step in steps[name]] for name in CONTROLLERS}
    traces = {name: _trace(steps[name]) for name in CONTROLLERS}
    return Unrolled(network.decoder(torch.stack(anchors["output"])), traces, anchors, state)


def _trace(steps: list[ControllerStep]) -> Trace:
    inputs, outputs = (
        torch.stack(parts).detach() for parts in zip(*((s.inputs, s.output) for s in steps), strict=True)
    )
    cells = [step.gates.prev_cell for step in steps if step.gates.prev_cell is not None]
    return Trace(outputs, inputs, torch.stack(cells).detach())
