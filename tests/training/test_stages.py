from __future__ import annotations

import contextlib
import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import fastslow
from conftest import SMALL_SIZES as SIZES
from fastslow.config import parse
from fastslow.core.encoders import ImageEncoder
from fastslow.methods.base import Method
from fastslow.studies.fewshot_config import FewShotConfig
from fastslow.studies.fewshot_data import load_data
from fastslow.studies.fewshot_training import build_training, seeded_method
from fastslow.training import precision
from fastslow.training.interruption import Stop
from fastslow.training.length import Length
from fastslow.training.loop import CHECKPOINT, train
from fastslow.training.run import Run
from fastslow.training.stages import pairs
from fastslow.training.stages.episodes import end_to_end_stage, memory_stage
from fastslow.training.stages.features import LiveFeatures
from fastslow.training.stages.pairs import PairsStage
from fastslow.training.stages.predictor_fit import learned_with_steps
from fastslow.training.validation import Validation


@pytest.fixture
def options(few_glyphs, tiny_model):
    def make(**changes):
        base = {"data": "glyphs", "way": 3, "queries": 2, "model": tiny_model, "steps": 30, "shares": [1, 1, 1]}
        return parse(FewShotConfig, base | changes)

    return make


def build(config, sizes=SIZES):
    return build_training(config, load_data(config), sizes)


def test_each_stage_moves_what_it_should(options):
    training = build(options())
    expected = ({"encoder"}, {"memory", "decoder"}, {"encoder"})
    assert [stage.name for stage in training.stages] == ["encoder", "memory", "end_to_end"]
    for stage, least in zip(training.stages, expected, strict=True):
        before = {key: value.clone() for key, value in training.method.state_dict().items()}
        train(training.method, [stage], length=Length(steps=2))
        after = training.method.state_dict()
        moved = {key.split(".")[0] for key in before if not torch.equal(before[key], after[key])}
        assert least <= moved
        assert ("encoder" in moved) == (stage.name != "memory")
        statistics = all(torch.equal(value, after[key]) for key, value in before.items() if "running" in key)
        assert statistics == (stage.name != "encoder")


@pytest.mark.parametrize("control", ["none", "random_predictor"])
def test_eq_11_moves_predictors_towards_the_true_gradient_beside_the_query_loss(options, control):
    sizes = {**SIZES, "memory": {"tasks": 4, "clip": 1e9}}

    def training(weight):
        made = build(options(fit_weight=weight, shares=[0, 1, 0], control=control), sizes)
        if control == "none":
            torch.nn.init.normal_(made.method.predictor.head.weight, generator=torch.Generator().manual_seed(1))
        return made

    def gradients(weight):
        made = training(weight)
        train(made.method, made.stages, length=Length(steps=1))
        return {name: parameter.grad for name, parameter in made.method.named_parameters()}

    fitted, plain = gradients(3.0), gradients(0.0)
    by_hand = training(3.0)
    [stage] = by_hand.stages
    stage.begin(0)
    by_hand.method.train()
    by_hand.method.encoder.eval()
    task = stage.task()
    steps, state = learned_with_steps(by_hand.method, task)
    logits = by_hand.method.answer(task.query, state)
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), task.query_labels.flatten())
    true = [torch.autograd.grad(loss, s.activations["write"], retain_graph=True)[0] for s in steps]
    unit = torch.cat([t.flatten() for t in true]).square().mean().sqrt()
    both = zip(steps, true, strict=True)
    fit = sum((s.synthetic_grads["write"] - t / unit).square().sum(-1).mean() for s, t in both) / len(steps)
    for name, parameter in by_hand.method.named_parameters():
        if name.startswith("predictor.") and parameter.requires_grad:
            expected = plain[name] + torch.autograd.grad(3.0 * fit, parameter, retain_graph=True)[0]
            torch.testing.assert_close(fitted[name], expected)
            assert not torch.allclose(fitted[name], plain[name])
        else:
            assert fitted[name] is plain[name] is None or torch.equal(fitted[name], plain[name])


