import math

import pytest
import torch
from torch.nn import functional as F
from torch.testing import assert_close

from fastslow.core.encoders import ConvEncoder, ImageEncoder
from fastslow.methods.matching import MatchingNetwork


def make(num_classes=3, dim=2, sharpness=1.0):
    """A matching network on features of a size, at a sharpness."""
    encoder = ImageEncoder(ConvEncoder(channels=(dim,), image_size=2), None).double()
    torch.nn.init.constant_(encoder.log_sharpness, math.log(sharpness / dim))
    return MatchingNetwork(encoder=encoder, num_classes=num_classes)


def task(n_way=3, n_shot=2, n_query=4, dim=5, seed=0):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(n_way).repeat(2, n_shot)
    support = torch.randn(2, n_way * n_shot, dim, generator=generator, dtype=torch.float64)
    return support, labels, torch.randn(2, n_query, dim, generator=generator, dtype=torch.float64)


def test_by_hand():
    # Cosines of the query (2, 0) are 1, 0 and -1: attention e, 1 and 1/e over their sum. Class 1 has two of them.
    support = torch.tensor([[[5.0, 0.0], [0.0, 0.1], [-3.0, 0.0]]], dtype=torch.float64)
    logits = make(2)(support, torch.tensor([[0, 1, 1]]), torch.tensor([[[2.0, 0.0]]], dtype=torch.float64))
    total = math.e + 1 + 1 / math.e
    expected = [math.log(math.e / total), math.log((1 + 1 / math.e) / total)]
    assert_close(logits, torch.tensor([[expected]], dtype=torch.float64))


@pytest.mark.parametrize("sharpness", [0.5, 20.0])
def test_logits_are_the_logarithms_of_the_attention_of_each_class(sharpness):
    support, labels, query = task()
    logits = make(dim=5, sharpness=sharpness)(support, labels, query)
    for b in range(2):
        for n in range(4):
            cosines = F.cosine_similarity(support[b], query[b, n].unsqueeze(0), dim=-1)
            attention = (sharpness * cosines).softmax(0)
            shares = torch.stack([attention[labels[b] == c].sum() for c in range(3)])
            assert_close(logits[b, n].exp(), shares)
    assert_close(logits.exp().sum(-1), torch.ones(2, 4, dtype=torch.float64))


def test_only_directions_count_and_the_order_of_the_support_set_does_not():
    support, labels, query = task()
    method = make(dim=5)
    logits = method(support, labels, query)
    assert_close(method(3 * support, labels, 0.1 * query), logits)
    assert_close(method(support.flip(1), labels.flip(1), query), logits)


def test_a_class_that_was_never_shown_gets_no_attention_and_training_goes_on():
    support, labels, query = task(n_way=2)
    method = make(num_classes=4, dim=5)
    support.requires_grad_()
    logits = method(support, labels, query)
    assert torch.isinf(logits[..., 2:]).all()
    F.cross_entropy(logits.flatten(0, 1), torch.zeros(8, dtype=torch.int64)).backward()
    assert torch.isfinite(support.grad).all()
    assert method.encoder.log_sharpness.grad.abs() > 0


def test_a_share_too_small_for_a_number_still_has_a_logarithm():
    support = torch.tensor([[[1.0, 0.0], [-1.0, 0.0]]])
    method = make(2, sharpness=200.0).float()
    logits = method(support, torch.tensor([[0, 1]]), torch.tensor([[[1.0, 0.0]]]))
    assert_close(logits, torch.tensor([[[0.0, -400.0]]]))


def test_gradients():
    support, labels, query = task(n_query=2)
    method = make(dim=5)
    inputs = (support.requires_grad_(), query.requires_grad_())
    assert torch.autograd.gradcheck(lambda s, q: method(s, labels, q), inputs)


def test_the_encoder_is_trained_under_the_methods_own_comparison():
    features = torch.randn(4, 2, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    method = make(num_classes=4, dim=5, sharpness=3.0)
    labels = torch.arange(4)
    one_shot = [(features[:, 0], features[:, 1]), (features[:, 1], features[:, 0])]
    losses = [
        F.cross_entropy(method(support.unsqueeze(0), labels.unsqueeze(0), query.unsqueeze(0))[0], labels)
        for support, query in one_shot
    ]
    assert_close(method.pair_loss(features), sum(losses) / 2)


def test_a_drawing_without_any_feature_leaves_nothing_that_is_not_finite():
    features = torch.zeros(3, 2, 2, requires_grad=True)
    make().float().pair_loss(features).backward()
    assert torch.isfinite(features.grad).all()
