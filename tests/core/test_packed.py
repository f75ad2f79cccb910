from __future__ import annotations

import copy
import io

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from fastslow import load_pretrained
from fastslow.core import packed as module
from fastslow.core.encoders import ConvEncoder, build_encoder
from fastslow.core.packed import PackedConvEncoder, packed

exactly = {"rtol": 0, "atol": 0}


def encoder(halving="floor"):
    torch.manual_seed(0)
    made = build_encoder(channels=(8, 16), residual=(False, True), image_size=14, projection=8, halving=halving)
    return made.eval().folded()


def images(count):
    return torch.rand(count, 1, 14, 14, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("halving", ["floor", "ceil", "stride"])
@pytest.mark.parametrize("count", [1, 5, 40])
def test_answers_are_those_of_the_plain_convolutions(halving, count):
    plain = encoder(halving)
    quick = packed(plain)
    with torch.inference_mode():
        assert_close(quick(images(count)), plain(images(count)), rtol=1e-6, atol=1e-6)
        assert_close(quick(images(count)), quick(images(count)), **exactly)


def test_weights_are_laid_out_once_where_torch_can(monkeypatch):
    if module._LAY_OUT is None or not torch.backends.mkldnn.is_available():
        pytest.skip("torch has no such layout here")
    calls = []
    monkeypatch.setattr(module, "_LAY_OUT", lambda *args: calls.append(1) or lay_out(*args))
    quick = packed(encoder())
    with torch.inference_mode():
        for _ in range(3):
            quick(images(2))
    assert len(calls) == sum(isinstance(part, nn.Conv2d) for part in quick.modules()) == 3


lay_out = module._LAY_OUT


@pytest.mark.parametrize("missing", ["_LAY_OUT", "_CONVOLVE"])
def test_a_torch_without_the_layout_convolves_as_ever(monkeypatch, missing):
    monkeypatch.setattr(module, missing, None)
    with torch.inference_mode():
        assert_close(packed(encoder())(images(3)), encoder()(images(3)), **exactly)


def test_gradients_other_types_and_traces_go_the_plain_way():
    plain = encoder()
    quick = packed(plain)
    seen = images(2).requires_grad_()
    quick(seen).sum().backward()
    assert seen.grad is not None
    assert seen.grad.abs().sum() > 0
    with torch.no_grad():
        assert_close(packed(plain.double())(images(2).double()), plain(images(2).double()), **exactly)
        plain.float()
        traced = torch.jit.trace(quick, images(2))
        assert "mkldnn" not in str(traced.inlined_graph)
        assert_close(traced(images(3)), plain(images(3)), rtol=1e-6, atol=1e-6)


def test_autocast_goes_the_plain_way():
    plain = encoder()
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        assert_close(packed(plain)(images(3)), plain(images(3)), **exactly)


def test_images_of_another_size_or_none_are_treated_as_by_the_plain_encoder():
    plain = encoder()
    quick = packed(plain)
    with torch.inference_mode():
        assert quick(images(0)).shape == plain(images(0)).shape
        for given in (torch.zeros(0, 1, 13, 14), torch.zeros(2, 1, 13, 14)):
            for one in (plain, quick):
                with pytest.raises(ValueError, match="this encoder takes"):
                    one(given)


def test_weights_that_change_are_laid_out_anew():
    quick, plain = packed(encoder()), encoder()
    convolution, other = (next(p for p in e.modules() if isinstance(p, nn.Conv2d)) for e in (quick, plain))
    seen = images(3)
    with torch.no_grad():
        quick(seen)
        for change in (
            lambda c: c.weight.mul_(2), lambda c: c.bias.add_(1),
            lambda c: c.load_state_dict(twice(c)), replace_weight, replace_bias,
        ):  # fmt: skip
            change(convolution)
            change(other)
            assert_close(quick(seen), plain(seen), rtol=1e-5, atol=1e-5)
        assert_close(quick.half().float()(seen), plain.half().float()(seen), rtol=1e-5, atol=1e-5)
        weights = {name: 2 * value for name, value in quick.named_parameters()}
        doubled = torch.func.functional_call(quick, weights, (seen,))
        assert_close(doubled, torch.func.functional_call(plain, weights, (seen,)), rtol=1e-5, atol=1e-5)
        assert_close(quick(seen), plain(seen), rtol=1e-5, atol=1e-5)


def replace_weight(convolution):
    convolution.weight = nn.Parameter(convolution.weight.flip(0))


def replace_bias(convolution):
    convolution.bias = nn.Parameter(convolution.bias.flip(0))


def twice(module):
    return {name: 2 * value for name, value in module.state_dict().items()}


def test_what_is_packed_is_copied_saved_and_given_other_weights_as_any_module():
    plain, quick = encoder(), packed(encoder())
    with torch.inference_mode():
        quick(images(2))
        twin = copy.deepcopy(quick)
        torch.save(quick, kept := io.BytesIO())
        kept.seek(0)
        for again in (twin, torch.load(kept, weights_only=False)):
            assert_close(again(images(2)), plain(images(2)), rtol=1e-6, atol=1e-6)
    assert list(quick.state_dict()) == list(plain.state_dict())
    other = encoder()
    with torch.no_grad():
        for weight in other.parameters():
            weight.add_(0.1)
    quick.load_state_dict(other.state_dict())
    with torch.inference_mode():
        assert_close(quick(images(2)), other(images(2)), rtol=1e-6, atol=1e-6)


def test_what_was_packed_is_left_as_it_was():
    plain = encoder()
    packed(plain)
    assert type(plain.encoder) is ConvEncoder


def test_an_encoder_that_is_not_folded_is_left_to_torch():
    plain = build_encoder(channels=(8, 16), residual=(False, True), image_size=14, projection=8).eval()
    quick = packed(plain)
    assert type(quick.encoder) is ConvEncoder
    with torch.inference_mode():
        assert_close(quick(images(3)), plain(images(3)), **exactly)


def test_classifiers_are_packed_views_and_all():
    for name in ("omniglot-5w1s-fast", "omniglot-5w1s"):
        parts = load_pretrained(name).method.encoder.modules()
        kinds = {type(part) for part in parts if isinstance(part, ConvEncoder)}
        assert kinds == {PackedConvEncoder}, name
