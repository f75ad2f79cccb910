import hashlib

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
    with pytest.raises(InputError, match="class a comes twice"):
        make_split("s", ["a", "b"], train=[0], validation=[], test=[0])
    with pytest.raises(InputError, match="class 2 in test, but there are 2 classes"):
        make_split("s", ["a", "b"], train=[0], validation=[], test=[2])
    with pytest.raises(InputError, match="'a' comes more than once"):
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
    with pytest.raises(InputError, match="leave none for validation"):
        random_split(NAMES[:3], seed=0)


@pytest.mark.parametrize("fractions", [(0.5, 0.5, 0.5), (1.2, -0.4, 0.2), (0.3, 0.3, 0.3)])
def test_fractions_are_checked(fractions):
    with pytest.raises(InputError, match="non-negative and sum to 1"):
        random_split(NAMES, seed=0, fractions=fractions)


def test_repeated_names_are_refused():
    with pytest.raises(InputError, match="'a' comes more than once"):
        random_split(["a", "b", "a"], seed=0)
