"""Several views of one image: its four rotations and their mirrors, seen one by one and joined."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from fastslow.core.encoders import ConvEncoder, ImageEncoder, Projection, images_per_pass
from fastslow.core.gaussian import class_sums, evened, statistics_of_sums, telling_axes
from fastslow.errors import InputError

#: Rotations by 90 degrees, and the mirror image of each.
NUM_VIEWS = 8
#: Share of the covariance within classes that is made the same in all directions, as classes of training vary less than
#: others do. Chosen on validation classes (`benchmarks/views.py`), where 0.3 and 0.7 do about as well.
_EVEN = 0.5


def views_of(images: Float[Tensor, "batch 1 size size"]) -> Float[Tensor, "views_times_batch 1 size size"]:
    """All images in their first view, then all in their second: turned by 0, 90, 180 and 270 degrees, then mirrored."""
    turned = torch.cat([torch.rot90(images, k, (2, 3)) for k in range(NUM_VIEWS // 2)])
    return torch.cat([turned, turned.flip(3)])


def seen_from(view: int, again: int) -> int:
    """Which view of an image it is that is seen where its view `view` is itself looked at in view `again`."""
    mirrored, turns = divmod(view, NUM_VIEWS // 2)
    mirrored_again, turns_again = divmod(again, NUM_VIEWS // 2)
    turned = turns + (-turns_again if mirrored else turns_again)  # a mirror image turns the other way
    return turned % (NUM_VIEWS // 2) + (mirrored != mirrored_again) * (NUM_VIEWS // 2)


def features_of_views(
    encoder: ImageEncoder, images: Float[Tensor, "batch 1 size size"]
) -> Float[Tensor, "views batch features"]:
    """What an encoder makes of every view of each image, in the order of `views_of`, by one pass a view.

    One that joins views sees in each the same eight, in another order.

    Args:
        encoder: of the images' size.
        images: in [0, 1].

    Returns:
        Shape (`NUM_VIEWS`, batch, features).
    """
    if not (isinstance(encoder, ViewsEncoder) and encoder.joins):
        features: Tensor = encoder(views_of(images))
        return features.reshape(NUM_VIEWS, len(images), -1)
    seen = encoder.joined(images).reshape(len(images), NUM_VIEWS, -1)
    orders = [[seen_from(view, again) for again in range(NUM_VIEWS)] for view in range(NUM_VIEWS)]
    return torch.stack([encoder.on_axes(seen[:, order].flatten(1)) for order in orders])


class ViewsEncoder(ImageEncoder):
    r"""An encoder that sees each image in `NUM_VIEWS` views; their features are joined and put on principal axes.

    Nothing here is trained by a loss. The joined features :math:`f \in R^{8d}` of the training images give a mean
    :math:`\mu` and, as the columns of :math:`P`, their d principal axes; what comes out is
    :math:`(f - \mu) P T / \sqrt 8`. Without T squared distances would be, but for what lies off the axes, the mean over
    the views of the squared distances in each; T weighs directions by how well they tell training classes apart
    (`gaussian.telling_axes`) and leaves the sum of all variances as it is. An encoder that tells turned and mirrored
    characters apart sees a little else in each view, and their errors are not the same ones. It costs eight passes an
    image.

    Args:
        encoder: the convolutions.
        projection: the projection, or None.

    Attributes:
        joins: whether all views are seen and joined; if not, as while it is trained, only the image as it is.
    """

    num_views = NUM_VIEWS
    mean: Tensor
    axes: Tensor

    def __init__(self, encoder: ConvEncoder, projection: Projection | None) -> None:
        super().__init__(encoder, projection)
        size = self.num_features
        self.register_buffer("mean", torch.zeros(NUM_VIEWS * size))
        # Until they are fitted, the mean over the views.
        self.register_buffer("axes", torch.eye(size).repeat(NUM_VIEWS, 1) / NUM_VIEWS**0.5)
        self.joins = True

    def forward(self, images: Float[Tensor, "batch 1 size size"]) -> Float[Tensor, "batch features"]:
        """Images (batch, 1, size, size) in [0, 1] to features (batch, num_features)."""
        if not self.joins:
            return super().forward(images)
        return self.on_axes(self.joined(images))

    def on_axes(self, joined: Float[Tensor, "batch views_times_features"]) -> Float[Tensor, "batch features"]:
        """Features of all views of an image side by side, on the axes."""
        features: Tensor = (joined - self.mean) @ self.axes / NUM_VIEWS**0.5
        return features

    def joined(self, images: Float[Tensor, "batch 1 size size"]) -> Float[Tensor, "batch views_times_features"]:
        """Features of all views of an image side by side."""
        features = super().forward(views_of(images))
        return features.reshape(NUM_VIEWS, images.shape[0], -1).transpose(0, 1).flatten(1)

    def folded(self) -> ViewsEncoder:
        """See `ImageEncoder.folded`."""
        plain = super().folded()
        folded = ViewsEncoder(plain.encoder, plain.projection).eval().requires_grad_(False)
        folded.joins = self.joins
        folded.log_sharpness, folded.mean, folded.axes = plain.log_sharpness, self.mean.clone(), self.axes.clone()
        return folded

    def one_view(self) -> ImageEncoder:
        """The same encoder, of each image as it is; shares its parts with this one."""
        encoder = ImageEncoder(self.encoder, self.projection)
        encoder.log_sharpness = self.log_sharpness
        return encoder.train(self.training)

    @torch.no_grad()
    def fit(
        self,
        images: UInt8[Tensor, "images height width"],
        labels: Int64[Tensor, " images"],
        on_pass: Callable[[int], object] = lambda images: None,
    ) -> None:
        """Mean and axes of the joined features of images, under frozen statistics.

        Args:
            images: to train on, bytes.
            labels: their classes, numbered from 0.
            on_pass: called before each pass, with how many images it is of.

        Raises:
            ValueError: if there are not more images than features come out, fewer than two classes, no class of two
                images, or classes that do not vary.
        """
        self.refuse_too_few(len(images))
        was_training = self.training
        self.eval()
        try:
            sums, counts, products = self._sums(images, labels, on_pass)
        finally:
            self.train(was_training)
        mean = sums.sum(0) / len(images)
        covariance = products / len(images) - torch.outer(mean, mean)
        principal = torch.linalg.eigh(covariance).eigenvectors.flip(1)[:, : self.num_features]
        statistics = statistics_of_sums(principal.mT @ products @ principal, sums @ principal, counts)
        telling = principal @ telling_axes(statistics._replace(within=evened(statistics.within, _EVEN)))
        scale = ((principal.mT @ covariance @ principal).trace() / (telling.mT @ covariance @ telling).trace()).sqrt()
        self.mean.copy_(mean)
        self.axes.copy_(_signed(scale * telling))

    def refuse_too_few(self, num_images: int) -> None:
        """Refuses images to `fit` to that are not more than features come out."""
        if num_images <= self.num_features:
            raise InputError(
                f"got {num_images} images to fit {self.num_features} principal axes to; give more images, or fewer "
                "features (model.projection)"
            )

    def _sums(self, images: Tensor, labels: Tensor, on_pass: Callable[[int], object]) -> tuple[Tensor, Tensor, Tensor]:
        """Of the joined features of images, in 64 bits: of each class's, how many those are, and of all products."""
        size, classes = len(self.mean), int(labels.max()) + 1
        sums, counts, products = (
            torch.zeros(s, dtype=torch.float64) for s in ((classes, size), (classes,), (size, size))
        )
        passes = images_per_pass(self)
        for part, part_labels in zip(torch.split(images, passes), torch.split(labels.cpu(), passes), strict=True):
            on_pass(len(part))
            unit = part.unsqueeze(1).to(self.mean.device).to(torch.float32) / 255
            joined = self.joined(unit).cpu().double()
            part_sums, part_counts = class_sums(joined, part_labels, classes)
            sums += part_sums
            counts += part_counts
            products += joined.mT @ joined
        return sums, counts, products


def _signed(axes: Float[Tensor, "features axes"]) -> Float[Tensor, "features axes"]:
    """Each axis pointing where its largest part is positive: a decomposition leaves that open."""
    largest = axes.gather(0, axes.abs().argmax(0, keepdim=True))
    return axes * largest.sign()
