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
        ValueError: if it does not divide, see `refuse_indivisible`.
    """
    refuse_indivisible(len(batch))
    size = len(batch) // world_size()
    return batch[rank() * size : (rank() + 1) * size]


def refuse_indivisible(tasks: int) -> None:
    """Refuses a number of tasks a step that the processes cannot share equally.

    Raises:
        ValueError: if it does not divide.
    """
    if tasks % world_size():
        raise InputError(
            f"{tasks} tasks a step do not divide among {world_size()} processes; start a number of processes that "
            f"divides {tasks}"
        )


def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Replaces each gradient by its mean over all processes."""
    _average([parameter.grad for parameter in parameters if parameter.grad is not None])


def average_buffers(module: nn.Module) -> None:
    """Replaces each floating-point buffer, such as running statistics, by its mean over all processes."""
    _average([buffer for buffer in module.buffers() if buffer.is_floating_point()])


def _average(tensors: list[Tensor]) -> None:
    """The mean over all processes, in place: one message of all tensors of a type, since each costs its own wait."""
    if world_size() == 1:
        return
    for dtype in dict.fromkeys(tensor.dtype for tensor in tensors):
        group = [tensor for tensor in tensors if tensor.dtype == dtype]
        flat = torch.cat([tensor.flatten() for tensor in group])
        dist.all_reduce(flat)
        flat /= world_size()
        for tensor, mean in zip(group, torch.split(flat, [tensor.numel() for tensor in group]), strict=True):
            tensor.copy_(mean.view_as(tensor))


def any_process(flag: bool) -> bool:
    """Whether the flag is set in any process, so that all of them stop at the same step."""
    return largest(float(flag)) > 0


def largest(value: float) -> float:
    """The largest of a number over all processes: what they must agree on, such as how long a step took."""
    if world_size() == 1:
        return value
    votes = torch.tensor(value, dtype=torch.float64, device="cuda" if dist.get_backend() == "nccl" else "cpu")
    dist.all_reduce(votes, dist.ReduceOp.MAX)
    return float(votes)
