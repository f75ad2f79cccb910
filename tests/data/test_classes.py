import pytest
import torch

from fastslow.data import ClassImages
from fastslow.errors import InputError


def numbered_images() -> ClassImages:
    """Three classes a, b, c of 1, 2 and 1 images; every pixel of image i is i."""
    images = torch.arange(4, dtype=torch.uint8)[:, None, None].expand(4, 2, 2).clone()
    return ClassImages(images, torch.tensor([0, 1, 1, 2]), ("a", "b", "c"))


def test_select_renumbers_in_the_order_given():
    chosen = numbered_images().select([2, 1])
    assert chosen.class_names == ("c", "b")
    assert chosen.images[:, 0, 0].tolist() == [1, 2, 3]
    assert chosen.labels.tolist() == [1, 1, 0]


@pytest.mark.parametrize("classes", [[0, 0], [3], [-1]])
def test_select_refuses_repeated_and_unknown_classes(classes):
    with pytest.raises(InputError, match=r"different class numbers in \[0, 3\)"):
        numbered_images().select(classes)


def test_rotations_are_new_classes():
    data = ClassImages(torch.tensor([[[1, 2], [3, 4]]], dtype=torch.uint8), torch.tensor([0]), ("a",))
    turned = data.with_rotations()
    assert turned.class_names == ("a", "a@90", "a@180", "a@270")
    assert turned.labels.tolist() == [0, 1, 2, 3]
    assert torch.equal(turned.images[2], torch.tensor([[4, 3], [2, 1]], dtype=torch.uint8))
    assert len({tuple(image.flatten().tolist()) for image in turned.images}) == 4


def test_labels_must_fit():
    images = torch.zeros(2, 2, 2, dtype=torch.uint8)
    with pytest.raises(InputError, match="from 0 to 1, but there are 1 class names"):
        ClassImages(images, torch.tensor([0, 1]), ("a",))
