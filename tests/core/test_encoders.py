import inspect
import weakref

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.testing import assert_close

from fastslow.core.encoders import ConvBlock, ConvEncoder, Projection, build_encoder, images_per_pass, in_passes
from fastslow.errors import InputError


def images(num=6, size=12, seed=0):
    return torch.rand(num, 1, size, size, generator=torch.Generator().manual_seed(seed))


def with_statistics(module, inputs):
    """The module in evaluation mode, its batch norms far from where they start: statistics and, if any, weights."""
    torch.manual_seed(1)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d) and part.affine:
            nn.init.uniform_(part.weight, -2, 2)
            nn.init.normal_(part.bias)
    module.train()
    for _ in range(30):
        module(inputs)
    return module.eval()


def make_encoder(**options):
    torch.manual_seed(0)
    encoder = ConvEncoder(channels=(3, 5), residual=(False, True), image_size=12, **options)
    return with_statistics(encoder, images(seed=1))


def test_pooling_before_the_relu_is_pooling_after_it():
    torch.manual_seed(0)
    block = with_statistics(ConvBlock(1, 4), images())
    inputs = images(seed=2)
    expected = F.max_pool2d(F.relu(block.norm(block.conv(inputs))), 2)
    assert torch.equal(block(inputs), expected)
    assert (expected > 0).any()
    assert (expected == 0).any()


def test_a_residual_block_adds_to_the_pooled_features():
    torch.manual_seed(0)
    block = with_statistics(ConvBlock(1, 4, residual=True), images())
    inputs = images(seed=2)
    pooled = F.max_pool2d(F.relu(block.norm(block.conv(inputs))), 2)
    added = F.relu(block.residual_norm(block.residual_conv(pooled)))
    assert_close(block(inputs), pooled + added)
    assert added.abs().max() > 0


@pytest.mark.parametrize(("size", "num_features"), [(12, 5 * 3 * 3), (13, 5 * 3 * 3), (28, 5 * 7 * 7)])
def test_the_number_of_features_is_what_it_says(size, num_features):
    encoder = ConvEncoder(channels=(3, 5), image_size=size)
    assert encoder.num_features == num_features
    assert encoder(images(size=size)).shape == (6, num_features)


@pytest.mark.parametrize("halving", ["ceil", "stride"])
@pytest.mark.parametrize(("size", "edge"), [(12, 3), (13, 4), (28, 7), (30, 8)])
def test_odd_last_rows_and_columns_are_kept_where_asked(size, edge, halving):
    encoder = ConvEncoder(channels=(3, 5), image_size=size, halving=halving)
    assert encoder.num_features == 5 * edge * edge
    inputs = images(size=size)
    assert encoder(inputs).shape == (6, 5 * edge * edge)
    changed = inputs.clone()
    changed[:, :, -1] += 1
    assert not torch.equal(encoder(changed), encoder(inputs))
    assert_close(encoder.eval().folded()(inputs), encoder(inputs), rtol=1e-5, atol=1e-5)


def test_a_strided_block_is_a_convolution_of_every_second_place():
    block = ConvBlock(2, 3, halving="stride").eval()
    inputs = torch.randn(4, 2, 7, 7)
    everywhere = F.conv2d(inputs, block.conv.weight, padding=1)
    assert_close(block(inputs), F.relu(block.norm(everywhere[..., ::2, ::2])))


def test_the_papers_encoder_has_three_plain_blocks_of_64():
    encoder = ConvEncoder()
    assert [(block.conv.out_channels, block.residual_conv) for block in encoder.blocks] == [(64, None)] * 3
    assert encoder.num_features == 64 * 3 * 3


def test_convolutions_run_channels_last():
    encoder = make_encoder()
    assert encoder.blocks[1].conv.weight.is_contiguous(memory_format=torch.channels_last)
    assert encoder.folded().blocks[1].conv.weight.is_contiguous(memory_format=torch.channels_last)
    seen = []
    encoder.blocks[1].register_forward_hook(lambda _, inputs, output: seen.extend([inputs[0], output]))
    encoder(images())
    assert all(tensor.is_contiguous(memory_format=torch.channels_last) for tensor in seen)
    # Which order the numbers lie in changes nothing: features are flattened by channel, then row, then column.
    inputs = images()
    plain = inputs
    for block in encoder.blocks:
        plain = block(plain.contiguous())
    assert_close(encoder(inputs), plain.contiguous().flatten(1))


def test_folded_equals_the_encoder_in_evaluation_mode():
    encoder, inputs = make_encoder(), images(seed=3)
    expected = encoder(inputs)
    folded = encoder.folded()
    assert_close(folded(inputs), expected, rtol=1e-5, atol=1e-5)
    assert not any(isinstance(part, nn.BatchNorm2d) for part in folded.modules())
    assert not any(parameter.requires_grad for parameter in folded.parameters())
    assert_close(folded.folded()(inputs), expected, rtol=1e-5, atol=1e-5)
    # The encoder itself is as it was.
    assert any(isinstance(part, nn.BatchNorm2d) for part in encoder.modules())
    assert torch.equal(encoder(inputs), expected)


