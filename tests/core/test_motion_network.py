from __future__ import annotations

import numpy as np
import pytest

from fastslow.core.motion import motion_of
from fastslow.core.motion_frames import AlignedFrame
from fastslow.core.motion_network import Layer, MotionNetwork
from fastslow.errors import InputError

RATE, SAMPLES, STEPS = 10.0, 20, 5


def network(scale=0.1, seed=0):
    random = np.random.default_rng(seed)
    sizes = [2 * AlignedFrame(RATE).num_shown(SAMPLES), 8, 2 * STEPS]
    layers = [Layer(scale * random.normal(size=(a, b)), scale * random.normal(size=b)) for a, b in zip(sizes, sizes[1:], strict=False)]  # fmt: skip # noqa: E501, RUF007
    return MotionNetwork(layers, rate=RATE, samples=SAMPLES)


def pasts(rows=3, seed=1):
    return np.cumsum(np.random.default_rng(seed).normal([0.1, 0.05], 0.02, (rows, SAMPLES + 4, 2)), 1)


def test_one_that_says_nothing_is_constant_velocity():
    plain = motion_of(pasts(), RATE).forecast(STEPS, rate=RATE, damping=0.0)
    np.testing.assert_allclose(network(scale=0.0).forecast(pasts()), plain)


def test_what_it_says_is_added_along_the_heading_and_turns_with_the_world():
    seen, angle = pasts(), 0.7
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    there = network().forecast(seen @ turn.T + [100.0, -3.0])
    np.testing.assert_allclose(there, network().forecast(seen) @ turn.T + [100.0, -3.0], atol=1e-9)
    assert np.abs(there - network(scale=0.0).forecast(seen @ turn.T + [100.0, -3.0])).max() > 1e-3


def test_by_hand():
    made, seen = network(), pasts(1)
    shown = AlignedFrame(RATE).inputs(seen[:, -SAMPLES:]).reshape(1, -1)
    hidden = np.maximum(shown @ made.layers[0].weight + made.layers[0].bias, 0)
    said = (hidden @ made.layers[1].weight + made.layers[1].bias).reshape(1, STEPS, 2)
    motion = motion_of(seen, RATE)
    expected = motion.forecast(STEPS, rate=RATE, damping=0.0) + motion.turned_back(said)
    np.testing.assert_allclose(made.forecast(seen), expected)


def test_each_row_is_forecast_as_if_alone_from_its_last_samples():
    made, seen = network(), pasts(4)
    together = made.forecast(seen)
    alone = np.concatenate([made.forecast(row[None, -SAMPLES:]) for row in seen])
    np.testing.assert_allclose(together, alone, atol=1e-12)


def test_it_is_what_its_arrays_say():
    made = network()
    again = MotionNetwork.of_arrays(made.arrays(), rate=RATE, samples=SAMPLES)
    np.testing.assert_array_equal(again.forecast(pasts()), made.forecast(pasts()))


@pytest.mark.parametrize(
    "change",
    [lambda a: a.pop("bias_1"), lambda a: a.update(weight_1=a["weight_1"][:-1]), lambda a: a.update(extra=a["bias_0"]),
     lambda a: a.update(bias_1=a["bias_1"][:-1], weight_1=a["weight_1"][:, :-1]), lambda a: a.clear(),
     lambda a: a.update(bias_0=np.full_like(a["bias_0"], np.nan)), lambda a: a.update(bias_0=a["bias_0"] + 1e4),
     lambda a: a.update(bias_0=a["bias_0"].astype(np.float32)), lambda a: a.update(bias_0=a["bias_0"][None])],
)  # fmt: skip
def test_arrays_of_no_network_are_refused(change):
    arrays = network().arrays()
    change(arrays)
    with pytest.raises(InputError, match=r"were expected|have to follow one another"):
        MotionNetwork.of_arrays(arrays, rate=RATE, samples=SAMPLES)


def test_a_past_too_short_for_a_movement_is_refused():
    with pytest.raises(InputError, match=r"got samples=3 at 10 Hz; a movement is read from at least 11"):
        MotionNetwork(network().layers, rate=RATE, samples=3)
