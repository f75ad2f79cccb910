import numpy as np
import pytest
from PIL import Image

from fastslow.data import load_folder, load_own_images, load_source, make_split, random_split
from fastslow.errors import InputError


def draw(folder, classes, per_class=2):
    """A bar of ink in another place for each class and drawing."""
    for number, name in enumerate(classes):
        (folder / name).mkdir(parents=True)
        for i in range(per_class):
            pixels = np.full((28, 28), 255, np.uint8)
            pixels[4 + number : 8 + number, 6 + i % 8 : 22] = 0
            Image.fromarray(pixels).save(folder / name / f"{i}.png")


@pytest.mark.parametrize("validation", ["val", "validation"])
def test_a_folder_may_bring_its_own_parts(tmp_path, validation):
    draw(tmp_path / "test", ["e"])
    draw(tmp_path / "train", ["z", "b"])
    draw(tmp_path / validation, ["d"])
    data, split = load_own_images(tmp_path)
    assert data.class_names == ("b", "z", "d", "e")
    assert data.labels.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert data.select(split.train).images.equal(load_folder(tmp_path / "train").images)
    assert data.select(split.test).images.equal(load_folder(tmp_path / "test").images)
    assert split == make_split("folders", data.class_names, train=[0, 1], validation=[2], test=[3])


def test_the_checksum_of_own_parts_tells_their_classes(tmp_path):
    for number, (train, test) in enumerate(((["a", "b"], ["c"]), (["a"], ["b", "c"]), (["a", "b"], ["d"]))):
        draw(tmp_path / str(number) / "train", train)
        draw(tmp_path / str(number) / "test", test)
    assert len({load_own_images(tmp_path / str(i))[1].sha256 for i in range(3)}) == 3


def test_a_part_without_a_folder_is_empty(tmp_path):
    draw(tmp_path / "train", ["a", "b"])
    _, split = load_own_images(tmp_path)
    assert (split.name, split.train, split.validation, split.test) == ("folders", (0, 1), (), ())
    with pytest.raises(InputError, match=r"split folders has no classes for test, only for train \(2\)"):
        split.part("test")


def test_a_class_in_two_parts_is_refused(tmp_path):
    draw(tmp_path / "train", ["cat", "dog"])
    draw(tmp_path / "test", ["dog"])
    with pytest.raises(InputError, match=r"class 'dog' is in two parts of .*; a class belongs to one"):
        load_own_images(tmp_path)


def test_two_folders_of_one_part_are_refused(tmp_path):
    for part in ("train", "val", "validation"):
        draw(tmp_path / part, [f"a{part}"])
    with pytest.raises(InputError, match="holds both val and validation"):
        load_own_images(tmp_path)


@pytest.mark.parametrize("classes", [["train", "test"], ["train", "test", "tram"], ["a", "b", "c"]])
def test_classes_that_are_called_like_parts_are_classes_all_the_same(tmp_path, classes):
    draw(tmp_path, classes)
    data, split = load_own_images(tmp_path)
    assert data.class_names == tuple(sorted(classes))
    assert split.name == "nothing-held-out"


@pytest.mark.parametrize(("classes", "per_class"), [(1, 1), (5, 20), (12, 2)])
def test_small_folders_can_be_read_under_every_entry(tmp_path, classes, per_class):
    draw(tmp_path, [f"c{i:02}" for i in range(classes)], per_class)
    data, split = load_source(str(tmp_path))
    assert data.images.shape == (classes * per_class, 28, 28)
    assert split == random_split(data.class_names, seed=0)
    assert len(split.part("all")) == classes
    assert load_source(tmp_path)[1] == load_own_images(str(tmp_path))[1] == split


def test_a_split_of_another_name_is_refused_for_a_folder(tmp_path):
    draw(tmp_path / "train", ["a"])
    assert load_source(tmp_path, split="folders")[1].name == "folders"
    with pytest.raises(InputError, match="has no split 'lake'"):
        load_source(tmp_path, split="lake")


def save_noise(folder, count):
    """Images in which no ink can be told from paper."""
    folder.mkdir(parents=True)
    for i, pixels in enumerate(np.random.default_rng(0).integers(0, 256, (count, 28, 28)).astype(np.uint8)):
        Image.fromarray(pixels).save(folder / f"{i}.png")


def test_parts_are_taken_for_drawings_or_photographs_together(tmp_path):
    """By itself, the test part alone would be left as it is: dark ink there, bright ink in training."""
    draw(tmp_path / "train", ["a", "b"], per_class=8)
    draw(tmp_path / "val", ["c"], per_class=2)
    draw(tmp_path / "test", ["d"], per_class=2)
    save_noise(tmp_path / "test" / "noise", 2)
    with pytest.raises(InputError, match="has no plain paper"):
        load_own_images(tmp_path)
    save_noise(tmp_path / "test" / "more", 6)
    with pytest.warns(UserWarning, match="8 of the 28 images .*train, .*val, .*test have no plain paper"):
        data, _ = load_own_images(tmp_path)
    drawings = data.images[:18].numpy()  # dark ink on white paper, as in the files
    assert (np.median(drawings, axis=(1, 2)) == 255).all()
