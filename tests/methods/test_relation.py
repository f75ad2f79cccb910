import math

import pytest
import torch
from torch.testing import assert_close

from fastslow.core.encoders import build_encoder
from fastslow.methods import build_method
from fastslow.methods.base import Task
from fastslow.methods.config import preset
from fastslow.methods.relation import SCALE, RelationModule, RelationNetwork, map_shape


def make(num_classes=3, *, channels=4, image_size=12, projection=0):
    """A relation network in double precision and evaluation mode, whose batch norms have seen something."""
    torch.manual_seed(0)
    encoder = build_encoder(channels=(2, channels), residual=(False,) * 2, image_size=image_size, projection=projection)
    size, edge, _ = map_shape(encoder.encoder)
    method = RelationNetwork(
        encoder=encoder, num_classes=num_classes, relation=RelationModule(channels=size, edge=edge)
    )
    for norm in method.modules():
        if isinstance(norm, torch.nn.BatchNorm2d):
            norm.running_mean.uniform_(-1, 1)
            norm.running_var.uniform_(0.5, 2)
            torch.nn.init.uniform_(norm.weight, 0.5, 2)
            torch.nn.init.uniform_(norm.bias, -1, 1)
    return method.double().eval()


def task(n_way=3, n_shot=2, n_query=4, features=36):
    generator = torch.Generator().manual_seed(0)
    labels = torch.stack([torch.arange(n_way).repeat(n_shot), torch.arange(n_way * n_shot) % n_way])
    support = torch.rand(2, n_way * n_shot, features, generator=generator, dtype=torch.float64)
    query = torch.rand(2, n_query, features, generator=generator, dtype=torch.float64)
    return Task(support, labels, query, torch.randint(n_way, (2, n_query), generator=generator))


def normal(norm, maps):
    """Frozen batch norm of one example, (channels, height, width)."""
    of = [part.view(-1, 1, 1) for part in (norm.running_mean, norm.running_var, norm.weight, norm.bias)]
    return (maps - of[0]) / (of[1] + norm.eps).sqrt() * of[2] + of[3]


def convolved(weight, maps):
    """A convolution 3 x 3 with a border of zeros, place by place."""
    height, width = maps.shape[1:]
    padded = torch.zeros(len(maps), height + 2, width + 2, dtype=maps.dtype)
    padded[:, 1:-1, 1:-1] = maps
    out = torch.zeros(len(weight), height, width, dtype=maps.dtype)
    for y in range(height):
        for x in range(width):
            out[:, y, x] = (weight * padded[:, y : y + 3, x : x + 3]).flatten(1).sum(1)
    return out


def pooled(maps):
    """The largest of each 2 x 2, odd last rows and columns by themselves."""
    rows = [
        torch.stack([maps[:, y : y + 2, x : x + 2].flatten(1).amax(1) for x in range(0, maps.shape[2], 2)], 1)
        for y in range(0, maps.shape[1], 2)
    ]
    return torch.stack(rows, 1)


def reference_score(module, class_map, query):
    """One relation score by loops: the two maps set one on the other, then the layers as published."""
    maps = torch.cat([class_map, query])
    for conv, norm in ((module.conv1, module.norm1), (module.conv2, module.norm2)):
        maps = pooled(normal(norm, convolved(conv.weight, maps)).clamp_min(0))
    hidden = (module.hidden.weight @ maps.flatten() + module.hidden.bias).clamp_min(0)
    return 1 / (1 + (-(module.score.weight @ hidden + module.score.bias)).exp())


