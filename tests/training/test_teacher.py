"""An encoder in training is drawn to what another makes of the same images."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from fastslow.core.encoders import build_encoder
from fastslow.core.views import ViewsEncoder
from fastslow.data.base import ClassImages
from fastslow.errors import InputError
from fastslow.protocol.features import to_unit
from fastslow.training.interruption import Abandoned, Stop
from fastslow.training.teacher import Teacher, Teaching, taught_features, unlikeness

SIZE, DIM = 8, 6
CPU = torch.device("cpu")


def make_encoder(seed=0, *, views=False):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        encoder = build_encoder(channels=(4, 5), residual=(False, True), image_size=SIZE, projection=DIM).eval()
    return ViewsEncoder(encoder.encoder, encoder.projection).eval() if views else encoder


def make_images(seed=0):
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(256, (40, SIZE, SIZE), dtype=torch.uint8, generator=generator)
    return ClassImages(images, torch.arange(40) % 4, tuple("abcd"))


def make_teacher(*encoders, sha256="a" * 64):
    given = iter(encoders)
    return Teacher(lambda: Teaching(next(given), make_images(), mirrors=True, sha256=sha256), Stop(), CPU)


@pytest.mark.parametrize("mirrors", [False, True])
@pytest.mark.parametrize("views", [False, True])
def test_features_taught_are_those_of_each_image_trained_on(views, mirrors):
    encoder, images = make_encoder(views=views), make_images()
    if views:
        encoder.fit(images.images, images.labels)
    trained_on = (images.with_mirrors() if mirrors else images).with_rotations()
    found = taught_features(Teaching(encoder, images, mirrors, "a"), Stop(), CPU)
    with torch.no_grad():
        assert_close(found, encoder(to_unit(trained_on.images)), rtol=1e-4, atol=1e-5)


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_features_are_alike_but_for_turns_mirrors_shift_and_scale():
    features = random(30, DIM)
    turn = torch.linalg.qr(random(DIM, DIM, seed=1)).Q
    assert float(unlikeness(features, 3 * features @ turn + 5)) == pytest.approx(0, abs=1e-12)
    assert 0.1 < float(unlikeness(features, features * torch.linspace(0.1, 3, DIM, dtype=torch.float64))) < 1
    assert float(unlikeness(random(4000, DIM), random(4000, 9, seed=1))) > 0.99
    assert float(unlikeness(features, torch.ones(30, 9, dtype=torch.float64))) == 1  # a teacher that tells nothing


def test_unlikeness_is_that_of_all_inner_products():
    ours, theirs = random(20, DIM), random(20, 9, seed=1)
    first, second = (centred @ centred.mT for centred in (part - part.mean(0) for part in (ours, theirs)))
    expected = 1 - (first * second).sum() / (first.norm() * second.norm())
    assert_close(unlikeness(ours, theirs), expected)


def test_features_that_follow_the_loss_come_near_those_of_the_teacher():
    teacher = make_teacher(make_encoder(seed=1))
    teacher.begin()
    places = torch.arange(0, 320, 5)
    features = random(len(places), DIM).float().requires_grad_()
    before = float(teacher.loss(features.detach(), places))
    for _ in range(100):
        [gradient] = torch.autograd.grad(teacher.loss(features, places), features)
        features = (features - 200 * gradient).detach().requires_grad_()
    assert before > 0.5
    assert float(unlikeness(features.detach(), teacher.features[places])) < 0.1 * before


def test_another_teacher_is_refused_before_it_is_asked():
    teacher = make_teacher(make_encoder(), make_encoder())
    teacher.begin()
    teacher.begin()  # as where a run goes on
    teacher.end()
    assert teacher.features is None
    other = make_teacher(None, sha256="b" * 64)
    other.sha256 = teacher.sha256
    with pytest.raises(InputError, match="got a teacher of SHA-256 bbbbbbbb; this run was begun with one of aaaaaaaa"):
        other.begin()


def test_a_user_can_stop_while_the_teacher_sees_the_images():
    teacher = make_teacher(make_encoder())
    teacher.stop.requested = True
    with pytest.raises(Abandoned):
        teacher.begin()
    assert teacher.sha256 is None
