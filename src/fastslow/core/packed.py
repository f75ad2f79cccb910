"""Convolutions for inference on a processor: weights laid out once, not in every pass, as oneDNN wants them.

With a few images, laying them out is a good part of an encoder's time. Answers are those of `nn.Conv2d` up to rounding.
"""

from __future__ import annotations

import copy
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor, nn

#: What torch's own compiler uses for the same end; no promise of torch's, so any version may lack them.
_LAY_OUT = getattr(torch._C._nn, "mkldnn_reorder_conv2d_weight", None)
_CONVOLVE = getattr(torch.ops.mkldnn, "_convolution_pointwise", None)

ModuleT = TypeVar("ModuleT", bound=nn.Module)


def packed(module: ModuleT) -> ModuleT:
    """A copy for inference whose convolutions are packed; state, devices and tracing as before."""
    module = copy.deepcopy(module)
    for part in module.modules():
        if type(part) is nn.Conv2d and part.padding_mode == "zeros" and not isinstance(part.padding, str):
            part.__class__ = PackedConv2d
    return module


class _LaidOut(NamedTuple):
    """A layout, and the weights that it is of, at which change of theirs."""

    layout: Tensor
    weight: Tensor
    version: int


class PackedConv2d(nn.Conv2d):
    """A convolution whose weights seldom change; use `packed`. Changes of `weight.data` in place are not seen."""

    _laid_out: _LaidOut | None = None

    def forward(self, input: Tensor) -> Tensor:
        """As `nn.Conv2d`, and in its way unless images are 32 bits on a processor, without gradients or a graph."""
        if not self._applies(input):
            return super().forward(input)
        assert _LAY_OUT is not None
        assert _CONVOLVE is not None
        how = (list(self.padding), list(self.stride), list(self.dilation), self.groups)
        weight, version = self.weight, 0 if self.weight.is_inference() else self.weight._version
        if self._laid_out is None or self._laid_out.weight is not weight or self._laid_out.version != version:
            self._laid_out = _LaidOut(_LAY_OUT(weight.detach().to_mkldnn(), *how, None), weight, version)
        convolved: Tensor = _CONVOLVE(input, self._laid_out.layout, self.bias, *how, "none", [], "")
        return convolved

    def _applies(self, images: Tensor) -> bool:
        return (
            bool(torch.backends.mkldnn.enabled)
            and _LAY_OUT is not None
            and _CONVOLVE is not None
            and images.dim() == 4
            and not torch.is_grad_enabled()
            and not torch.is_autocast_enabled("cpu")
            and images.dtype == self.weight.dtype == torch.float32
            and images.device.type == self.weight.device.type == "cpu"
            and not torch.compiler.is_compiling()
            and torch._C._get_tracing_state() is None
        )

    def _apply(self, *args: Any, **kwargs: Any) -> PackedConv2d:  # noqa: ANN401 - as nn.Module has it
        self._laid_out = None
        return super()._apply(*args, **kwargs)  # type: ignore[no-untyped-call,no-any-return]

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_laid_out"}