def test_folding_uses_the_frozen_statistics_even_from_training_mode():
    encoder, inputs = make_encoder(), images(seed=3)
    expected = encoder(inputs)
    encoder.train()
    folded = encoder.folded()
    assert encoder.training
    assert_close(folded(inputs), expected, rtol=1e-5, atol=1e-5)


def test_one_by_one_equals_the_batch_under_frozen_statistics():
    encoder, inputs = make_encoder(), images(seed=3)
    together = encoder(inputs)
    assert_close(torch.cat([encoder(image.unsqueeze(0)) for image in inputs]), together, rtol=1e-5, atol=1e-5)
    encoder.train()
    assert not torch.allclose(encoder(inputs[:2]), together[:2], atol=1e-2)  # the batch's own statistics


@pytest.mark.parametrize("shape", [(2, 3, 12, 12), (2, 1, 12, 11), (2, 1, 28, 28)])
def test_refuses_images_of_another_shape(shape):
    with pytest.raises(InputError, match=r"takes \(1, 12, 12\): grey, resized"):
        make_encoder()(torch.zeros(shape))


@pytest.mark.parametrize("kind", [torch.uint8, torch.float64])
def test_refuses_images_of_another_type(kind):
    with pytest.raises(InputError, match=rf"got images of {kind}; torch.float32 was expected"):
        inspect.unwrap(ConvEncoder.forward)(make_encoder(), torch.zeros(2, 1, 12, 12, dtype=kind))


def test_refuses_blocks_that_leave_nothing_and_flags_that_do_not_fit():
    with pytest.raises(InputError, match="got no channels; an encoder has at least one block"):
        ConvEncoder(channels=())
    with pytest.raises(InputError, match="3 blocks halve images of 7 pixels to nothing; use images of at least 8"):
        ConvEncoder(image_size=7)
    with pytest.raises(InputError, match="got 3 blocks and 2 residual flags; give one flag per block"):
        ConvEncoder(residual=(True, False))


def make_projection():
    torch.manual_seed(0)
    features = 5 + 3 * torch.randn(64, 4)
    return with_statistics(Projection(num_features=4, dim=3), features), features


def test_a_projection_centres_each_feature_over_the_training_images():
    projection, features = make_projection()
    projection.train()
    projected = projection(features)
    assert_close(projected.mean(0), torch.zeros(3), atol=1e-5, rtol=0)
    assert_close(projected.var(0, correction=0), torch.ones(3), atol=1e-4, rtol=0)
    # In evaluation mode by the running averages, so that an example does not see its batch.
    projection.eval()
    running = projection(features)
    assert_close(projection(features[:1]), running[:1])
    assert running.mean(0).abs().max() < 0.3


def test_a_folded_projection_equals_it_in_evaluation_mode():
    projection, features = make_projection()
    expected = projection(features)
    folded = projection.folded()
    assert_close(folded(features), expected, rtol=1e-5, atol=1e-5)
    assert_close(folded.folded()(features), expected, rtol=1e-5, atol=1e-5)
    assert not any(parameter.requires_grad for parameter in folded.parameters())
    assert projection.linear.weight.requires_grad
    assert torch.equal(projection(features), expected)


@pytest.mark.parametrize(
    ("channels", "image_size", "images"),
    [((64, 64, 64), 28, 83), ((32, 64, 128), 28, 167), ((64, 64, 64), 84, 9), ((1, 8), 28, 2674), ((64,), 2000, 1)],
)
def test_a_pass_holds_as_many_images_as_16_mib_of_the_largest_activation(channels, image_size, images):
    with torch.device("meta"):
        encoder = build_encoder(
            channels=channels, residual=(True,) * len(channels), image_size=image_size, projection=0
        )
    # 2674: the second block's 14 x 14 x 8 are more than the first one's 28 x 28.
    size, largest = image_size, 0
    for number in channels:
        largest, size = max(largest, 4 * number * size**2), size // 2
    assert images_per_pass(encoder) == images_per_pass(encoder.encoder) == images == max(1, 16 * 2**20 // largest)
    assert images_per_pass(encoder.double()) == max(1, 16 * 2**20 // (2 * largest))


@pytest.mark.parametrize(("count", "size"), [(7, 3), (6, 3), (1, 3), (3, 8)])
def test_passes_give_what_one_gives_and_none_of_their_results_is_kept(count, size):
    kept = []

    def call(part):
        result = torch.stack([part.sum((1, 2, 3)), part.amax((1, 2, 3))], 1)
        assert all(earlier() is None for earlier in kept[1:])  # the first gives the shape
        kept.append(weakref.ref(result))
        return result

    seen = images(count)
    assert_close(in_passes(call, seen, size), call(seen), rtol=0, atol=0)
