"""Slots with slopes and the line beside them, against sums written out one by one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastslow.core import error_line
from fastslow.core.error_line import STRENGTH, ErrorLine
from fastslow.core.error_memory import ErrorMemory, smooth_curves
from fastslow.core.error_slots import Group, Slots
from fastslow.errors import InputError

KEY, STEPS, SHOWN = 3, 4, 2


@pytest.fixture(autouse=True)
def _few_examples_make_a_line(monkeypatch):
    monkeypatch.setattr(error_line, "EVERY", 5)


def drawn(count, seed=0):
    random = np.random.default_rng(seed)
    return random.normal(size=(count, KEY)), random.normal(size=(count, STEPS, 2)), random.normal(size=(count, SHOWN))


def filled(count=30, slots=8, seed=0, **options):
    memory = ErrorMemory(slots, KEY, STEPS, shown=SHOWN, **options)
    memory.write(*drawn(count, seed))
    return memory


def test_a_slot_has_the_means_the_variances_and_the_covariances_of_its_examples():
    keys, *_ = drawn(12)
    values = np.random.default_rng(1).normal(size=(12, 5))
    one = Slots(4, KEY, 5, sloped=2)
    for key, value in zip(keys, values, strict=True):
        one.add(Group(key, value, 1.0), alike=100.0)
    group = one.group(0)
    assert (one.size, group.number) == (1, 12)
    away, moved = keys - keys.mean(0), values - values.mean(0)
    np.testing.assert_allclose(group.key, keys.mean(0), atol=1e-12)
    np.testing.assert_allclose(group.value, values.mean(0), atol=1e-12)
    np.testing.assert_allclose(group.spread, (away**2).mean(0), atol=1e-12)
    np.testing.assert_allclose(group.slope, away.T @ moved[:, -2:] / 12, atol=1e-12)


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 999), st.integers(2, 6), st.integers(1, 40), st.floats(0.0, 2.0))
def test_slots_are_bounded_and_no_sum_is_lost_however_they_merge(seed, slots, count, alike):
    random = np.random.default_rng(seed)
    keys, values = random.normal(size=(count, KEY)), random.normal(size=(count, 5))
    one, again = (Slots(slots, KEY, 5, sloped=2) for _ in range(2))
    for key, value in zip(keys, values, strict=True):
        for each in (one, again):
            each.add(Group(key, value, 1.0), alike)
    size, n = one.size, one.counts[: one.size]
    assert size <= slots
    assert n.sum() == count
    k, v = one.keys[:size], one.values[:size]
    np.testing.assert_allclose(n @ k, keys.sum(0), atol=1e-9)
    np.testing.assert_allclose(n @ v, values.sum(0), atol=1e-9)
    squares = n @ (one.spreads[:size] + k**2)
    np.testing.assert_allclose(squares, (keys**2).sum(0), atol=1e-9)
    products = np.einsum("s,ska->ka", n, one.slopes[:size] + k[:, :, None] * v[:, None, -2:])
    np.testing.assert_allclose(products, keys.T @ values[:, -2:], atol=1e-9)
    np.testing.assert_array_equal(one.slopes, again.slopes)
    np.testing.assert_allclose(one._least[:size], one.apart[:size].min(1))
    np.testing.assert_allclose(one.narrow[1][:size], np.prod(1 + one.spreads[:size], 1) ** -0.5)


def test_an_answer_is_that_of_gaussians_and_of_a_line():
    memory = filled(alike=1.0, empty=0.7)
    assert {"shown", "scatter", "level", "spreads", "slopes"} < set(memory.arrays())
    curves, weights, arrays = smooth_curves(STEPS), memory.line.weights, memory.arrays()
    keys, _, shown = drawn(6, seed=1)
    read = memory.read(keys, shown)
    for row, (key, x) in enumerate(zip(keys, shown, strict=True)):
        means, sloped, xs, total = np.zeros((STEPS, 2)), np.zeros(len(weights[0])), np.zeros(SHOWN), 0.0
        weighted = []
        for s in range(memory.size):
            wide = 1 + arrays["spreads"][s]
            away = key - arrays["keys"][s]
            w = arrays["counts"][s] * np.prod(wide) ** -0.5 * np.exp(-0.5 * np.sum(away**2 / wide))
            total += w
            weighted.append((w, s, away / wide))
        for w, s, away in weighted:
            share, slope = w / (total + 0.7), away @ arrays["slopes"][s]
            means += share * arrays["errors"][s]
            xs += share * (arrays["shown"][s] + slope[:SHOWN])
            sloped += share * slope[SHOWN:]
        beside = sloped + (x - xs) @ weights
        np.testing.assert_allclose(read.error[row], means + curves @ beside.reshape(-1, 2), atol=1e-10)
        assert read.weight[row] == pytest.approx(total)
        np.testing.assert_allclose(memory.read(key[None], x[None]).error[0], read.error[row], atol=1e-10)


def test_without_a_line_an_answer_is_that_of_gaussians():
    keys, errors, _ = drawn(40)
    memory = ErrorMemory(6, KEY, STEPS, alike=1.0, empty=0.7, slopes=True)
    memory.write(keys, errors)
    arrays, curves = memory.arrays(), smooth_curves(STEPS)
    assert not {"shown", "scatter", "level"} & set(arrays)
    assert arrays["spreads"].any(1).any()
    queries, *_ = drawn(6, seed=1)
    read = memory.read(queries)
    for row, key in enumerate(queries):
        wide = 1 + arrays["spreads"]
        away = key - arrays["keys"]
        w = arrays["counts"] * np.prod(wide, 1) ** -0.5 * np.exp(-0.5 * np.sum(away**2 / wide, 1))
        sloped = np.einsum("s,sk,ska->a", w, away / wide, arrays["slopes"])
        said = np.tensordot(w, arrays["errors"], 1) + curves @ sloped.reshape(-1, 2)
        np.testing.assert_allclose(read.error[row], said / (w.sum() + 0.7), atol=1e-10)
    other = ErrorMemory(6, KEY, STEPS, alike=1.0, empty=0.7, slopes=True)
    other.restore(arrays, memory.num_written)
    np.testing.assert_array_equal(other.read(queries).error, read.error)
    for name, change in (("spreads", lambda part: part - 1.0), ("slopes", lambda part: part + 100.0)):
        with pytest.raises(InputError, match="got slots with numbers"):
            other.restore(arrays | {name: change(arrays[name])}, memory.num_written)


def test_the_line_is_ridge_regression_of_what_each_example_left_as_far_as_it_held_before():
    """Each is compared with what was known just before it; weights of five and of ten are judged by the next five."""
    memory, (keys, errors, shown) = ErrorMemory(50, KEY, STEPS, shown=SHOWN, alike=0.0), drawn(15)
    xs, ys, curves = [], [], smooth_curves(STEPS)
    for key, error, x in zip(keys, errors, shown, strict=True):
        w = np.exp(-0.5 * np.square(key - keys[: len(xs)]).sum(1))
        shares = w / (w.sum() + 1.0)
        left = error - np.tensordot(shares, errors[: len(xs)], 1)
        xs.append(x - shares @ shown[: len(xs)])
        ys.append(np.einsum("tc,ta->ca", curves, left).ravel())
        memory.write(key[None], error[None], x[None])
    xs, ys = np.array(xs), np.array(ys)

    def of_first(count):
        ridge, x, y = STRENGTH * np.square(shown[:count]).mean(), xs[:count], ys[:count]
        return np.linalg.solve(x.T @ x + ridge * np.eye(SHOWN), x.T @ y)

    said = np.array([xs[5:10] @ of_first(5), xs[10:] @ of_first(10)])
    agreed, squares = (said * ys[5:].reshape(said.shape)).sum((1, 2)), (said**2).sum((1, 2))
    share = agreed.sum() / squares.sum()
    trust = np.clip(share - np.sqrt(np.square(agreed - share * squares).sum()) / squares.sum(), 0, 1)
    assert memory.line.trust.share == pytest.approx(trust)
    weights = trust * of_first(15)
    assert trust > 0
    np.testing.assert_allclose(memory.line.weights, weights, atol=1e-10)
    together = ErrorMemory(50, KEY, STEPS, shown=SHOWN, alike=0.0)
    together.write(keys, errors, shown)
    np.testing.assert_allclose(together.line.weights, weights, atol=1e-10)
    left = np.square(ys - xs @ weights).sum() / np.square(ys).sum()
    assert memory.line.left == pytest.approx(left)
    assert left < 1
    assert ErrorLine(2, 3).left == 1.0
    assert not ErrorLine(2, 3).weights.any()


def test_few_slots_with_slopes_say_what_many_would():
    """Errors that change with the place."""
    random = np.random.default_rng(0)
    keys = random.uniform(-3, 3, (600, 2))
    times = (np.arange(1, STEPS + 1) / STEPS)[:, None]
    errors = np.repeat(np.sin(keys @ [[1.0, 0.5], [-0.5, 1.0]])[:, None], STEPS, 1) * times
    found = {}
    for name, slots, slopes in (("many", 600, False), ("few", 12, False), ("sloped", 12, True)):
        memory = ErrorMemory(slots, 2, STEPS, alike=0.0, slopes=slopes)
        memory.write(keys[:500], errors[:500])
        found[name] = memory.read(keys[500:]).error
    off = {name: float(np.square(found[name] - found["many"]).mean()) for name in ("few", "sloped")}
    assert off["sloped"] < 0.3 * off["few"]


def test_what_depends_on_the_movement_alone_is_known_where_nobody_has_been():
    random = np.random.default_rng(0)
    keys, shown = random.normal(size=(3000, KEY)), random.normal(size=(3000, SHOWN))
    errors = (
        np.repeat((shown @ [[1.0, 0.0], [0.0, -2.0]])[:, None], STEPS, 1) * (np.arange(1, STEPS + 1) / STEPS)[:, None]
    )
    memory = ErrorMemory(16, KEY, STEPS, shown=SHOWN)
    memory.write(keys, errors, shown)
    read = memory.read(keys[:20] + 1000.0, shown[:20])
    assert read.weight.max() < 1e-6
    assert np.square(read.error - errors[:20]).mean() < 0.05 * np.square(errors[:20]).mean()


def test_a_line_that_held_for_none_but_those_it_was_made_of_is_not_trusted():
    random = np.random.default_rng(0)
    memory = ErrorMemory(64, KEY, STEPS, shown=SHOWN)
    for sign in (1.0, -1.0, 1.0, -1.0):  # what goes with x turns round from five to five
        keys, shown = 100.0 * random.normal(size=(5, KEY)), random.normal(size=(5, SHOWN))
        memory.write(keys, np.repeat(sign * shown[:, None], STEPS, 1), shown)
    assert memory.line.untrusted.any()
    assert memory.line.trust.share == 0.0
    assert memory.line.left == 1.0
    read = memory.read(np.full((1, KEY), 1e4), np.ones((1, SHOWN)))
    assert not read.error.any()


def test_what_was_kept_is_restored_and_goes_on_alike():
    memory, other = filled(), ErrorMemory(8, KEY, STEPS, shown=SHOWN)
    other.restore(memory.arrays(), memory.num_written)
    queries, _, shown = drawn(5, seed=9)
    np.testing.assert_array_equal(memory.read(queries, shown).error, other.read(queries, shown).error)
    for one in (memory, other):
        one.write(*drawn(20, seed=5))
    for name, part in memory.arrays().items():
        np.testing.assert_allclose(part, other.arrays()[name], atol=1e-12)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("spreads", lambda part: part - 1.0), ("slopes", lambda part: part + 100.0), ("level", lambda part: part * 0.0),
        ("scatter", lambda part: -part), ("scatter", lambda part: part + np.triu(np.ones_like(part))),
        ("shown", lambda part: part * np.inf), ("slopes", lambda part: part[:, :, :-1]), ("level", lambda part: -part),
        ("scatter", lambda part: part - 2 * np.eye(part.shape[1]) * part), ("shown", lambda part: part[:-1]),
        ("judged", lambda part: -part), ("judged", lambda part: part * [1e6, 1, 1, 1, 1, 1, 1]),
        ("judged", lambda part: part[:2]), ("judged", lambda part: part * [1, 1, 1, 1e6, 1, 1, 1]),
        ("scatter", lambda part: part + np.array([[[0.0]], [[-1.0]]])), ("level", lambda part: part - [0.0, 1e9]),
    ],
)  # fmt: skip
def test_slopes_that_no_memory_has_are_refused_and_change_nothing(name, change):
    memory, other = filled(), ErrorMemory(8, KEY, STEPS, shown=SHOWN)
    arrays = {key: part.copy() for key, part in memory.arrays().items()}
    with np.errstate(invalid="ignore"), pytest.raises(InputError, match="got slots"):
        other.restore(arrays | {name: change(arrays[name])}, memory.num_written)
    assert other.size == 0
    with pytest.raises(InputError, match="got arrays"):
        ErrorMemory(8, KEY, STEPS).restore(arrays, memory.num_written)


def test_what_was_shown_has_to_come_with_its_keys():
    memory, (keys, errors, shown) = filled(), drawn(3)
    for told in (None, shown[:, :1]):
        with pytest.raises(InputError, match=r"beside 3 keys; 3 rows of 2 were expected"):
            memory.write(keys, errors, told)
        with pytest.raises(InputError, match="rows of 2 were expected"):
            memory.read(keys, told)
    with pytest.raises(InputError, match="nothing was written"):
        memory.write(keys, errors, shown * 1e16)
    assert memory.num_written == 30
    with pytest.raises(InputError, match="rows of 0 were expected"):
        ErrorMemory(4, KEY, STEPS).write(keys, errors, shown)
