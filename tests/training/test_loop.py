from __future__ import annotations

import json
import math
import signal

import pytest
import torch
from torch import nn

from fastslow.errors import InputError
from fastslow.training.interruption import Abandoned, Interrupted, Stop
from fastslow.training.length import Length
from fastslow.training.loop import CHECKPOINT, Habits, train
from fastslow.training.run import Run

NO_WARMUP = Habits(weight_decay=0.0, warmup=0)


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Parameter(torch.tensor([1.0])), nn.Parameter(torch.tensor([2.0]))


class Toy:
    """A stage without a task: the loss is a random multiple of one parameter."""

    clip, tasks = None, 7

    def __init__(self, name, parameter, *, share=1.0, learning_rate=0.1, loss=None):
        self.name, self.parameter, self.share, self.learning_rate, self.loss_of = (
            name,
            parameter,
            share,
            learning_rate,
            loss,
        )
        self.generator, self.calls, self.told = torch.Generator().manual_seed(3), [], []

    def parameters(self):
        return [self.parameter]

    def begin(self, step):
        self.calls.append(("begin", step))

    def loss(self, done):
        self.told.append(done)
        drawn = torch.rand((), generator=self.generator)
        self.calls.append(("loss", float(drawn)))
        return (self.loss_of or (lambda p, r: p.sum() * r))(self.parameter, drawn)

    def validate(self):
        self.calls.append("validate")
        return {"validation": 0.5, "extra": self.name}

    def end(self):
        self.calls.append("end")

    def state_dict(self):
        return {"generator": self.generator.get_state()}

    def load_state_dict(self, state):
        self.generator.set_state(state["generator"])


def build(**others):
    model = Model()
    return model, [Toy("first", model.a, share=3.0, **others), Toy("second", model.b, share=1.0, **others)]


def test_stages_run_in_order_for_their_shares_of_the_length():
    model, stages = build()
    clock = train(model, stages, length=Length(steps=8))
    assert (clock.stage, clock.step) == (2, 0)
    assert stages[0].told == pytest.approx([0, 1 / 6, 2 / 6, 3 / 6, 4 / 6, 5 / 6])
    assert stages[1].told == [0, 0.5]
    for stage, steps in zip(stages, (6, 2), strict=True):
        assert [call[0] for call in stage.calls if call != "end"] == ["begin", *["loss"] * steps]
        assert stage.calls[-1] == "end"


def test_a_stage_moves_its_own_parameters_only():
    model, stages = build()
    train(model, stages[:1], length=Length(steps=3))
    assert model.a.item() != 1.0
    assert model.b.item() == 2.0


def test_the_learning_rate_warms_up_and_falls_to_a_hundredth():
    def rates(habits, steps):
        model, stages = build()
        seen = []
        before = [model.a.item()]

        def note(_progress):
            # AdamW's first steps by gradients of one sign are of the learning rate each, nearly.
            seen.append(before[0] - model.a.item())
            before[0] = model.a.item()

        stages[0].loss_of = lambda p, _: p.sum()
        train(model, stages[:1], length=Length(steps=steps), on_step=note, habits=habits)
        return seen

    fallen = rates(NO_WARMUP, 100)
    for step in (0, 1, 50, 99):
        expected = 0.1 * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * step / 100)))
        assert fallen[step] == pytest.approx(expected, rel=1e-3)
    warm = rates(Habits(weight_decay=0.0, warmup=4), 100)
    assert [w / f for w, f in zip(warm[:6], fallen[:6], strict=True)] == pytest.approx(
        [0.25, 0.5, 0.75, 1, 1, 1], rel=1e-3
    )


@pytest.mark.parametrize("steps", [1, 4, 6, 7])
def test_an_interrupted_training_goes_on_as_if_it_had_not_been(tmp_path, steps):
    whole, stages = build()
    train(whole, stages, length=Length(steps=8))
    model, stages = build()
    seen = []

    def interrupt(progress):
        seen.append(progress)
        if len(seen) == steps:
            signal.raise_signal(signal.SIGTERM)

    with Run(tmp_path / "run") as run, pytest.raises(Interrupted):
        train(model, stages, length=Length(steps=8), run=run, on_step=interrupt, about={"who": "me"})
    assert len(seen) == steps
    state = Run.load_checkpoint(tmp_path / "run", CHECKPOINT)
    assert state["about"] == {"who": "me"}
    model, stages = build()
    with Run(tmp_path / "run", resume=True) as run:
        train(model, stages, length=Length(steps=8), run=run, state=state)
        lines = run.read_metrics()
    assert torch.equal(model.a, whole.a)
    assert torch.equal(model.b, whole.b)
    assert [(line["stage"], line["step"], line["extra"]) for line in lines] == [
        ("first", 6, "first"),
        ("second", 2, "second"),
    ]


def test_what_is_abandoned_at_the_end_of_a_stage_is_done_when_the_training_goes_on(tmp_path):
    model, stages = build()
    stop, ends = Stop(), []

    def end():
        ends.append(stop.requested)
        if len(ends) == 1:
            stop.requested = True
            raise Abandoned

    stages[0].end = end
    with Run(tmp_path / "run") as run, pytest.raises(Interrupted):
        train(model, stages, length=Length(steps=8), run=run, stop=stop)
    state, stop.requested = Run.load_checkpoint(tmp_path / "run", CHECKPOINT), False
    with Run(tmp_path / "run", resume=True) as run:
        clock = train(model, stages, length=Length(steps=8), run=run, state=state, stop=stop)
    assert (clock.stage, len(ends)) == (2, 2)
    assert [sum(call[0] == "loss" for call in stage.calls) for stage in stages] == [6, 2]


