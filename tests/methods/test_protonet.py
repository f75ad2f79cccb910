import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F
from torch.testing import assert_close

from fastslow.core.encoders import ConvEncoder, ImageEncoder
from fastslow.methods.base import pair_loss
from fastslow.methods.protonet import PrototypicalNetwork


def make(num_classes, dim=5):
    """Prototypes of features of a size, at sharpness 1."""
    encoder = ImageEncoder(ConvEncoder(channels=(dim,), image_size=2), None)
    torch.nn.init.zeros_(encoder.log_sharpness)
    return PrototypicalNetwork(encoder=encoder, num_classes=num_classes)


def prototype_logits(support, labels, query, *, n_way):
    return make(n_way, support.shape[-1]).to(support.dtype)(support, labels, query)


def task(n_way=3, n_shot=2, n_query=4, dim=5, batch=2, seed=0):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(n_way).repeat(n_shot)
    labels = torch.stack([labels[torch.randperm(len(labels), generator=generator)] for _ in range(batch)])
    support = torch.randn(batch, n_way * n_shot, dim, generator=generator, dtype=torch.float64)
    return support, labels, torch.randn(batch, n_query, dim, generator=generator, dtype=torch.float64)


def test_by_hand():
    # Means (1, 0) of class 0 and (0, 3) of class 1; the query (2, 1) is at squared distances 2 and 8.
    support = torch.tensor([[[0.0, 0.0], [0.0, 3.0], [2.0, 0.0]]])
    logits = prototype_logits(support, torch.tensor([[0, 1, 0]]), torch.tensor([[[2.0, 1.0]]]), n_way=2)
    assert logits.tolist() == [[[2 - 0.5, 3 - 4.5]]]
    assert logits[0, 0, 0] - logits[0, 0, 1] == -0.5 * 2 + 0.5 * 8


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 4), st.integers(1, 3), st.integers(0, 99))
def test_logits_are_minus_half_the_squared_distances_up_to_a_constant_a_query(n_way, n_shot, seed):
    support, labels, query = task(n_way, n_shot, seed=seed)
    logits = prototype_logits(support, labels, query, n_way=n_way)
    for b in range(2):
        for n in range(4):
            distances = [((query[b, n] - support[b, labels[b] == c].mean(0)) ** 2).sum() for c in range(n_way)]
            assert_close(logits[b, n].log_softmax(0), (-0.5 * torch.stack(distances)).log_softmax(0))


def test_the_order_of_the_support_set_does_not_matter_and_queries_are_answered_alone():
    support, labels, query = task()
    logits = prototype_logits(support, labels, query, n_way=3)
    order = torch.tensor([5, 3, 1, 0, 2, 4])
    assert_close(prototype_logits(support[:, order], labels[:, order], query, n_way=3), logits)
    alone = [prototype_logits(support, labels, query[:, n : n + 1], n_way=3) for n in range(4)]
    assert_close(torch.cat(alone, 1), logits)


def test_gradients():
    support, labels, query = task(n_query=2, dim=2)
    inputs = (support.requires_grad_(), query.requires_grad_())
    assert torch.autograd.gradcheck(lambda s, q: prototype_logits(s, labels, q, n_way=3), inputs)


def test_pair_loss_by_hand():
    # One class: nothing to confuse. Two at squared distances 0 and 4, sharpness 1/2: softplus of -1 each way.
    sharpness = torch.tensor(0.5)
    assert pair_loss(torch.randn(1, 2, 3), sharpness).item() == 0
    features = torch.tensor([[[0.0, 0.0], [0.0, 0.0]], [[2.0, 0.0], [2.0, 0.0]]])
    assert_close(pair_loss(features, sharpness), F.softplus(torch.tensor(-1.0)))


def test_pair_loss_is_the_mean_of_both_one_shot_tasks():
    features = torch.randn(4, 2, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    labels = torch.arange(4).unsqueeze(0)
    losses = []
    for support, query in ((0, 1), (1, 0)):
        logits = prototype_logits(features[:, support].unsqueeze(0), labels, features[:, query].unsqueeze(0), n_way=4)
        losses.append(F.cross_entropy(0.7 * logits[0], labels[0]))
    assert_close(pair_loss(features, torch.tensor(0.7, dtype=torch.float64)), sum(losses) / 2)
    assert_close(pair_loss(features.flip(1), torch.tensor(0.7)), pair_loss(features, torch.tensor(0.7)))


def test_pair_loss_can_be_trained_where_two_drawings_are_the_same():
    # The distance itself has no gradient at 0; its square has.
    features = torch.ones(3, 2, 2, requires_grad=True)
    pair_loss(features, torch.tensor(1.0)).backward()
    assert torch.isfinite(features.grad).all()


def test_a_class_never_shown_is_no_answer_and_the_others_are_as_without_it():
    support, labels, query = task(3)
    logits = make(5).double()(support, labels, query)
    assert logits.shape == (2, 4, 5)
    assert torch.isneginf(logits[..., 3:]).all()
    assert torch.equal(logits[..., :3], prototype_logits(support, labels, query, n_way=3))


def test_means_of_examples_shown_in_two_parts_are_means_of_all():
    support, labels, query = task()
    method = make(3).double()
    later = method.learn(support[:, 2:], labels[:, 2:], method.learn(support[:, :2], labels[:, :2]))
    assert_close(method.answer(query, later), method(support, labels, query))


def test_the_sharpness_scales_the_logits_and_learns():
    method, (support, labels, query) = make(3).double(), task()
    plain = method(support, labels, query)
    torch.nn.init.constant_(method.encoder.log_sharpness, -2.0)
    logits = method(support, labels, query)
    assert_close(logits, torch.exp(torch.tensor(-2.0)) * plain)
    F.cross_entropy(logits.flatten(0, 1), torch.zeros(8, dtype=torch.long)).backward()
    assert method.encoder.log_sharpness.grad.abs() > 0
