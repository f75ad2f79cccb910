"""A method's state as tensors by name, and back: graphs take and give nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor


def state_tensors(state: Any, name: str = "") -> dict[str, Tensor]:  # noqa: ANN401 - a method's state
    """All tensors of a state, in order: "slots", or "memory.slots" where states lie in one another."""
    if isinstance(state, Tensor):
        return {name: state}
    found: dict[str, Tensor] = {}
    for part, value in _parts(state):
        found |= state_tensors(value, f"{name}.{part}" if name else part)
    return found


def state_of(tensors: Iterator[Tensor], like: Any) -> Any:  # noqa: ANN401 - a method's state
    """The state of which these are the tensors.

    Args:
        tensors: in the order of `state_tensors`.
        like: a state of that kind, from which all comes that is no tensor.
    """
    if isinstance(like, Tensor):
        return next(tensors)
    if isinstance(like, Mapping):
        return {part: state_of(tensors, value) for part, value in like.items()}
    if isinstance(like, tuple):
        parts = [state_of(tensors, value) for value in like]
        return type(like)(*parts) if hasattr(like, "_fields") else tuple(parts)
    return like


def _parts(state: Any) -> list[tuple[str, Any]]:  # noqa: ANN401 - a method's state
    if isinstance(state, Mapping):
        return list(state.items())
    if isinstance(state, tuple):
        return list(zip(getattr(state, "_fields", map(str, range(len(state)))), state, strict=True))
    return []
