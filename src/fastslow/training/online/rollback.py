"""All of a step or nothing of it: what a step may move is kept, and put back where the step fails or is refused."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any

import torch
from torch import Tensor, nn

from fastslow.errors import InputError


def refuse_non_finite(numbers: Mapping[str, Tensor], cure: str) -> None:
    """Refuses NaN and infinity.

    Args:
        numbers: by what the message calls them.
        cure: what to do about it.

    Raises:
        ValueError: the message names the first that are not finite.
    """
    if not _all_finite(numbers.values()):
        name = next(name for name, tensor in numbers.items() if not _all_finite([tensor]))
        raise InputError(f"got numbers that are not finite in {name}; nothing was moved: {cure}")


class AllOrNothing:
    """A context: if anything is raised in it, a module and its optimisers are left as they were before.

    Kept are the module's parameters and buffers, and the optimisers' parameters, states and options. Gradients, which
    the next step makes anew, are let go.

    Args:
        module: what learns.
        optimisers: what moves it.
    """

    def __init__(self, module: nn.Module, optimisers: Sequence[torch.optim.Optimizer]) -> None:
        self.module, self.optimisers = module, optimisers
        self.before = {name: (tensor, tensor.detach().clone()) for name, tensor in self._tensors().items()}
        self.states = [{key: _copied(state) for key, state in optimiser.state.items()} for optimiser in optimisers]
        self.options = [[_options(group) for group in optimiser.param_groups] for optimiser in optimisers]

    def __enter__(self) -> AllOrNothing:
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        if kind is not None:
            self._put_back()

    def refuse_spoilt(self, cure: str) -> None:
        """Refuses a step that leaves NaN or infinity in what learns: weights, buffers, the optimisers' states.

        In buffers and weights at rest, what was not finite before, such as a mask of -inf, may stay so.

        Args:
            cure: what to do about it, for the message.

        Raises:
            ValueError: the message names the first that was spoilt.
        """
        states = (state for optimiser in self.optimisers for state in optimiser.state.values())
        of_states = [value for state in states for value in state.values() if isinstance(value, Tensor)]
        refuse_non_finite({f"number {k} of the optimisers' state": tensor for k, tensor in enumerate(of_states)}, cure)
        now = self._tensors()
        if not _all_finite(now.values()):
            refuse_non_finite({name: self._spoilable(name, tensor) for name, tensor in now.items()}, cure)

    def _tensors(self) -> dict[str, Tensor]:
        """Parameters and buffers by name; those that only an optimiser knows by their place in it."""
        tensors = dict(self.module.named_buffers()) | dict(self.module.named_parameters())
        named = {id(tensor) for tensor in tensors.values()}
        groups = (group["params"] for optimiser in self.optimisers for group in optimiser.param_groups)
        others = [parameter for group in groups for parameter in group if id(parameter) not in named]
        return tensors | {f"parameter {k} of the optimisers alone": parameter for k, parameter in enumerate(others)}

    def _spoilable(self, name: str, tensor: Tensor) -> Tensor:
        """The numbers that have to be finite now."""
        _, before = self.before.get(name, (tensor, tensor))
        at_rest = not tensor.requires_grad and before.shape == tensor.shape
        return tensor[before.isfinite()] if at_rest else tensor

    @torch.no_grad()
    def _put_back(self) -> None:
        for name, (tensor, value) in self.before.items():
            tensor.copy_(value)
            path, _, leaf = name.rpartition(".")
            if name in dict(self.module.named_buffers()):
                setattr(self.module.get_submodule(path), leaf, tensor)  # it may have been given a tensor of its own
        for optimiser, state, options in zip(self.optimisers, self.states, self.options, strict=True):
            optimiser.state.clear()
            optimiser.state.update(state)
            for group, values in zip(optimiser.param_groups, options, strict=True):
                group.update(values)
            optimiser.zero_grad()
        self.module.zero_grad()


def _all_finite(tensors: Iterable[Tensor]) -> bool:
    """In one read of each device."""
    answers: dict[torch.device, list[Tensor]] = {}
    for tensor in tensors:
        answers.setdefault(tensor.device, []).append(tensor.detach().isfinite().all())
    return all(bool(torch.stack(of_device).all()) for of_device in answers.values())


def _options(group: Mapping[str, Any]) -> dict[str, Any]:
    return _copied({name: value for name, value in group.items() if name != "params"})


def _copied(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: v.clone() if isinstance(v, Tensor) else copy.deepcopy(v) for name, v in values.items()}
