import hashlib

import pytest
import torch

from fastslow.errors import InputError
from fastslow.protocol.classes import class_digests, classes_trained_on, trained_on, usage


def test_a_digest_is_the_first_8_digits_of_the_names_sha256():
    assert class_digests(["ka", "k\u0101"]) == [hashlib.sha256(n.encode()).hexdigest()[:8] for n in ("ka", "k\u0101")]
    assert len(class_digests(["\udcff"])[0]) == 8  # a folder's name may be no text


def test_training_classes_are_found_by_name_wherever_they_stand():
    details = {"trained_on": trained_on("omniglot", "vinyals", ["b", "d", "e"])}
    assert classes_trained_on(details, ["a", "b", "c", "d"]) == [1, 3]
    assert classes_trained_on(details, ["a", "c"]) == []
    assert details["trained_on"]["data"] == "omniglot"
    assert details["trained_on"]["split"] == "vinyals"


def test_a_model_that_says_nothing_is_not_taken_for_one_without_training_classes():
    assert classes_trained_on({}, ["a"]) is None


@pytest.mark.parametrize("entry", ["omniglot", {}, {"classes": "abcdef01"}, {"classes": [1]}, {"classes": ["abc"]}])
def test_a_damaged_record_is_refused(entry):
    with pytest.raises(InputError, match=r"got trained_on=.*; a list of classes, 8 hex digits each, was expected"):
        classes_trained_on({"trained_on": entry}, ["a"])


def test_usage_counts_what_episodes_are_drawn_from_and_what_is_left_out():
    labels = torch.tensor([0] * 5 + [2] * 4 + [3] * 6)
    used = {"classes_used": 2, "images_used": 11, "images_left_out": 4}
    assert usage(labels, 5) == {**used, "classes_left_out": 1}
    assert usage(labels, 5, num_classes=6) == {**used, "classes_left_out": 4}  # some have no image at all
    assert usage(labels, 1)["images_left_out"] == 0


def test_usage_within_groups_leaves_out_classes_of_groups_with_too_few_of_them():
    labels = torch.tensor([0] * 5 + [1] * 5 + [2] * 4 + [3] * 6)
    groups = torch.tensor([1, 0, 0, 1, 2])
    found = usage(labels, 5, num_classes=5, groups=groups, n_way=2)
    assert found == {"classes_used": 2, "classes_left_out": 3, "images_used": 11, "images_left_out": 9}
    assert usage(labels, 5, num_classes=5, groups=groups) == usage(labels, 5, num_classes=5)