def test_eq_11_of_the_paper_moves_the_predictors_alone(options):
    model = {"channels": [4, 4], "residual": [False, False], "dim": 8, "predictor_hidden": 8}

    def gradients(weight):
        config = options(preset="paper", model=model, shares=[0, 1, 0], fit_weight=weight)
        made = build(config, {**SIZES, "memory": {"tasks": 4, "clip": None}})
        train(made.method, made.stages, length=Length(steps=1))
        return {name: parameter.grad for name, parameter in made.method.named_parameters()}

    fitted, plain = gradients(3.0), gradients(0.0)
    differ = {n for n, grad in fitted.items() if grad is not None and not torch.equal(grad, plain[n])}
    assert {name.split(".")[0] for name in differ} == {"predictors"}
    assert {name.split(".")[1] for name in differ} >= {"output"}


def test_the_loss_that_is_shown_is_that_of_the_queries_with_eq_11_too(options):
    losses = []
    for weight in (0.0, 3.0):
        made = build(options(fit_weight=weight, shares=[0, 1, 0]))
        train(made.method, made.stages, length=Length(steps=1), on_step=lambda p: losses.append(p.loss))
    assert losses[0] == losses[1]


def test_gradient_quality_is_measured_for_fast_controllers(options):
    training = build(options(shares=[0, 1, 0]))
    [stage] = training.stages
    features = torch.randn(len(stage.validation.images.images), 16)
    train(training.method, training.stages, length=Length(steps=3))
    quality = stage.validation.gradients(training.method, features)
    assert set(quality) == {"write"}
    assert -1 <= quality["write"]["cosine"] <= 1
    assert quality["write"]["true_norm"] > 0


def test_the_true_gradient_of_the_write_controller_is_that_of_the_vector_written(options):
    # Predictors that see the label only: the write vector before its update reaches nothing.
    training = build(options(shares=[0, 1, 0], control="label_only"))
    validation = training.stages[0].validation
    quality = validation.gradients(training.method, torch.randn(len(validation.images.images), 16))
    assert quality["write"]["true_norm"] > 0


def test_gradient_quality_of_a_support_set_in_parts_of_different_sizes(options):
    training = build(options(shares=[0, 1, 0], shot=2))
    # A set of six goes in parts of four and two.
    method = seeded_method(dataclasses.replace(options(shot=2).model_config(), num_slots=4), seed=0)
    validation = training.stages[0].validation
    assert set(validation.gradients(method, validation.features(method))) == {"write"}


def test_features_in_passes_are_those_in_one(options, monkeypatch):
    [stage] = build(options(shares=[0, 0, 1])).stages
    indices = torch.arange(24).view(4, 6)
    stage.method.encoder.eval()

    def features(at_once):
        monkeypatch.setattr("fastslow.training.stages.features.images_per_pass", lambda _: at_once)
        stage.generator.manual_seed(0)
        return stage.features.take(indices)

    assert isinstance(stage.features, LiveFeatures)
    torch.testing.assert_close(features(5), features(1000))


@pytest.mark.parametrize("quicker", [True, False])
def test_the_encoder_stage_takes_bfloat16_where_it_is_quicker_and_keeps_to_it(options, monkeypatch, quicker):
    monkeypatch.setattr(pairs, "bfloat16_is_quicker", lambda _: quicker)
    training = build(options(precision="auto", shares=[1, 0, 0]))
    [stage] = training.stages
    train(training.method, training.stages, length=Length(steps=2))
    assert stage.bfloat16 is quicker
    assert all(parameter.dtype == torch.float32 for parameter in training.method.parameters())
    plain = build(options(shares=[1, 0, 0]))
    train(plain.method, plain.stages, length=Length(steps=2))
    weights = (training.method.state_dict(), plain.method.state_dict())
    assert all(torch.equal(value, weights[1][key]) for key, value in weights[0].items()) == (not quicker)
    [again] = build(options(precision="auto", shares=[1, 0, 0])).stages
    again.load_state_dict(stage.state_dict())
    assert again.bfloat16 is quicker


