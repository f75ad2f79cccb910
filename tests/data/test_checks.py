"""Numbers from users: Python's and NumPy's are taken and become Python's own; what only looks like one is refused."""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fastslow.data.checks import is_real, refuse_unless_positive, refuse_unless_whole
from fastslow.data.episodes import EpisodeDataset, EpisodeSampler
from fastslow.data.glyphs.glyphs import make_glyphs
from fastslow.data.images.digits import load_digits
from fastslow.errors import InputError

WHOLE = (np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64, int)
REAL = (np.float16, np.float32, np.float64, np.longdouble, float, Fraction, *WHOLE)
#: What is no number, or a number of something, or several.
OTHERS = (
    True, np.True_, None, "1", b"1", 1j, np.complex64(1), np.timedelta64(1, "ms"), np.datetime64("2020"), [1], (1,),
    np.array(1), np.array([1, 2]), torch.tensor(1), Decimal(1), math.nan, np.float32("nan"),
)  # fmt: skip


@given(st.sampled_from(WHOLE), st.integers(1, 127))
def test_whole_numbers_of_every_type_become_pythons(kind, number):
    kept = refuse_unless_whole("n", kind(number), 1)
    assert (kept, type(kept)) == (number, int)
    with pytest.raises(InputError, match=r"n is .*; give a whole number of at most"):
        refuse_unless_whole("n", kind(number), 0, number - 1)
    with pytest.raises(InputError, match=r"n is .*; give a whole number of at least"):
        refuse_unless_whole("n", kind(number), number + 1)


@given(st.sampled_from(REAL), st.integers(1, 127))
def test_positive_numbers_of_every_type_become_floats(kind, number):
    kept = refuse_unless_positive("x", kind(number))
    assert (kept, type(kept)) == (number, float)


@pytest.mark.parametrize("value", OTHERS, ids=lambda value: type(value).__name__)
def test_what_is_no_number_is_refused(value):
    with pytest.raises(InputError, match=r"n is .*; give a whole number of at least 0"):
        refuse_unless_whole("n", value, 0)
    with pytest.raises(InputError, match=r"got x=.*; a positive number was expected, seconds"):
        refuse_unless_positive("x", value, "seconds")


@pytest.mark.parametrize("value", [0, -1, math.inf, 10**400, np.float32("inf"), np.int8(-1), Fraction(1, 10**400)])
def test_numbers_that_no_positive_float_is_are_refused(value):
    assert is_real(value)
    with pytest.raises(InputError, match="got x="):
        refuse_unless_positive("x", value)


@pytest.mark.parametrize("value", [1.0, np.float32(1), np.uint64(2**64 - 1), 2**63, Fraction(2, 1)])
def test_numbers_that_are_not_whole_or_too_large_are_refused(value):
    with pytest.raises(InputError, match="n is"):
        refuse_unless_whole("n", value, 1)


@pytest.mark.usefixtures("as_users_call_it")
def test_small_types_do_not_overflow_in_what_is_done_with_them():
    big = np.uint8(200)
    labels = [0] * 500 + [1] * 500
    one = EpisodeSampler(labels=labels, n_way=np.uint8(2), n_shot=big, n_query=big, seed=big).sample(np.int8(1))
    other = EpisodeSampler(labels=labels, n_way=2, n_shot=200, n_query=200, seed=200).sample(1)
    assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
    fixed = EpisodeDataset(labels=labels, n_way=2, n_shot=1, n_query=1, seed=np.int64(3), num_tasks=np.uint8(9))
    assert (len(fixed), type(fixed.seed)) == (9, int)
    drawn = make_glyphs(num_classes=np.uint8(2), per_class=big, seed=np.int32(1))
    assert torch.equal(drawn.images, make_glyphs(num_classes=2, per_class=200, seed=1).images)
    assert load_digits(np.uint8(12)).images.shape[1:] == (12, 12)
