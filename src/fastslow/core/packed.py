"""Convolutions for inference on a processor: weights laid out once, not in every pass, as oneDNN wants them.

For a few images that is a seventh of an encoder's time. Answers are those of `nn.Conv2d`, bit for bit.
"""

from __future__ import annotations

import copy
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

#: What torch's own compiler uses for the same end; no promise of torch's, so any version may lack them.
_LAY_OUT = getattr(torch._C._nn, "mkldnn_reorder_conv2d_weight", None)
_CONVOLVE = getattr(torch.ops.mkldnn, "_convolution_pointwise", None)

ModuleT = TypeVar("ModuleT", bound=nn.Module)


def packed(module: ModuleT) -> ModuleT:
    """A copy for inference whose convolutions are packed; state, devices and tracing as before."""
    module = copy.deepcopy(module)
    for parent in list(module.modules()):
        for name, child in parent.named_children():
            if type(child) is nn.Conv2d and child.padding_mode == "zeros" and not isinstance(child.padding, str):
                child.__class__ = PackedConv2d
                setattr(parent, name, child)
    return module


class PackedConv2d(nn.Conv2d):
    """A convolution whose weights do not change any more; use `packed`."""

    _laid_out: Tensor | None = None

    def forward(self, input: Tensor) -> Tensor:
        """As `nn.Conv2d`; whatever is not 32 bits on a processor, or wants gradients or a graph, goes its way."""
        if not self._applies(input):
            return super().forward(input)
        assert _LAY_OUT is not None
        assert _CONVOLVE is not None
        how = (list(self.padding), list(self.stride), list(self.dilation), self.groups)
        if self._laid_out is None:
            self._laid_out = _LAY_OUT(self.weight.detach().to_mkldnn(), *how, None)
        convolved: Tensor = _CONVOLVE(input, self._laid_out, self.bias, *how, "none", [], "")
        return convolved

    def _applies(self, images: Tensor) -> bool:
        return (
            bool(torch.backends.mkldnn.enabled)
            and _LAY_OUT is not None
            and _CONVOLVE is not None
            and not torch.is_grad_enabled()
            and images.dtype == self.weight.dtype == torch.float32
            and images.device.type == self.weight.device.type == "cpu"
            and not torch.compiler.is_compiling()
            and torch._C._get_tracing_state() is None
        )

    def _apply(self, *args: Any, **kwargs: Any) -> PackedConv2d:  # noqa: ANN401 - as nn.Module has it
        self._laid_out = None
        return super()._apply(*args, **kwargs)  # type: ignore[no-untyped-call,no-any-return]

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        self._laid_out = None
        super()._load_from_state_dict(*args, **kwargs)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_laid_out"}