@pytest.mark.parametrize("edge", [2, 3, 5])
def test_scores_agree_with_the_published_layers_on_each_pair_by_itself(edge):
    method = make(image_size=4 * edge)
    given = task(features=4 * edge**2)
    logits = method(given.support, given.support_labels, given.query)
    with torch.no_grad():
        for b in range(2):
            for c in range(3):
                members = [given.support[b, n] for n in range(6) if given.support_labels[b, n] == c]
                class_map = sum(members) / len(members)
                for n in range(4):
                    maps = (part.view(4, edge, edge) for part in (class_map, given.query[b, n]))
                    score = reference_score(method.relation, *maps)
                    assert_close(logits[b, n, c], SCALE * score[0])
    assert logits.std() > 1e-3


def test_the_loss_is_the_mean_squared_distance_of_scores_to_one_and_zero():
    method, given = make(), task()
    scores = (method(given.support, given.support_labels, given.query) / SCALE).tolist()
    distances = [
        (score - (label == c)) ** 2
        for task_scores, labels in zip(scores, given.query_labels.tolist(), strict=True)
        for row, label in zip(task_scores, labels, strict=True)
        for c, score in enumerate(row)
    ]
    assert method.loss(given).item() == pytest.approx(sum(distances) / 24)
    assert method.loss(given._replace(cut=2)) == method.loss(given)


def test_classes_never_shown_are_no_answer_and_do_not_count_in_the_loss():
    method, given = make(num_classes=5), task()
    logits = method(given.support, given.support_labels, given.query)
    assert (logits[..., 3:] == -math.inf).all()
    assert torch.isfinite(logits[..., :3]).all()
    few = make(num_classes=3)
    few.load_state_dict(method.state_dict())
    assert_close(method.loss(given), few.loss(given))
    method.loss(given).backward()
    assert all(torch.isfinite(p.grad).all() for p in method.relation.parameters())


def test_a_class_is_the_mean_of_its_maps_so_that_order_and_names_play_no_part():
    method, given = make(), task()
    state = method.learn(given.support, given.support_labels)
    flipped = method.learn(given.support.flip(1), given.support_labels.flip(1))
    assert_close(method.answer(given.query, flipped), method.answer(given.query, state))
    names = torch.tensor([2, 0, 1])
    renamed = method(given.support, names[given.support_labels], given.query)
    assert_close(renamed[..., names], method.answer(given.query, state))
    five_times = method(given.support.repeat(1, 5, 1), given.support_labels.repeat(1, 5), given.query)
    assert_close(five_times, method.answer(given.query, state))


def test_batch_norm_of_the_module_is_by_the_batch_in_training_and_frozen_after():
    method, given = make(), task()
    state = method.learn(given.support, given.support_labels)
    before = method.relation.norm1.running_mean.clone()
    one = method.answer(given.query[:, :1], state)
    assert_close(method.answer(given.query, state)[:, :1], one)
    assert torch.equal(method.relation.norm1.running_mean, before)
    method.train()
    assert not torch.allclose(method.answer(given.query, state)[:, :1], method.answer(given.query[:, :1], state))
    assert not torch.equal(method.relation.norm1.running_mean, before)


@pytest.mark.parametrize(("name", "shape"), [("paper", (64, 3, 3)), ("default", (128, 3, 3))])
def test_a_projection_is_left_out_and_both_presets_leave_the_module_something(name, shape):
    method = build_method(preset(name, method="relation")).eval()
    assert method.map_shape == shape
    assert method.encoder.projection is None
    assert method.relation.hidden.in_features == 64
    assert method.relation.hidden.out_features == 8
    maps = method.embed(images := torch.rand(2, 1, 28, 28)).view(2, *shape)
    assert torch.equal(maps, method.encoder.encoder.blocks(images))


def test_gradients_reach_the_maps_of_both_sides():
    method, given = make(), task(n_shot=1, n_query=1)
    support, query = given.support[:1].requires_grad_(), given.query[:1].requires_grad_()
    labels = given.support_labels[:1]
    assert torch.autograd.gradcheck(lambda s, q: method(s, labels, q), (support, query))
    grads = torch.autograd.grad(method(support, labels, query).sum(), (support, query))
    assert all(grad.abs().sum() > 0 for grad in grads)
