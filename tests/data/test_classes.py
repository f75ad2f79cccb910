import inspect

import numpy as np
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


def test_select_takes_whole_numbers_of_any_kind():
    for classes in (np.array([2, 1]), torch.tensor([2, 1]), (np.int64(2), 1), range(2, 0, -1)):
        assert inspect.unwrap(ClassImages.select)(numbered_images(), classes).class_names == ("c", "b")


@pytest.mark.parametrize(
    "classes", [[0.0, 1.5], ["0"], "0", [True, False], np.array([True, False, True]), np.array([0.0]), 1, None]
)
def test_select_refuses_what_are_no_class_numbers(classes):
    with pytest.raises(InputError, match="to select; a list of class numbers was expected: of a mask, the places"):
        inspect.unwrap(ClassImages.select)(numbered_images(), classes)


@pytest.mark.parametrize("names", [None, 3, "abc", [1, 2, 3]])
def test_class_names_are_texts(names):
    data = numbered_images()
    with pytest.raises(InputError, match="a list of one text per class was expected"):
        inspect.unwrap(ClassImages.__init__)(ClassImages.__new__(ClassImages), data.images, data.labels, names)


def test_rotations_are_new_classes():
    data = ClassImages(torch.tensor([[[1, 2], [3, 4]]], dtype=torch.uint8), torch.tensor([0]), ("a",))
    turned = data.with_rotations()
    assert turned.class_names == ("a", "a@90", "a@180", "a@270")
    assert turned.labels.tolist() == [0, 1, 2, 3]
    assert torch.equal(turned.images[2], torch.tensor([[4, 3], [2, 1]], dtype=torch.uint8))
    assert len({tuple(image.flatten().tolist()) for image in turned.images}) == 4


def test_mirror_images_are_new_classes():
    data = ClassImages(torch.tensor([[[1, 2], [3, 4]]] * 2, dtype=torch.uint8), torch.tensor([0, 1]), ("a", "b"))
    seen = data.with_mirrors()
    assert seen.class_names == ("a", "b", "a@mirror", "b@mirror")
    assert seen.labels.tolist() == [0, 1, 2, 3]
    assert seen.images[3].tolist() == [[2, 1], [4, 3]]


@pytest.mark.parametrize(
    ("number", "drawings", "kept"),
    [
        (24, 2, list(range(24))),  # all of them
        (23, 2, [*range(7), *range(8, 15), *range(16, 23)]),  # few classes: some of each
        (8, 8, list(range(8))),  # many classes: the first ones, whole
        (5, 4, [0, 1, 2, 3]),
        (1, 4, [0, 1, 2, 3]),  # never no class
    ],
)
def test_of_many_images_are_kept_those_of_the_first_classes(number, drawings, kept):
    images = torch.arange(24, dtype=torch.uint8)[:, None, None].expand(24, 2, 2).clone()
    labels = torch.arange(24) // 8
    order = torch.randperm(24, generator=torch.Generator().manual_seed(0))
    for places in (torch.arange(24), order):
        data = ClassImages(images[places], labels[places], ("a", "b", "c")).at_most(number, drawings)
        assert len(data.labels) == len(kept)
        assert data.class_names == ("a", "b", "c")[: data.num_classes]
        assert torch.equal(data.labels, data.images[:, 0, 0].long() // 8)
        if places is not order:
            assert data.images[:, 0, 0].tolist() == kept


def test_labels_must_fit():
    images = torch.zeros(2, 2, 2, dtype=torch.uint8)
    with pytest.raises(InputError, match="from 0 to 1, but there are 1 class names"):
        ClassImages(images, torch.tensor([0, 1]), ("a",))


def test_one_label_per_image_is_wanted():
    with pytest.raises(InputError, match="got 2 images and 1 labels; give one label per image"):
        ClassImages(torch.zeros(2, 2, 2, dtype=torch.uint8), torch.tensor([0]), ("a",))


LABELS = [1, 0, 1]


@pytest.mark.parametrize("labels", [LABELS, tuple(LABELS), np.array(LABELS, ">i4"), np.array(LABELS, np.uint8),
                                    torch.tensor(LABELS, dtype=torch.int32)])  # fmt: skip
def test_arrays_and_lists_are_kept_as_tensors(labels):
    pixels = np.arange(12, dtype=np.uint8).reshape(3, 2, 2)
    pixels.flags.writeable = False
    data = ClassImages(pixels[:, ::-1], labels, ["a", "b"])
    assert torch.equal(data.images, torch.from_numpy(pixels[:, ::-1].copy()))
    assert torch.equal(data.labels, torch.tensor(LABELS))
    assert data.class_names == ("a", "b")
    assert data.select([1]).labels.tolist() == [0, 0]


@pytest.mark.parametrize(
    ("images", "labels", "names", "message"),
    [
        (np.zeros((1, 2, 2)), [0], ("a",), r"got images \(1, 2, 2\) float64; bytes"),
        (torch.zeros(1, 2, 2), [0], ("a",), r"got images \(1, 2, 2\) torch.float32; bytes"),
        (np.zeros((1, 2, 2, 3), np.uint8), [0], ("a",), r"got images \(1, 2, 2, 3\)"),
        ("x.png", [0], ("a",), r"got images 'x\.png'; bytes"),
        (np.zeros((1, 2, 2), np.uint8), [0.0], ("a",), r"the labels hold 0\.0; one whole number per image"),
        (np.zeros((1, 2, 2), np.uint8), [True], ("a",), "the labels hold True"),
        (np.zeros((1, 2, 2), np.uint8), [10**30], ("a",), "beyond 64 bits"),
        (np.zeros((1, 2, 2), np.uint8), "0", ("a",), "got labels='0'"),
        (np.zeros((1, 2, 2), np.uint8), np.array([0.5]), ("a",), "labels of float64 on 1 axes"),
        (np.zeros((1, 2, 2), np.uint8), np.array([[0]]), ("a",), "labels of int64 on 2 axes"),
        (np.zeros((1, 2, 2), np.uint8), torch.tensor([True]), ("a",), r"labels of torch\.bool"),
        (np.zeros((1, 2, 2), np.uint8), [0], "a", "got class_names='a'; a list of one text per class"),
        (np.zeros((1, 2, 2), np.uint8), [0], [1], r"got class_names=\[1\]"),
    ],
)
def test_what_are_no_images_labels_or_names_is_refused_in_words(images, labels, names, message, as_users_call_it):
    with pytest.raises(InputError, match=message):
        ClassImages(images, labels, names)
