"""Several views of one image, joined and put on principal axes."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from fastslow.core.encoders import build_encoder
from fastslow.core.gaussian import class_axes, class_statistics
from fastslow.core.views import NUM_VIEWS, ViewsEncoder, features_of_views, seen_from, views_of
from fastslow.errors import InputError

SIZE, DIM = 8, 6
LABELS = torch.arange(60) % 12


def make(seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        plain = build_encoder(channels=(4, 5), residual=(False, True), image_size=SIZE, projection=DIM)
    return ViewsEncoder(plain.encoder, plain.projection).eval()


def drawings(count=40, seed=0):
    return torch.randint(256, (count, SIZE, SIZE), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def unit(images):
    return images.unsqueeze(1) / 255


def test_views_are_the_eight_symmetries_of_a_square():
    seen = views_of(torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]]))
    corners = {tuple(view.flatten().tolist()) for view in seen}
    assert corners == {
        (1, 2, 3, 4), (2, 4, 1, 3), (4, 3, 2, 1), (3, 1, 4, 2), (2, 1, 4, 3), (4, 2, 3, 1), (3, 4, 1, 2), (1, 3, 2, 4),
    }  # fmt: skip


@torch.no_grad()
def test_joined_features_are_those_of_each_view_by_itself():
    encoder, images = make(), unit(drawings(3))
    joined = encoder.joined(images)
    one = encoder.one_view()
    for i, image in enumerate(images):
        views = [one(view.unsqueeze(0))[0] for view in views_of(image.unsqueeze(0))]
        assert_close(joined[i], torch.cat(views))


@torch.no_grad()
def test_before_they_are_fitted_the_views_are_averaged():
    encoder, images = make(), unit(drawings(3))
    assert_close(encoder(images), encoder.joined(images).unflatten(1, (NUM_VIEWS, DIM)).mean(1))


@torch.no_grad()
def test_an_encoder_that_does_not_join_sees_the_image_as_it_is():
    encoder, images = make(), unit(drawings(3))
    encoder.joins = False
    expected = encoder.one_view()(images)
    assert torch.equal(encoder(images), expected)
    assert_close(encoder.folded()(images), expected, rtol=1e-4, atol=1e-5)
    encoder.joins = True
    assert not torch.equal(encoder(images), expected)


@torch.no_grad()
def test_fitted_features_are_on_principal_axes_weighed_by_what_tells_classes_apart():
    encoder, images = make(), drawings(60)
    encoder.fit(images, LABELS)
    joined = encoder.joined(unit(images)).double()
    centred = joined - joined.mean(0)
    principal = centred @ torch.linalg.svd(centred, full_matrices=False).Vh[:DIM].mT
    statistics = class_statistics(principal, LABELS)
    within = 0.5 * statistics.within + 0.5 * statistics.within.diagonal().mean() * torch.eye(DIM, dtype=torch.float64)
    axes = class_axes(statistics._replace(within=within))
    told = principal @ axes.axes * (axes.spread / (2 * axes.spread + 1)).sqrt()
    scale = principal.square().sum() / told.square().sum() / NUM_VIEWS  # the variance is what it was
    found = encoder(unit(images)).double()
    assert_close(torch.cdist(found, found).square(), scale * torch.cdist(told, told).square(), rtol=1e-3, atol=1e-5)
    assert (encoder.axes.gather(0, encoder.axes.abs().argmax(0, keepdim=True)) > 0).all()


@torch.no_grad()
def test_on_all_axes_squared_distances_are_the_mean_over_the_views():
    encoder, images = make(), drawings(60)
    encoder.fit(images, LABELS)
    size = NUM_VIEWS * DIM
    encoder.axes = torch.linalg.qr(torch.randn(size, size, generator=torch.Generator().manual_seed(1))).Q
    seen, joined = encoder(unit(images)), encoder.joined(unit(images)).unflatten(1, (NUM_VIEWS, DIM))
    mean = torch.stack([torch.cdist(joined[:, v], joined[:, v]).square() for v in range(NUM_VIEWS)]).mean(0)
    assert_close(torch.cdist(seen, seen).square(), mean, rtol=1e-3, atol=1e-4)


@torch.no_grad()
def test_fitting_uses_frozen_statistics_and_moves_no_weight():
    encoder, other = make().train(), make()
    before = {name: value.clone() for name, value in encoder.state_dict().items() if name not in ("mean", "axes")}
    encoder.fit(drawings(60), LABELS)
    assert encoder.training
    assert all(torch.equal(encoder.state_dict()[name], value) for name, value in before.items())
    other.fit(drawings(60), LABELS)
    assert torch.equal(encoder.axes, other.axes)


@torch.no_grad()
def test_folded_equals_it_in_evaluation_mode():
    encoder, images = make(), unit(drawings(5))
    encoder.fit(drawings(60), LABELS)
    encoder.log_sharpness.fill_(1.5)
    folded = encoder.folded()
    assert isinstance(folded, ViewsEncoder)
    assert_close(folded(images), encoder(images), rtol=1e-4, atol=1e-5)
    assert folded.log_sharpness == encoder.one_view().log_sharpness == 1.5


def test_too_few_images_to_fit_to_are_refused():
    with pytest.raises(InputError, match=f"got {DIM} images to fit {DIM} principal axes to"):
        make().fit(drawings(DIM), LABELS[:DIM])
    with pytest.raises(InputError, match="got 60 examples of 60 classes; how features spread needs"):
        make().fit(drawings(60), torch.arange(60))


def test_a_view_of_a_view_is_a_view():
    image = unit(drawings(1))
    views = views_of(image)
    for view in range(NUM_VIEWS):
        for again, seen in enumerate(views_of(views[view : view + 1])):
            assert torch.equal(seen, views[seen_from(view, again)])


@torch.no_grad()
@pytest.mark.parametrize("joins", [True, False, None], ids=["all views joined", "one view", "one that knows no other"])
def test_features_of_every_view_are_those_of_the_view_by_itself(joins):
    encoder, images = make(), drawings(60)
    encoder.fit(images, LABELS)
    if joins is None:
        encoder = encoder.one_view()
    else:
        encoder.joins = joins
    found = features_of_views(encoder, unit(images[:5]))
    assert_close(found, encoder(views_of(unit(images[:5]))).unflatten(0, (NUM_VIEWS, 5)), rtol=1e-4, atol=1e-5)
