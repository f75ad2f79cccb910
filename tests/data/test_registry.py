import gzip
import inspect
import struct

import numpy as np
import pytest
import torch

from fastslow.data import DATA, data_names, load_source, make_glyphs
from fastslow.data.base import ClassImages
from fastslow.data.registry import DataSource
from fastslow.data.splits import make_split
from fastslow.errors import InputError


def write_mnist(folder):
    """Twelve digits, 0 to 9 for training and 8, 9 for test."""
    for prefix, labels in (("train", range(10)), ("t10k", (8, 9))):
        values = np.array(labels, np.uint8)
        images = np.full((len(labels), 28, 28), 10, np.uint8) * values[:, None, None]
        for kind, array in (("images-idx3", images), ("labels-idx1", values)):
            header = bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape)
            (folder / f"{prefix}-{kind}-ubyte.gz").write_bytes(gzip.compress(header + array.tobytes()))


def test_glyphs_are_what_they_were(few_glyphs):
    data, split = load_source("glyphs")
    assert torch.equal(data.images, make_glyphs(num_classes=60, per_class=20, seed=0).images)
    assert (split.name, split.train, split.validation) == ("glyphs", tuple(range(40)), tuple(range(40, 50)))
    assert split.test == tuple(range(50, 60))


def test_all_glyphs_have_the_split_that_results_name():
    names = [f"glyph{c:04d}" for c in range(1500)]
    split = DATA["glyphs"].splits["glyphs"](names)
    assert split.sha256 == "facfc7f4aaac90e996661eee03ebd6c25bfeea81c03c8f625923255dad398e8f"


def test_any_data_come_at_any_size(few_glyphs, tmp_path):
    write_mnist(tmp_path)
    for name, size in (("glyphs", 14), ("mnist", 40), ("digits", 84)):
        data, _ = load_source(name, data_dir=tmp_path, image_size=size)
        assert data.images.shape[1:] == (size, size)
        assert data.images.max() > 60


def test_mnist_has_both_parts_and_other_digits_for_test_than_for_training(tmp_path):
    write_mnist(tmp_path)
    data, split = load_source("mnist", data_dir=str(tmp_path))
    assert data.labels.tolist() == [*range(10), 8, 9]
    assert data.images[3].unique().tolist() == [30]
    assert (split.train, split.validation, split.test) == ((0, 1, 2, 3, 4), (), (5, 6, 7, 8, 9))
    assert load_source("digits")[1] == split


def test_every_data_set_says_what_it_is_and_its_splits_divide_its_own_classes(few_glyphs, tmp_path):
    write_mnist(tmp_path)
    for name, source in DATA.items():
        assert source.about
        if name != "omniglot":
            data = source.load(tmp_path, 28)
            for label, divide in source.splits.items():
                assert divide(data.class_names).name == label
                assert len(divide(data.class_names).part("all")) == data.num_classes
    assert list(DATA["omniglot"].splits) == ["vinyals", "lake"]


def test_a_new_data_set_is_one_line(monkeypatch):
    def load(_data_dir, image_size):
        return ClassImages(torch.zeros(2, image_size, image_size, dtype=torch.uint8), [0, 1], ("a", "b"))

    def halves(names):
        return make_split("halves", names, train=[0], validation=[], test=[1])

    monkeypatch.setitem(DATA, "blank", DataSource("blank paper", load, {"halves": halves}))
    data, split = load_source("blank", image_size=7)
    assert data.images.shape == (2, 7, 7)
    assert split.name == "halves"
    assert "blank" in data_names()
    with pytest.raises(InputError, match=r"got data='nothing'; give .*blank, or a folder"):
        load_source("nothing")


@pytest.mark.parametrize("data", ["nowhere", "", "a\0b", "x" * 5000, "Omniglot"])
def test_unknown_data_list_the_choices(data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        InputError, match=r"give glyphs, omniglot, mnist, digits, or a folder .* \(there is no"
    ) as caught:
        load_source(data)
    assert len(str(caught.value)) < 250


def test_unknown_splits_list_the_choices(few_glyphs):
    assert load_source("glyphs", split="vinyals")[1] == load_source("glyphs", split="glyphs")[1]
    with pytest.raises(InputError, match=r"'glyphs' has no split 'lake'; choose from \['glyphs'\]"):
        load_source("glyphs", split="lake")
    with pytest.raises(InputError, match=r"'omniglot' has no split 'x'; choose from \['vinyals', 'lake'\]"):
        load_source("omniglot", split="x")


@pytest.mark.parametrize("data", [None, 5, True, ["omniglot"]])
def test_what_is_no_name_and_no_folder_is_refused(data):
    with pytest.raises(InputError, match=r"got data=.*; give .*or a folder"):
        inspect.unwrap(load_source)(data)


@pytest.mark.parametrize("size", [True, 28.0, "28", 0])
def test_an_image_size_is_a_whole_number(tmp_path, size):
    for data in (tmp_path, "digits"):
        with pytest.raises(InputError, match=r"image_size is .*; give a whole number of at least 1"):
            inspect.unwrap(load_source)(data, image_size=size)
