"""Learners of tracks: each learns what a toy has to teach, and what cannot learn does not."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from fastslow.core.motion_frames import SiteFrame
from fastslow.data.tracks.resample import Windows
from fastslow.studies.ten_tracks import LEARNERS
from fastslow.studies.track_learners import (
    SEEN,
    STEPS,
    Damped,
    Remembering,
    Setting,
    TrackLearner,
    first_of_each,
    rows_of,
)  # fmt: skip
from fastslow.studies.track_meta import MAML, TASKS, drawn_tasks, error_gradients
from fastslow.studies.track_networks import Online, Reservoir, Seq2Seq, Shown, Supervised, literal_network, mlp
from fastslow.studies.track_slow import QuickAndSlow

RATE = 25.0
#: Those that learn nothing of either kind, and those of Sec. 4.2 as printed, for which 100 iterations change little.
FIXED, LITERAL = ("constant-velocity", "linear"), [name for name in LEARNERS if name.startswith("literal")]
#: Shares of the usual steps that are enough here.
EFFORTS = {"memory-network": 0.04, "memory-network-fast": 0.04, "metanet": 0.06}
#: Those that stay as they were trained.
FROZEN = (*FIXED, "damped", "kalman", "mlp")


def toy(count, *, loss, seed=0, speed=(1.0, 4.0), noise=0.0, turn=0.0, each=2):
    """Windows of road users who lose a share of their speed within a second, and turn, radians a second."""
    random = np.random.default_rng(seed)
    times = np.arange(SEEN + STEPS) / RATE
    heading = random.uniform(0, 2 * np.pi, (count, 1)) + turn * times
    steps = random.uniform(*speed, (count, 1)) * (1 - loss) ** times / RATE
    places = np.cumsum(np.stack([steps * np.cos(heading), steps * np.sin(heading)], 2), 1)
    places += random.uniform(-20, 20, (count, 1, 2)) + random.normal(0, noise, places.shape)
    return Windows(places[:, :SEEN], places[:, SEEN:], np.arange(count) // each, np.zeros(count))


def squared(learner, windows):
    return np.square(learner.forecast(windows.seen) - windows.future).sum(2).mean()


def test_every_row_is_a_learner_and_forecasts_in_its_own_right():
    for name, make in LEARNERS.items():
        learner = make(Setting(RATE, seed=0, effort=0.001))
        assert isinstance(learner, TrackLearner), name
    windows = toy(6, loss=0.2)
    learner = LEARNERS["mlp"](Setting(RATE, seed=0, effort=0.001))
    assert learner.forecast(windows.seen).shape == (6, STEPS, 2)


@pytest.mark.no_cover  # lines that others run
@pytest.mark.parametrize("name", [name for name in LEARNERS if name not in (*FIXED, "kalman", *LITERAL)])
def test_what_is_trained_beats_constant_velocity_on_others_that_slow_down_alike(name):
    learner = LEARNERS[name](Setting(RATE, seed=0, effort=EFFORTS.get(name, 0.1)))
    learner.train(toy(200, loss=0.5))
    others = toy(60, loss=0.5, seed=1)
    assert squared(learner, others) < 0.7 * squared(Damped(Setting(RATE, 0), fitted=False), others)


def before_and_after(name):
    """Errors on ten of another kind, before and after twenty steps of adaptation to them."""
    learner = LEARNERS[name](Setting(RATE, 0, EFFORTS.get(name, 0.1)))
    learner.train(toy(200, loss=0.3))
    ten = toy(40, loss=0.0, seed=2, turn=0.4)
    before = squared(learner, ten)
    for _ in range(20):
        learner.adapt_step(ten)
    return before, squared(learner, ten)


@pytest.mark.no_cover  # lines that others run
@pytest.mark.parametrize("name", [name for name in LEARNERS if name not in (*FROZEN, *LITERAL)])
def test_who_adapts_comes_nearer_to_the_ten(name):
    before, after = before_and_after(name)
    assert after < 0.99 * before


def test_who_is_frozen_stays_as_it_was():
    before, after = before_and_after("mlp")
    assert after == before


def test_a_line_and_a_filter_follow_who_walks_straight_and_the_filter_sees_through_noise():
    setting = Setting(RATE, seed=0)
    straight = toy(40, loss=0.0)
    for name in ("linear", "kalman", "constant-velocity"):
        assert squared(LEARNERS[name](setting), straight) < 1e-3
    noisy = toy(200, loss=0.0, noise=0.2)
    learner = LEARNERS["kalman"](setting)
    learner.train(noisy)
    assert squared(learner, noisy) < 0.5 * squared(LEARNERS["constant-velocity"](setting), noisy)


def test_the_printed_setting_learns_next_to_nothing_and_its_relu_cannot_reach_half_of_the_site():
    windows = toy(40, loss=0.2)
    learner = literal_network(Setting(RATE, seed=0, effort=0.3), fast=True, relu=True)
    learner.train(windows)
    first = first_of_each(windows)
    frame = SiteFrame(np.concatenate([first.seen, first.future], 1).reshape(-1, 2))
    forecast, centre = learner.forecast(windows.seen), frame.positions(windows.seen[:1], np.zeros((1, 1, 2)))[0, 0]
    assert (forecast >= centre - 1e-6).all()
    assert (windows.future < centre).any(2).mean() > 0.3
    plain = squared(Damped(Setting(RATE, 0), fitted=False), windows)
    before = squared(learner, windows)
    for _ in range(20):
        learner.adapt_step(windows)
    assert 100 * plain < squared(learner, windows) < before
    assert squared(learner, windows) > 0.99 * before


def test_fast_and_plain_differ_by_eq_10_alone_and_seeds_repeat():
    windows = toy(64, loss=0.3)
    made = [Online(Setting(RATE, 0, 0.01), fast=fast) for fast in (True, False, True)]
    assert len({tuple(one.network.decoder.bias.tolist()) for one in made}) == 1
    for one in made:
        one.train(windows)
    fast, plain, again = (one.forecast(windows.seen) for one in made)
    assert np.array_equal(fast, again)
    assert not np.array_equal(fast, plain)


def test_tasks_have_other_tracks_in_the_query_set_and_one_speed_each():
    windows = toy(40, loss=0.0, speed=(4.0, 4.001), each=4)
    shown = Shown(Supervised(Setting(RATE, 0), mlp).shown.frame)
    tasks = drawn_tasks(windows, shown, np.random.default_rng(0))
    assert len(tasks.support) == TASKS
    speeds = torch.cat([tasks.support, tasks.query], 1).norm(dim=-1).mean(-1)
    assert float((speeds.std(1) / speeds.mean(1)).max()) < 0.05
    assert float(speeds.mean(1).std()) > 0.1


def test_error_gradients_are_those_of_autograd():
    torch.manual_seed(0)
    layers = [nn.Parameter(torch.randn(5, 4)), nn.Parameter(torch.randn(6, 6))]
    inputs, targets = torch.randn(1, 3, 3), torch.randn(1, 3, 6)
    found = error_gradients((layers[0], layers[1]), inputs, targets)
    for example in range(3):
        low = F.linear(torch.cat([inputs[0, example], torch.ones(1)]), layers[0]).relu()
        loss = F.mse_loss(F.linear(torch.cat([low, torch.ones(1)]), layers[1]), targets[0, example])
        expected = torch.cat([one.flatten() for one in torch.autograd.grad(loss, layers)])
        assert torch.allclose(found[0, example], expected, atol=1e-5)


def test_mamlpp_learns_its_rates_and_takes_no_more_steps_than_in_training():
    windows = toy(60, loss=0.3)
    plain, plus = MAML(Setting(RATE, 0, 0.02)), MAML(Setting(RATE, 0, 0.02), plus=True)
    for one in (plain, plus):
        one.train(windows)
    assert len(set(plain.inner_rates.flatten().tolist())) == 1
    assert float(plus.inner_rates.detach().std()) > 0.0
    for one in (plain, plus):
        for _ in range(5):
            one.adapt_step(windows)
    after = [one.forecast(windows.seen) for one in (plain, plus)]
    for one in (plain, plus):
        one.adapt_step(windows)
    assert not np.array_equal(plain.forecast(windows.seen), after[0])
    assert np.array_equal(plus.forecast(windows.seen), after[1])


def test_seq2seq_takes_any_length_and_its_decoder_is_told_the_context():
    network = Seq2Seq(12)
    assert network(torch.randn(3, 7, 2)).shape == (3, 2 * STEPS)
    assert not torch.equal(*network(torch.randn(2, 12, 2)))


def test_a_reservoir_keeps_each_as_likely_and_gives_as_many_as_are_asked():
    windows = toy(50, loss=0.0)
    reservoir = Reservoir(10, np.random.default_rng(0))
    assert reservoir.beside(windows)[0] is windows.seen
    for row in range(50):
        reservoir.keep(rows_of(windows, np.array([row])))
    assert len(reservoir.kept) == 10
    assert len(reservoir.beside(rows_of(windows, np.arange(7)))[1]) == 14
    kept = {float(seen[0, 0]) for seen, _ in reservoir.kept}
    assert kept - set(windows.seen[:10, 0, 0].tolist())


def test_replay_takes_steps_at_each_call_and_the_memory_of_a_stream_grows():
    windows = toy(60, loss=0.3)
    replayed = Supervised(Setting(RATE, 0, 0.01), mlp, adapt_rate=1e-3, replay=True)
    memory = functools.partial(LEARNERS["memory-on-mlp"], stream=True)(Setting(RATE, 0, 0.01))
    for one in (replayed, memory):
        one.train(windows)
        before = one.forecast(windows.seen)
        for rows in (np.arange(10), np.arange(10, 20)):
            one.adapt_step(rows_of(windows, rows))
        assert not np.array_equal(before, one.forecast(windows.seen))
    assert memory.memory.num_written == 20
    assert len(replayed.buffer.kept) == 20


def test_the_network_beside_a_memory_learns_what_that_leaves_of_a_stream():
    def made(written):
        quick = Remembering(Setting(RATE, 0), Damped(Setting(RATE, 0), fitted=False), stream=True, slots=64)
        return QuickAndSlow(Setting(RATE, 0), quick, written=written)

    both, alone = made(True), made(False)
    memory = Remembering(Setting(RATE, 0), Damped(Setting(RATE, 0), fitted=False), stream=True, slots=64)
    others, stream = toy(40, loss=0.4, seed=9, turn=0.4), toy(240, loss=0.4, turn=0.4, each=4)
    for track in range(60):
        window = rows_of(stream, np.flatnonzero(stream.track == track))
        for learner in (both, alone, memory):
            learner.adapt_step(window)
        if track == 1:  # the network has said nothing yet
            assert np.array_equal(both.forecast(others.seen), memory.forecast(others.seen))
    assert alone.quick.memory.size == 0
    assert np.array_equal(both.quick.memory.errors, memory.memory.errors)
    plain = squared(Damped(Setting(RATE, 0), fitted=False), others)
    assert squared(both, others) < squared(memory, others) < plain
    assert squared(alone, others) < plain
