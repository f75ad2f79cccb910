from __future__ import annotations

import numpy as np
import pytest

from fastslow.core.motion import motion_of
from fastslow.core.motion_frames import (
    NOISE,
    SLOWEST,
    SPACING,
    AlignedFrame,
    DisplacementFrame,
    SiteFrame,
    varied,
)

RATE = 25.0


def movements(rows=5, samples=50, steps=20, seed=0):
    random = np.random.default_rng(seed)
    steps_made = random.normal([0.05, 0.02], 0.01, (rows, samples + steps, 2))
    places = np.cumsum(steps_made, 1) + random.normal(0, 20, (rows, 1, 2))
    return places[:, :samples], places[:, samples:]


def turned_and_moved(places, angle=1.1, by=(3.0, -7.0)):
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return places @ turn.T + np.array(by)


@pytest.mark.parametrize("kind", ["aligned", "displacement", "site"])
def test_positions_undo_targets(kind):
    seen, future = movements()
    made = {"aligned": lambda: AlignedFrame(RATE), "displacement": lambda: DisplacementFrame(RATE)}
    frame = made.get(kind, lambda: SiteFrame(seen.reshape(-1, 2)))()
    np.testing.assert_allclose(frame.positions(seen, frame.targets(seen, future)), future, atol=1e-9)


def test_aligned_does_not_know_place_or_direction():
    seen, future = movements()
    frame = AlignedFrame(RATE)
    there = turned_and_moved(seen), turned_and_moved(future)
    np.testing.assert_allclose(frame.inputs(there[0]), frame.inputs(seen), atol=1e-9)
    np.testing.assert_allclose(frame.targets(*there), frame.targets(seen, future), atol=1e-9)


def test_a_displacement_is_what_constant_velocity_says_and_what_that_gets_wrong():
    seen, future = movements()
    frames = AlignedFrame(RATE), DisplacementFrame(RATE)
    np.testing.assert_array_equal(*(frame.inputs(seen) for frame in frames))
    wrong, way = (frame.targets(seen, future) for frame in frames)
    plain = motion_of(seen, RATE).forecast(future.shape[1], rate=RATE, damping=0.0)
    np.testing.assert_allclose(way - wrong, frames[1].targets(seen, plain), atol=1e-9)


def test_aligned_shows_velocities_up_to_now_and_asks_for_what_constant_velocity_gets_wrong():
    along = np.arange(70)[None, :, None] * np.array([0.0, 2.0]) / RATE
    frame = AlignedFrame(RATE)
    shown = frame.inputs(along[:, :50])
    assert shown.shape == (1, frame.num_shown(50), 2)
    np.testing.assert_allclose(shown, np.broadcast_to([2.0, 0.0], shown.shape), atol=1e-9)
    np.testing.assert_allclose(frame.targets(along[:, :50], along[:, 50:]), 0, atol=1e-9)
    late = along[:, :50].copy()
    late[0, 49] += [0.1, 0.0]
    assert abs(frame.inputs(late)[0, -1] - shown[0, -1]).max() > 0.05
    lag = int(RATE * SPACING)
    assert frame.num_shown(50) == len(range(0, 50 - lag, lag))


def test_a_site_is_scaled_to_a_half_on_both_sides():
    seen, _ = movements(rows=40)
    shown = SiteFrame(seen.reshape(-1, 2)).inputs(seen)
    assert shown.reshape(-1, 2).min(0) == pytest.approx([-0.5, -0.5])
    assert shown.reshape(-1, 2).max(0) == pytest.approx([0.5, 0.5])


def test_a_site_that_is_a_line_is_refused():
    with pytest.raises(ValueError, match="do not spread along x and along y"):
        SiteFrame(np.array([[0.0, 1.0], [2.0, 1.0]]))


def test_varied_movements_are_slower_mirrored_and_a_little_less_exact():
    seen, future = movements(rows=400)
    shown, later = varied(seen, future, np.random.default_rng(1))
    speed, before = (np.hypot(*motion_of(np.concatenate([a, b], 1), RATE).velocity.T)
                     for a, b in ((shown, later), (seen - seen[:, -1:], future - seen[:, -1:])))  # fmt: skip
    factor = speed / before
    assert SLOWEST - 1e-6 <= factor.min() < 0.2
    assert 0.9 < factor.max() <= 1 + 1e-6
    left = np.sign(later[:, -1, 1]) != np.sign((future - seen[:, -1:])[:, -1, 1])
    assert 0.4 < left.mean() < 0.6
    off = np.abs(shown[:, -1])
    assert 0 < off.mean() < NOISE
    again = varied(seen, future, np.random.default_rng(1))
    np.testing.assert_array_equal(again[0], shown)
    np.testing.assert_array_equal(again[1], later)