def test_the_probe_of_bfloat16_leaves_the_encoder_as_it_was(options):
    encoder = seeded_method(options().model_config(), seed=0).encoder
    before = {key: value.clone() for key, value in encoder.state_dict().items()}
    assert precision.bfloat16_is_quicker(encoder) in (True, False)
    assert all(torch.equal(value, before[key]) for key, value in encoder.state_dict().items())
    assert all(parameter.grad is None for parameter in encoder.parameters())


def test_features_under_bfloat16_are_near_those_of_32_bits(options):
    encoder = seeded_method(options().model_config(), seed=0).encoder.eval()
    images = torch.rand(6, 1, 14, 14, generator=torch.Generator().manual_seed(0))
    exact, rough = (precision.embedded(encoder, images, bfloat16=flag) for flag in (False, True))
    assert exact.dtype == rough.dtype == torch.float32
    assert not torch.equal(exact, rough)
    assert (exact - rough).norm() < 0.05 * exact.norm()


@pytest.mark.parametrize("wanted", [True, False])
def test_bfloat16_is_taken_on_a_gpu_too_only_where_it_is_wanted(monkeypatch, wanted):
    class OnGPU(torch.Tensor):
        device = torch.device("cuda")

    asked = []

    def autocast(device, dtype, *, enabled):
        asked.append((device, dtype, enabled))
        return contextlib.nullcontext()

    monkeypatch.setattr(torch, "autocast", autocast)
    precision.embedded(lambda images: images, torch.zeros(1).as_subclass(OnGPU), bfloat16=wanted)
    assert asked == [("cuda", torch.bfloat16, wanted)]


class Folding(Method):
    """No memory method: embeds into a table per image by a weight of its own, and has its own loss."""

    stages = ("encoder", "memory", "end_to_end")

    def __init__(self, encoder):
        super().__init__(encoder=encoder, num_classes=3)
        self.scale, self.sharpness = torch.nn.Parameter(torch.ones(4, 4)), torch.nn.Parameter(torch.ones(()))
        self.seen, self.embedded = [], []

    def embed(self, inputs):
        made = self.scale * self.encoder(inputs).unflatten(-1, (4, 4))
        self.embedded.append(made.detach())
        return made

    def initial_state(self, batch_size):
        return torch.zeros(batch_size, self.num_classes, 4, 4)

    def learn(self, examples, targets, state=None):
        weights = torch.nn.functional.one_hot(targets, self.num_classes).to(examples.dtype)
        return torch.einsum("tsc,tsij->tcij", weights, examples)

    def answer(self, examples, state):
        return self.sharpness * torch.einsum("tqij,tcij->tqc", examples, state)

    def loss(self, task):
        self.seen.append(task.support.detach())
        return 1 + super().loss(task)

    def pair_loss(self, features):
        self.seen.append(features.detach())
        return super().pair_loss(features.flatten(2))


