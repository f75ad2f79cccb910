"""Data parallel over tasks: every process draws the same batch of tasks and works on its share.

Started by `torchrun`; on its own a process is the only one. Gradients are averaged, so that one update equals the
update of a single process on the joined batch, as long as no batch statistics are in use.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

import torch
import torch.distributed as dist
from torch import Tensor, nn

from fastslow.errors import InputError


def start() -> None:
    """Joins the other processes if `torchrun` started this one; does nothing otherwise."""
    if "WORLD_SIZE" in os.environ and not dist.is_initialized():
        dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")


def stop() -> None:
    """Leaves the other processes, if there are any."""
    if dist.is_available() and dist.is_initialized():
        dist.destroy_process_group()


def rank() -> int:
    """Which process this is; 0 if alone."""
    return dist.get_rank() if dist.is_available() and dist.is_initialized() else 0


def world_size() -> int:
    """How many processes work together; 1 if alone."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def share(batch: Tensor) -> Tensor:
    """This process's equal share of a batch, along its first axis.

    Raises:
        ValueError: if the batch does not divide.
    """
    if len(batch) % world_size():
        raise InputError(
            f"{len(batch)} tasks a step do not divide among {world_size()} processes; choose a multiple of it"
        )
    size = len(batch) // world_size()
    return batch[rank() * size : (rank() + 1) * size]


def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Replaces each gradient by its mean over all processes."""
    if world_size() > 1:
        for parameter in parameters:
            if parameter.grad is not None:
                dist.all_reduce(parameter.grad)
                parameter.grad /= world_size()


def average_buffers(module: nn.Module) -> None:
    """Replaces each floating-point buffer, such as running statistics, by its mean over all processes."""
    if world_size() > 1:
        for buffer in module.buffers():
            if buffer.is_floating_point():
                dist.all_reduce(buffer)
                buffer /= world_size()


def any_process(flag: bool) -> bool:
    """Whether the flag is set in any process, so that all of them stop at the same step."""
    if world_size() == 1:
        return flag
    votes = torch.tensor(float(flag))
    if dist.get_backend() == "nccl":
        votes = votes.cuda()
    dist.all_reduce(votes)
    return bool(votes > 0)
