import hashlib
import inspect

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastslow.data import make_split, random_split
from fastslow.errors import InputError

NAMES = tuple(f"class{i}" for i in range(20))


def test_checksum_by_hand():
    split = make_split("s", ["b", "a", "c"], train=[0, 1], validation=[], test=[2])
    content = '{"name":"s","test":["c"],"train":["a","b"],"validation":[]}'
    assert split.sha256 == hashlib.sha256(content.encode()).hexdigest()
    assert split.train_and_validation == (0, 1)


def test_checksum_does_not_depend_on_numbering_but_on_content():
    split = make_split("s", ["a", "b", "c"], train=[0], validation=[1], test=[2])
    assert make_split("s", ["c", "b", "a"], train=[2], validation=[1], test=[0]).sha256 == split.sha256
    assert make_split("s", ["a", "b", "c"], train=[1], validation=[0], test=[2]).sha256 != split.sha256
    assert make_split("t", ["a", "b", "c"], train=[0], validation=[1], test=[2]).sha256 != split.sha256


def test_parts_are_checked():
    with pytest.raises(InputError, match="class 'a' is listed twice"):
        make_split("s", ["a", "b"], train=[0], validation=[], test=[0])
    with pytest.raises(InputError, match="class 2 in test, but there are 2 classes"):
        make_split("s", ["a", "b"], train=[0], validation=[], test=[2])
    with pytest.raises(InputError, match="'a' is there more than once"):
        make_split("s", ["a", "a"], train=[0], validation=[], test=[1])


@given(seed=st.integers(0, 1000), num=st.integers(10, 60))
def test_random_split_is_a_partition(seed, num):
    names = [f"class{i}" for i in range(num)]
    split = random_split(names, seed=seed, fractions=(0.5, 0.2, 0.3))
    assert sorted(split.train + split.validation + split.test) == list(range(num))
    assert abs(len(split.train) - num / 2) <= 0.5
    assert split == random_split(names, seed=seed, fractions=(0.5, 0.2, 0.3))


def test_random_split_goes_by_names_not_numbers():
    split, backwards = random_split(NAMES, seed=3), random_split(NAMES[::-1], seed=3)
    assert {NAMES[i] for i in split.test} == {NAMES[::-1][i] for i in backwards.test}
    assert split.sha256 == backwards.sha256
    assert set(split.test) != set(random_split(NAMES, seed=4).test)


def test_an_empty_part_must_be_asked_for():
    assert random_split(NAMES, seed=0, fractions=(0.8, 0.0, 0.2)).validation == ()
    assert len(random_split(NAMES, seed=0, fractions=(1.0, 0.0, 0.0)).train) == 20
    assert len(random_split(NAMES, seed=0, fractions=(0.98, 0.02, 0.0)).validation) == 0


@pytest.mark.parametrize("num", range(10))
def test_of_few_classes_none_is_held_out_and_the_split_says_so(num):
    split = random_split(NAMES[:num], seed=3)
    assert (split.train, split.validation, split.test) == (tuple(range(num)), (), ())
    assert split.name == "nothing-held-out"


def test_ten_classes_are_divided_as_ever():
    split = random_split(NAMES[:10], seed=0)
    assert (split.train, split.validation, split.test) == ((0, 1, 2, 3, 4, 5, 9), (7,), (6, 8))
    assert split.name == "random-0-0.7-0.1-0.2"
    assert split.sha256 == "399731b49e1eb55d5da3b73412d3235106f4b4da5de723c2eb5045ad1922dcab"


def test_a_part_is_found_by_its_name():
    split = make_split("s", NAMES, train=[3, 1], validation=[5], test=[4, 0])
    assert split.part("train") == (3, 1)
    assert split.part("validation") == (5,)
    assert split.part("test") == (4, 0)
    assert split.part("all") == (0, 1, 3, 4, 5)


def test_an_empty_part_is_refused_where_it_is_asked_for_and_the_others_named():
    split = random_split(NAMES[:5], seed=0)
    assert split.part("all") == split.part("train") == (0, 1, 2, 3, 4)
    with pytest.raises(InputError, match=r"no classes for test, only for train \(5\); .*`--part all`"):
        split.part("test")
    with pytest.raises(InputError, match=r"no classes for validation, only for train \(2\) and test \(1\)"):
        make_split("s", NAMES, train=[0, 1], validation=[], test=[2]).part("validation")
    with pytest.raises(InputError, match="only for nothing"):
        make_split("s", [], train=[], validation=[], test=[]).part("all")
    with pytest.raises(InputError, match="got part='tests'; choose from"):
        split.part("tests")


@pytest.mark.parametrize("fractions", [(0.5, 0.5, 0.5), (1.2, -0.4, 0.2), (0.3, 0.3, 0.3)])
def test_fractions_are_checked(fractions):
    with pytest.raises(InputError, match="non-negative and sum to 1"):
        random_split(NAMES, seed=0, fractions=fractions)


@pytest.mark.parametrize("fractions", [(0.5, 0.5), (0.4, 0.2, 0.2, 0.2), 0.5, None, ("1", 0, 0), (True, 0, 0)])
def test_what_are_no_three_fractions_is_refused(fractions):
    with pytest.raises(InputError, match="three numbers were expected: of train, validation and test"):
        inspect.unwrap(random_split)(NAMES, seed=0, fractions=fractions)


def test_repeated_names_are_refused():
    with pytest.raises(InputError, match="'a' is there more than once"):
        random_split(["a", "b", "a"], seed=0)