def test_a_method_that_embeds_in_its_own_way_and_has_no_memory_goes_through_every_stage(options, tmp_path):
    config = options()
    data = load_data(config)
    method = Folding(seeded_method(config.model_config(), seed=0).encoder)
    validation = Validation(data.validation, n_way=3, n_shot=1, n_query=2, episodes=4, stop=Stop())
    common = {"validation": validation, "generator": torch.Generator().manual_seed(0), "seed": 0}
    stages = [
        PairsStage(method, data.train, judge=method, num_classes=8, share=1.0, **common),
        memory_stage(method, data.train, change_seed=0, tasks=4, share=1.0, **common),
        end_to_end_stage(method, data.train, tasks=4, share=1.0, **common),
    ]
    before, losses = {key: value.clone() for key, value in method.state_dict().items()}, []
    with Run(tmp_path / "run") as run:
        train(method, stages, length=Length(steps=3), run=run, on_step=lambda progress: losses.append(progress.loss))
        lines = run.read_metrics()
    assert [seen.shape for seen in method.seen] == [(8, 2, 4, 4), (4, 3, 4, 4), (4, 3, 4, 4)]
    made = {tuple(row) for row in torch.cat(method.embedded).flatten(1).tolist()}
    assert all(tuple(row) in made for seen in method.seen for row in seen.reshape(-1, 16).tolist())
    assert min(losses[1:]) > 1
    assert [(line["stage"], line["gradients"]) for line in lines] == [(name, {}) for name in method.stages]
    assert all(0 <= line["validation"] <= 1 for line in lines)
    saved = Run.load_checkpoint(tmp_path / "run", CHECKPOINT)["model"]
    assert all(not torch.equal(saved[key], before[key]) for key in ("scale", "sharpness", "encoder.log_sharpness"))


WORKER = """
import os, sys, torch
from pathlib import Path
from fastslow.training import distributed
from fastslow.config import load_config, parse
from fastslow.data import registry
from fastslow.studies.fewshot_config import FewShotConfig
from fastslow.studies.fewshot_data import load_data
from fastslow.studies.fewshot_training import build_training
from fastslow.training.length import Length
from fastslow.training.loop import train
registry.GLYPH_CLASSES = (40, 10, 10)
torch.set_num_threads(1)
distributed.start()
config = parse(FewShotConfig, load_config(Path(sys.argv[1])))
training = build_training(config, load_data(config), {"end_to_end": {"tasks": 4}})
train(training.method, training.stages, length=Length(steps=3))
if distributed.rank() == 0:
    torch.save(training.method.state_dict(), sys.argv[2])
distributed.largest(0.0)  # none leaves while another still writes
distributed.stop()
# All is done and written: torch now and then aborts as the interpreter takes its threads down.
os._exit(0)
"""


@pytest.mark.slow
def test_two_processes_give_the_update_of_one_with_the_joined_batch(options, tmp_path):
    import yaml

    config = options(shares=[0, 0, 1])
    (tmp_path / "options.yaml").write_text(yaml.safe_dump(config.plain()), encoding="utf-8")
    (tmp_path / "worker.py").write_text(WORKER, encoding="utf-8")
    run = ["-m", "torch.distributed.run", "--nproc-per-node=2", "--master-port=29655"]
    path = str(Path(fastslow.__file__).parents[1])
    for name, command in (("one", []), ("two", run)):
        subprocess.run(
            [sys.executable, *command, "worker.py", "options.yaml", f"{name}.pt"],
            cwd=tmp_path, check=True, timeout=240, env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path},
        )  # fmt: skip
    one, two = (torch.load(tmp_path / f"{name}.pt", weights_only=True) for name in ("one", "two"))
    start = build(config).method.state_dict()
    for key in one:
        torch.testing.assert_close(two[key], one[key], atol=2e-5, rtol=1e-4)
    assert any(not torch.equal(one[key], start[key]) for key in one)


@pytest.mark.parametrize(("views", "kept"), [(1, 800), (8, 100)])
def test_the_memory_stage_caches_no_more_features_than_it_is_given_passes_for(options, monkeypatch, views, kept):
    monkeypatch.setattr(ImageEncoder, "num_views", views)
    training = build(options(shares=[0, 1, 0], cached_images=800))
    [stage] = training.stages
    stage.begin(0)
    assert stage.features.cache.shape[:2] == (2, kept)
    stage.task()


def test_annealing_of_a_method_goes_by_how_much_of_its_stage_is_done(options):
    training = build(options(method="mamlpp"))
    first_order = []
    train(
        training.method, training.stages, length=Length(steps=20), on_step=lambda _: first_order.append(
            training.method.is_first_order()
        ),
    )  # fmt: skip
    assert first_order == [True] * 2 + [False] * 18
