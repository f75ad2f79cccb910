"""Encoders for inference on a processor: weights laid out once, not in every pass, as oneDNN wants them.

With a few images, laying them out, and calling module after module, is a good part of an encoder's time. Answers are
those of the plain encoder up to rounding.
"""

from __future__ import annotations

import copy
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fastslow.core.encoders import ConvBlock, ConvEncoder, Halving

#: What torch's own compiler uses for the same end; no promise of torch's, so any version may lack them.
_LAY_OUT = getattr(torch._C._nn, "mkldnn_reorder_conv2d_weight", None)
_CONVOLVE = getattr(getattr(torch.ops.mkldnn, "_convolution_pointwise", None), "default", None)

ModuleT = TypeVar("ModuleT", bound=nn.Module)


def packed(module: ModuleT) -> ModuleT:
    """A copy for inference whose convolutional encoders are packed; state, devices and tracing as before.

    Args:
        module: whose `ConvEncoder`s are `folded`; others are left as they are.
    """
    module = copy.deepcopy(module)
    for part in module.modules():
        if type(part) is ConvEncoder and all(_is_folded(block) for block in part.blocks):
            part.__class__ = PackedConvEncoder
    return module


class _Step(NamedTuple):
    """A convolution as it is called.

    Attributes:
        layout: its weights, laid out.
        parameters: of the convolution, by name, whichever they are by now; the bias is taken from here.
        stride: its stride.
    """

    layout: Tensor
    parameters: dict[str, Any]
    stride: list[int]

    def of(self, images: Tensor, *, then: str) -> Tensor:
        """The convolution of images, "relu" or "none" after it."""
        assert _CONVOLVE is not None
        bias = self.parameters["bias"]
        convolved: Tensor = _CONVOLVE(images, self.layout, bias, [1, 1], self.stride, [1, 1], 1, then, [], "")
        return convolved


class _Plan(NamedTuple):
    """The blocks of an encoder, and the weights that they are of.

    Attributes:
        blocks: of each its convolution, how it halves, and its residual convolution, if any.
        sources: of each convolution its parameters, the weight that was laid out, and which change in place it was at.
    """

    blocks: list[tuple[_Step, Halving, _Step | None]]
    sources: list[tuple[dict[str, Any], Tensor, int]]

    def is_stale(self) -> bool:
        """Whether some weight is no longer as it was."""
        return any(own["weight"] is not weight or _version(weight) != version for own, weight, version in self.sources)


class PackedConvEncoder(ConvEncoder):
    """An encoder whose weights seldom change; use `packed`.

    Changes of `weight.data` are not seen, such as `half()` of one convolution alone; hooks of blocks are not called.
    """

    _plan: _Plan | None = None

    def forward(self, images: Tensor) -> Tensor:
        """As `ConvEncoder`, and in its way unless images are 32 bits on a processor, without gradients or a graph."""
        if not _applies(images):
            return super().forward(images)
        self.refuse_other_images(images)
        plan = self._plan
        if plan is None or plan.is_stale():
            plan = self._plan = self._laid_out()
            if plan is None:
                return super().forward(images)
        features = images.contiguous(memory_format=torch.channels_last)
        for convolution, halving, residual in plan.blocks:
            features = convolution.of(features, then="none")
            if halving != "stride":
                features = F.max_pool2d(features, 2, ceil_mode=halving == "ceil")
            features.relu_()
            if residual is not None:
                features = residual.of(features, then="relu").add_(features)
        return features.flatten(1)

    def _laid_out(self) -> _Plan | None:
        """None where weights are not of 32 bits, or not on a processor."""
        convolutions = [part for part in self.modules() if isinstance(part, nn.Conv2d)]
        if any(part.weight.dtype != torch.float32 or part.weight.device.type != "cpu" for part in convolutions):
            return None
        blocks = []
        for block in self.blocks:
            assert isinstance(block, ConvBlock)
            residual = None if block.residual_conv is None else _step(block.residual_conv)
            blocks.append((_step(block.conv), block.halving, residual))
        sources = [(part._parameters, part.weight, _version(part.weight)) for part in convolutions]
        return _Plan(blocks, sources)

    def _apply(self, *args: Any, **kwargs: Any) -> PackedConvEncoder:  # noqa: ANN401 - as nn.Module has it
        self._plan = None
        return super()._apply(*args, **kwargs)  # type: ignore[no-untyped-call,no-any-return]

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_plan"}


def _applies(images: Tensor) -> bool:
    return (
        not torch.is_grad_enabled()
        and images.dtype == torch.float32
        and images.device.type == "cpu"
        and images.dim() == 4
        and _LAY_OUT is not None
        and _CONVOLVE is not None
        and torch._C._get_mkldnn_enabled()
        and not torch.is_autocast_enabled("cpu")
        and not torch.compiler.is_compiling()
        and torch._C._get_tracing_state() is None
        and len(images) > 0
    )


def _is_folded(block: nn.Module) -> bool:
    assert isinstance(block, ConvBlock)
    norms = [block.norm] + ([] if block.residual_norm is None else [block.residual_norm])
    return all(isinstance(norm, nn.Identity) for norm in norms)


def _step(convolution: nn.Conv2d) -> _Step:
    assert _LAY_OUT is not None
    stride = list(convolution.stride)
    layout = _LAY_OUT(convolution.weight.detach().to_mkldnn(), [1, 1], stride, [1, 1], 1, None)
    return _Step(layout, convolution._parameters, stride)


def _version(weight: Tensor) -> int:
    return 0 if weight.is_inference() else weight._version
