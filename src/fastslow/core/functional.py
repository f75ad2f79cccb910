r"""Eqs. 3, 4 and 7 as pure functions: how a memory is addressed, read and written.

Slots are rows: a memory has shape (batch, slots, dim). No parameters, no state. How this reads the paper's
transposes is said once, in `docs/equations.md`.

Shapes and types are checked at every call, what tensors hold is not: to look at it would make a device wait, and cannot
be traced.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from fastslow.core.fitting import refuse_other_type
from fastslow.errors import InputError, refuse_unknown, shown

#: Taken off the score of an empty slot: no score of one that answers is this much lower.
_LEFT_OUT = 1e4


def address(
    query: Float[Tensor, "batch *queries dim"],
    memory: Float[Tensor, "batch slots dim"],
    *,
    sharpness: Float[Tensor, ""] | float = 1.0,
    similarity: Literal["dot", "euclidean"] = "dot",
    empty: Bool[Tensor, "batch slots"] | None = None,
    gates: Float[Tensor, "batch slots"] | None = None,
) -> Float[Tensor, "batch *queries slots"]:
    r"""Says how much each slot answers the query.

    Eq. 3, slots as rows: :math:`z_t = \mathrm{softmax}(\beta\, M_{t-1} q_t)`; the paper has :math:`\beta = 1`.

    Args:
        query: :math:`q_t`, shape (batch, dim), or (batch, queries, dim) for several queries of one memory.
        memory: :math:`M_{t-1}`, shape (batch, slots, dim).
        sharpness: :math:`\beta`, a positive number; larger puts more weight on the best slot. A tensor's value is not
            checked.
        similarity: "dot" is Eq. 3. "euclidean" is :math:`\mathrm{softmax}(-\tfrac{\beta}{2} \lVert q_t - M[i]
            \rVert^2)`, which is Eq. 3 with a bias of :math:`-\tfrac12 \lVert M[i] \rVert^2` a slot.
        empty: slots that do not answer while any other does, shape (batch, slots); none if None.
        gates: :math:`g`, positive: slot i answers as much as :math:`g_i` slots like it would; 1 each if None. Not
            checked: of a row of zeros the answer is NaN.

    Returns:
        :math:`z_t`, shape (batch, slots) or (batch, queries, slots); non-negative, each row sums to 1.

    Raises:
        ValueError: if batch or embedding sizes or types differ, which the message gives both of; if there is no such
            similarity, or `sharpness` is a number that is not positive.
    """
    if query.shape[-1] != memory.shape[-1]:
        raise InputError(f"got a query of {query.shape[-1]} features for slots of {memory.shape[-1]}; make them equal")
    _refuse_other_memory("queries", query, memory)
    if isinstance(sharpness, Tensor):
        if sharpness.ndim:
            raise InputError(f"got a sharpness of shape {tuple(sharpness.shape)}; give one number for all slots")
    elif not 0 < sharpness < math.inf:
        raise InputError(f"got sharpness={shown(sharpness)}; a positive number was expected")
    for name, of_slots in (("empty", empty), ("gates", gates)):
        if of_slots is not None and of_slots.shape != memory.shape[:2]:
            raise InputError(
                f"got {name} of shape {tuple(of_slots.shape)} for a memory of shape {tuple(memory.shape)}; give one "
                "value per slot, shape (batch, slots)"
            )
    # A row times M^T: several times quicker on CPU than M times a column.
    rows = query.unsqueeze(1) if query.ndim == 2 else query
    if similarity == "euclidean":
        squares = (memory * memory).sum(-1).unsqueeze(1)
        scores = torch.baddbmm(squares, rows, memory.mT, beta=-0.5)
    elif similarity == "dot":
        scores = torch.bmm(rows, memory.mT)
    else:
        refuse_unknown({"similarity": (similarity, ("dot", "euclidean"))})  # type: ignore[unreachable]
    scores = sharpness * scores
    if empty is not None:
        # Of no slot where all are empty: it would cancel, and the scores' last four digits with it.
        left_out = empty & ~empty.all(-1, keepdim=True)
        scores = torch.add(scores, left_out.unsqueeze(1), alpha=-_LEFT_OUT)
    if gates is not None:
        scores = scores + gates.log().unsqueeze(1)
    weights = torch.softmax(scores, dim=-1)
    return weights.squeeze(1) if query.ndim == 2 else weights


def read(
    address_weights: Float[Tensor, "batch *queries slots"],
    memory: Float[Tensor, "batch slots dim"],
) -> Float[Tensor, "batch *queries dim"]:
    r"""Reads the mean of the slots under the address weights.

    Eq. 4, slots as rows: :math:`\bar m_t = z_t^\top M_{t-1}`.

    Args:
        address_weights: :math:`z_t`, shape (batch, slots) or (batch, queries, slots).
        memory: :math:`M_{t-1}`, shape (batch, slots, dim).

    Returns:
        :math:`\bar m_t`, shape (batch, dim) or (batch, queries, dim).

    Raises:
        ValueError: if batch sizes, numbers of slots or types differ; the message gives both.
    """
    if address_weights.shape[-1] != memory.shape[1]:
        raise InputError(
            f"got {address_weights.shape[-1]} address weights for a memory of {memory.shape[1]} slots; "
            "give one weight per slot"
        )
    _refuse_other_memory("address weights", address_weights, memory)
    if address_weights.ndim == 2:
        return torch.bmm(address_weights.unsqueeze(1), memory).squeeze(1)
    return torch.bmm(address_weights, memory)


def write(
    prev_memory: Float[Tensor, "batch slots dim"],
    address_weights: Float[Tensor, "batch slots"],
    write_vector: Float[Tensor, "batch dim"],
) -> Float[Tensor, "batch slots dim"]:
    r"""Blends the write vector into each slot, by how much that slot was addressed.

    Eq. 7, slots as rows: :math:`M_t[i] = (1 - z_t[i]) M_{t-1}[i] + z_t[i] m'_t`.

    Args:
        prev_memory: :math:`M_{t-1}`, shape (batch, slots, dim). Not modified.
        address_weights: :math:`z_t`, shape (batch, slots); non-negative, each row sums to 1.
        write_vector: :math:`m'_t`, shape (batch, dim).

    Returns:
        :math:`M_t`, shape, dtype and device of `prev_memory`.

    Raises:
        ValueError: if batch, slot or embedding sizes differ; the message gives all.
    """
    batch, slots, dim = prev_memory.shape
    if address_weights.shape != (batch, slots) or write_vector.shape != (batch, dim):
        raise InputError(
            f"got address weights of shape {tuple(address_weights.shape)} and write vectors of shape "
            f"{tuple(write_vector.shape)} for a memory of shape {(batch, slots, dim)}; give one weight per slot, and "
            "one vector per memory, as wide as a slot"
        )
    # lerp is Eq. 7 in one pass over the memory, three to four times quicker than as written.
    dtype = prev_memory.dtype  # what comes may be of 16 bits under autocast; the memory stays as it is
    return torch.lerp(prev_memory, write_vector.to(dtype).unsqueeze(1), address_weights.to(dtype).unsqueeze(2))


def least_used_slots(usage: Float[Tensor, "batch slots"], count: int) -> Int64[Tensor, "batch count"]:
    """The slots used least, in the order in which writes one after another would take them.

    Not in the paper: its writes go where it read (`docs/deviations.md`).

    Args:
        usage: how much each slot has been used so far, shape (batch, slots).
        count: how many, at most the number of slots.

    Returns:
        Slot numbers, shape (batch, count); of slots used equally, the lower number comes first.
    """
    return usage.sort(dim=1, stable=True).indices[:, :count]


def _refuse_other_memory(name: str, given: Tensor, memory: Tensor) -> None:
    if given.shape[0] != memory.shape[0]:
        raise InputError(
            f"got {name} of batch size {given.shape[0]} for memories of batch size {memory.shape[0]}; make them equal"
        )
    refuse_other_type(name, given, memory)
