"""Movement from positions: velocity, heading, and what a forecast without learning says."""

from __future__ import annotations

import numpy as np
import pytest

from fastslow.core.motion import Widths, lag_samples, motion_of, samples_needed

RATE = 25.0


def walked(velocity, start=(3.0, -2.0)):
    times = np.arange(samples_needed(RATE)) / RATE
    return (np.array(start) + times[:, None] * np.array(velocity))[None]


def test_a_constant_velocity_is_found_and_goes_on():
    motion = motion_of(walked((1.2, -0.5)), RATE)
    assert np.allclose(motion.velocity, [[1.2, -0.5]])
    assert np.allclose(motion.change, 0.0)
    ahead = motion.forecast(10, rate=RATE, damping=0.0)
    assert np.allclose(ahead[0, -1] - motion.at[0], np.array([1.2, -0.5]) * 10 / RATE)


def test_damping_takes_its_share_of_the_velocity_in_a_second():
    motion = motion_of(walked((2.0, 0.0)), RATE)
    ahead = motion.forecast(51, rate=RATE, damping=0.4)[0, :, 0]
    steps = np.diff(ahead) * RATE
    assert steps[25 - 1] == pytest.approx(2.0 * 0.6 ** (26 / RATE))
    assert (np.diff(steps) < 0).all()


@pytest.mark.parametrize("angle", np.linspace(-3, 3, 7))
def test_errors_are_turned_into_the_heading_and_back(angle):
    motion = motion_of(walked((np.cos(angle), np.sin(angle))), RATE)
    along = np.array([[[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]])
    assert np.allclose(motion.turned(along), [[[1, 0], [0, 1]]])
    errors = np.random.default_rng(0).normal(size=(1, 9, 2))
    assert np.allclose(motion.turned_back(motion.turned(errors)), errors)


def test_who_stands_still_has_no_heading_and_keys_have_their_widths():
    still = motion_of(walked((0.01, 0.01)), RATE)
    assert np.allclose(still.frame, np.eye(2))
    widths = Widths(place=2.0, heading=0.5, speed=0.25, change=0.5)
    slow, fast = (motion_of(walked((speed, 0.0)), RATE).keys(widths)[0] for speed in (1.0, 1.5))
    assert fast[4] - slow[4] == pytest.approx(0.5 / 0.25)
    assert slow[2:4].tolist() == pytest.approx([2.0, 0.0])
    here, there = (motion_of(walked((1.0, 0.0), (x, 0.0)), RATE).keys(widths)[0] for x in (0.0, 3.0))
    assert (there - here).tolist() == pytest.approx([1.5, 0, 0, 0, 0, 0])


def test_a_change_of_speed_is_seen():
    lag = lag_samples(RATE)
    steps = np.concatenate([np.full(lag, 1.0), np.full(lag, 1.5)]) / RATE
    x = np.concatenate([[0.0], steps.cumsum()])
    motion = motion_of(np.column_stack([x, np.zeros_like(x)])[None], RATE)
    assert motion.change[0] == pytest.approx(0.5)