def test_signals_have_their_old_handlers_back_afterwards():
    before = signal.getsignal(signal.SIGINT)
    model, stages = build()
    train(model, stages, length=Length(steps=2), stop=Stop())
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (lambda p, r: p.sum() * math.nan, "the loss became nan at step 1 of stage first.*encoder_rate"),
        (lambda p, r: (p - p.detach()).sum().sqrt(), "became (nan|inf) at step 1"),
    ],
)
def test_numbers_that_are_not_finite_end_the_training_and_reach_no_checkpoint(tmp_path, loss, message):
    model, stages = build(loss=loss)
    stages[0].clip = 1.0
    with Run(tmp_path / "run") as run, pytest.raises(InputError, match=message):
        train(model, stages, length=Length(steps=4), run=run)
    assert model.a.isfinite().all()
    state = Run.load_checkpoint(tmp_path / "run", CHECKPOINT)
    assert state["clock"]["step"] == 0
    assert state["model"]["a"].item() == 1.0


def test_a_training_killed_before_its_first_step_can_be_resumed(tmp_path):
    whole, stages = build()
    train(whole, stages, length=Length(steps=8))
    model, stages = build()

    def killed(step):
        raise KeyboardInterrupt

    stages[0].begin = killed
    with Run(tmp_path / "run") as run, pytest.raises(KeyboardInterrupt):
        train(model, stages, length=Length(steps=8), run=run)
    state = Run.load_checkpoint(tmp_path / "run", CHECKPOINT)
    model, stages = build()
    with Run(tmp_path / "run", resume=True) as run:
        train(model, stages, length=Length(steps=8), run=run, state=state)
    assert torch.equal(model.a, whole.a)
    assert torch.equal(model.b, whole.b)


def test_the_gradient_is_clipped_where_a_stage_says_so():
    model, stages = build(loss=lambda p, _: 1e6 * p.sum())
    stages[0].clip = 1.0
    train(model, stages[:1], length=Length(steps=1))
    assert model.a.grad.item() == pytest.approx(1.0)


def test_metrics_of_the_steps_after_the_checkpoint_are_dropped(tmp_path):
    model, stages = build()
    with Run(tmp_path / "run") as run:
        train(model, stages, length=Length(steps=8), run=run)
    with (tmp_path / "run" / "metrics.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps({"stage": "lost"}) + "\n")
    state = Run.load_checkpoint(tmp_path / "run", CHECKPOINT)
    with Run(tmp_path / "run", resume=True) as run:
        train(model, stages, length=Length(steps=8), run=run, state=state)
        assert [line["stage"] for line in run.read_metrics()] == ["first", "second"]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda s: s["clock"].update(stage=3), "there are 2 stages"),
        (lambda s: s["clock"].update(step=-1), "step=-1"),
        (lambda s: s["clock"].update(step="4"), "step"),
        (lambda s: s["clock"].update(seconds=math.nan), "seconds"),
        (lambda s: s["model"].pop("a"), "of a model of other sizes"),
        (lambda s: s.update(optimizer={}), "of another version"),
        (lambda s: s.update(stage={}), "of another version"),
        (lambda s: s.update(stage={"generator": "x"}), "of another version"),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_refused_in_words(tmp_path, damage, message):
    model, stages = build()
    with Run(tmp_path / "run") as run, pytest.raises(Interrupted):
        train(model, stages, length=Length(steps=8), run=run, on_step=lambda _: signal.raise_signal(signal.SIGINT))
    state = Run.load_checkpoint(tmp_path / "run", CHECKPOINT)
    damage(state)
    model, stages = build()
    with pytest.raises(InputError, match=message):
        train(model, stages, length=Length(steps=8), state=state)


@pytest.mark.parametrize(("threads", "counted"), [(1, "thread_time"), (2, "monotonic")])
def test_a_length_in_minutes_ends_after_as_many_of_one_threads_own_time_or_else_of_the_clock(
    monkeypatch, threads, counted
):
    now = {"monotonic": 0.0, "thread_time": 0.0}
    for name in now:
        monkeypatch.setattr(f"fastslow.training.loop.time.{name}", lambda name=name: now[name])
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)

    def loss(parameter, drawn):
        for name in now:
            now[name] += 10.0 if name == counted else 7.0
        return parameter.sum() * drawn

    model, stages = build(loss=loss)
    clock = train(model, stages, length=Length(minutes=2.0))
    assert clock.total_seconds == 120.0
    assert [sum(call[0] == "loss" for call in stage.calls) for stage in stages] == [9, 3]


@pytest.mark.parametrize(("takes", "expected"), [(1.0, 5), (10.0, 3)])
def test_a_validation_that_takes_long_is_made_less_often(monkeypatch, tmp_path, takes, expected):
    now = [0.0]
    monkeypatch.setattr("fastslow.training.loop.time.monotonic", lambda: now[0])

    def loss(parameter, drawn):
        now[0] += 10.0
        return parameter.sum() * drawn

    class Slow(Toy):
        def validate(self):
            now[0] += takes
            return super().validate()

    model = Model()
    stage = Slow("first", model.a, loss=loss)
    with Run(tmp_path / "run") as run:
        train(model, [stage], length=Length(steps=30), run=run, habits=Habits(validate_every=60.0))
    assert stage.calls.count("validate") == expected
