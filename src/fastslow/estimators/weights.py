"""Weights of models: which they are, and whether they are still the same."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from fastslow.errors import InputError, shown, shown_reason

#: What a module may keep beside tensors, and is compared as it is written.
_PLAIN = (str, bytes, bool, int, float, complex, torch.dtype, type(None))
_CURE = "give one whose weights are there, or a function that calls it, as lambda images: model(images)"


def weights_sha256(state: Mapping[str, Any]) -> str:
    """Of names, types, shapes and bytes of tensors, and of whatever else a module keeps.

    Args:
        state: by name, as `torch.nn.Module.state_dict` gives it.

    Raises:
        ValueError: if a tensor has no values to read, or a part is none that can be compared.
    """
    digest = hashlib.sha256()
    for name, part in sorted(state.items()):
        _add(digest, name, part)
    return digest.hexdigest()


class WatchedModule:
    """A module of a user's own, which may be trained further: are its weights still those that it had?

    Args:
        module: to watch.

    Attributes:
        sha256: of its weights when they were last looked at as a whole.

    Raises:
        ValueError: if its weights cannot be compared.
    """

    def __init__(self, module: nn.Module) -> None:
        self.module, state = module, module.state_dict()
        self.sha256 = weights_sha256(state)
        pairs = (*module.named_parameters(remove_duplicate=False), *module.named_buffers(remove_duplicate=False))
        # Where a module keeps more than these, nothing tells quickly whether that has changed.
        self._countable = state.keys() <= {name for name, _ in pairs}
        self._seen = self._look()

    def unchanged(self, thoroughly: bool) -> bool:
        """Whether its weights are those of `sha256`.

        Args:
            thoroughly: to look at each number; else only at torch's own counts of changes, where there are any, which
                miss those that are made through `.data`.
        """
        seen = self._look()
        if not thoroughly and seen is not None and self._seen is not None and _same(seen, self._seen):
            return True
        self._seen = seen  # moved to another device or back, say
        return weights_sha256(self.module.state_dict()) == self.sha256

    def _look(self) -> list[tuple[Tensor, int, int]] | None:
        """Each tensor, the count of its changes, and where it lies; None where that does not say all."""
        if not self._countable:
            return None
        try:
            parts = (*self.module.parameters(), *self.module.buffers())
            return [(part, part._version, part.data_ptr()) for part in parts]
        except RuntimeError:  # made under inference_mode: not counted
            return None


def _same(seen: list[tuple[Tensor, int, int]], before: list[tuple[Tensor, int, int]]) -> bool:
    return len(seen) == len(before) and all(
        one[0] is other[0] and one[1:] == other[1:] for one, other in zip(seen, before, strict=True)
    )


def _add(digest: Any, name: str, part: object) -> None:  # noqa: ANN401 - hashlib's
    if isinstance(part, Tensor):
        try:
            digest.update(f"{name} {part.dtype} {tuple(part.shape)}".encode())
            digest.update(_plain(part).contiguous().view(-1).view(torch.uint8).numpy().tobytes())
        except (RuntimeError, TypeError, ValueError, AttributeError) as error:
            raise InputError(
                f"got a model whose {shown(name)} has no values to read ({shown_reason(error)}): {_CURE}"
            ) from error
    elif isinstance(part, Mapping):
        for key, value in part.items():
            _add(digest, f"{name}.{key}", value)
    elif isinstance(part, list | tuple):
        for number, value in enumerate(part):
            _add(digest, f"{name}.{number}", value)
    elif isinstance(part, _PLAIN):
        digest.update(f"{name} {part!r}".encode())
    else:
        raise InputError(f"got a model that keeps a {type(part).__name__} as {shown(name)}: {_CURE}")


def _plain(tensor: Tensor) -> Tensor:
    """A dense tensor of ordinary numbers on the CPU."""
    tensor = tensor.detach().cpu()
    tensor = tensor.dequantize() if tensor.is_quantized else tensor
    return tensor if tensor.layout == torch.strided else tensor.to_dense()
