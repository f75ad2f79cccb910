from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys

import pytest
import torch

from fastslow.config import parse
from fastslow.data import load_source
from fastslow.errors import InputError
from fastslow.methods.files import load_model
from fastslow.methods.models import build_learner
from fastslow.studies import fewshot_run
from fastslow.studies.fewshot_config import FewShotConfig
from fastslow.studies.fewshot_run import evaluate_model, run_fewshot
from fastslow.training import fewshot
from fastslow.training.fewshot import FewShotTraining, Interrupted

SMALL = {"data": "glyphs", "way": 3, "pair_classes": 8, "tasks": 4, "cached_tasks": 4, "queries": 2}


@pytest.fixture(autouse=True)
def _few_episodes(few_glyphs, monkeypatch):
    monkeypatch.setattr(fewshot, "VALIDATION_EPISODES", 4)


@pytest.fixture
def options(tiny_model):
    def make(**changes):
        return parse(FewShotConfig, {**SMALL, "model": tiny_model, "steps": 30, "shares": [1, 1, 1], **changes})

    return make


def _training(config):
    images, split = load_source("glyphs")
    return FewShotTraining(config, images, split)


def _weights(folder):
    model = load_model(folder)
    return {**model.learner.state_dict(), **{f"p.{k}": v for k, v in model.prototypes.state_dict().items()}}


@pytest.mark.parametrize("stop_after", [4, 13, 27])
def test_a_resumed_run_equals_an_uninterrupted_one_bit_for_bit(options, tmp_path, stop_after):
    whole = run_fewshot(options(), runs=tmp_path / "whole", episodes=5)
    seen = []

    def interrupt(progress):
        seen.append(progress)
        if len(seen) == stop_after:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(Interrupted):
        run_fewshot(options(), runs=tmp_path / "parts", episodes=5, on_progress=interrupt)
    assert len(seen) == stop_after
    resumed = run_fewshot(options(), runs=tmp_path / "parts", resume=True, episodes=5)
    name = options().run_name()
    expected, got = _weights(tmp_path / "whole" / name), _weights(tmp_path / "parts" / name)
    assert expected.keys() == got.keys()
    assert all(torch.equal(expected[key], got[key]) for key in expected)
    assert resumed["accuracy_mean"] == whole["accuracy_mean"]


def test_a_finished_training_resumes_into_its_evaluation(options, tmp_path):
    whole = run_fewshot(options(name="x"), runs=tmp_path, episodes=5)
    (tmp_path / "x" / "result.json").unlink()
    again = run_fewshot(options(name="x"), runs=tmp_path, resume=True, episodes=5)
    assert again["accuracy_mean"] == whole["accuracy_mean"]
    assert (tmp_path / "x" / "result.json").exists()


def test_a_run_leaves_its_folder_behind(options, tmp_path):
    result = run_fewshot(options(), runs=tmp_path, episodes=5)
    folder = tmp_path / options().run_name()
    assert {path.name for path in folder.iterdir()} == {
        "config.json", "metrics.jsonl", "checkpoint.pt", "model.safetensors", "model.json", "result.json",
    }  # fmt: skip
    written = json.loads((folder / "result.json").read_text())
    for key in ("accuracy_mean", "accuracy_ci95", "episodes", "split", "split_sha256", "seed", "seconds", "versions"):
        assert written[key] == result[key]
    assert written["transductive"] is False
    assert set(written["beside"]) == {"fast_path_off", "protonet"}
    stages = [json.loads(line)["stage"] for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert stages == ["encoder", "memory", "finetune"]


def test_the_same_seed_gives_the_same_model_and_another_seed_another(options, tmp_path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        run_fewshot(options(seed=seed, name=name), runs=tmp_path, episodes=2)
    a, b, c = (_weights(tmp_path / name) for name in "abc")
    assert all(torch.equal(a[key], b[key]) for key in a)
    assert any(not torch.equal(a[key], c[key]) for key in a)


def test_each_stage_moves_what_it_should(options):
    def moved(before, after):
        return {key.split(".")[1] for key in before if not torch.equal(before[key], after[key])}

    training = _training(options())
    for name, expected in (("encoder", {"encoder"}), ("memory", {"memory", "decoder"}), ("finetune", {"encoder"})):
        assert training.stages[training.stage] == name
        before = {k: v.clone() for k, v in training.learner.state_dict().items() if k.startswith("network.")}
        statistics = {k: v for k, v in before.items() if "running" in k}
        training.update()
        training.update()
        after = training.learner.state_dict()
        changed = moved(before, after)
        assert expected <= changed
        assert ("encoder" in changed) == (name != "memory")
        frozen = all(torch.equal(v, after[k]) for k, v in statistics.items())
        assert frozen == (name != "encoder")
        training.stage, training.step = training.stage + 1, 0
        training._begin_stage()


def test_it_learns(options, tmp_path):
    model = {**options().model, "step_sizes": [1.0, 1.0, 1.0]}
    changes = {"model": model, "learning_rates": [5e-3, 1e-2, 1e-4], "cached_tasks": 16, "pair_classes": 20}
    result = run_fewshot(options(steps=400, shares=[2, 2, 0], **changes), runs=tmp_path, episodes=50)
    assert result["accuracy_mean"] > 0.6
    assert abs(result["beside"]["fast_path_off"]["accuracy_mean"] - 1 / 3) < 0.1


@pytest.mark.parametrize(("method", "beside"), [("protonet", set()), ("nmn", {"protonet"})])
def test_the_other_methods_train_their_encoder_only(options, tmp_path, method, beside):
    result = run_fewshot(options(method=method, steps=10, finetune_steps=3), runs=tmp_path, episodes=4)
    assert result["method"] == method
    assert set(result["beside"]) == beside
    metrics = (tmp_path / options(method=method).run_name() / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["stage"] for line in metrics] == ["encoder"]


@pytest.mark.parametrize(
    "control", ["fast_path_off", "zero_read", "label_only", "random_predictor", "true_gradient", "write_where_read"]
)
def test_every_control_runs(options, tmp_path, control):
    result = run_fewshot(options(control=control, steps=6), runs=tmp_path, episodes=4)
    assert result["control"] == control


@pytest.mark.parametrize("control", ["none", "random_predictor"])
def test_eq_11_moves_predictors_towards_the_true_gradient_beside_the_query_loss(options, control):
    def training(weight):
        made = _training(options(fit_weight=weight, shares=[0, 1, 0], control=control, clip=1e9))
        if control == "none":
            torch.nn.init.normal_(made.learner.predictors.write.head.weight, generator=torch.manual_seed(1))
        return made

    def gradients(weight):
        made = training(weight)
        made.update()
        return {name: parameter.grad for name, parameter in made.learner.named_parameters()}

    fitted, plain = gradients(3.0), gradients(0.0)
    by_hand = training(3.0)
    by_hand.learner.train()
    by_hand.encoder.eval()
    loss, steps = by_hand.loss()
    true = [torch.autograd.grad(loss, s.activations["write"], retain_graph=True)[0] for s in steps]
    unit = torch.cat([t.flatten() for t in true]).square().mean().sqrt()
    pairs = zip(steps, true, strict=True)
    fit = sum((s.synthetic_grads["write"] - t / unit).square().sum(-1).mean() for s, t in pairs) / len(steps)
    for name, parameter in by_hand.learner.named_parameters():
        if name.startswith("predictors.write.") and parameter.requires_grad:
            expected = plain[name] + torch.autograd.grad(3.0 * fit, parameter, retain_graph=True)[0]
            torch.testing.assert_close(fitted[name], expected)
            assert not torch.allclose(fitted[name], plain[name])
        else:
            assert fitted[name] is plain[name] is None or torch.equal(fitted[name], plain[name])
    with pytest.raises(InputError, match="must not be negative"):
        options(fit_weight=-1.0)


def test_without_the_test_classes_it_measures_on_those_for_validation(options, tmp_path):
    result = run_fewshot(options(steps=4, test=False), runs=tmp_path, episodes=4)
    assert result["part"] == "validation"
    assert "--no-test" in result["command"]
    with pytest.raises(InputError, match="trained on measure nothing"):
        options(steps=4, test=False, train_on="train+validation")


def test_paper_preset_runs_end_to_end_from_nothing(options, tmp_path):
    model = {"channels": [4, 4], "residual": [False, False], "dim": 8, "predictor_hidden": 8}
    config = options(preset="paper", steps=4, shares=[0, 0, 1], model=model)
    result = run_fewshot(config, runs=tmp_path, episodes=4)
    assert result["preset"] == "paper"


def test_starting_from_a_trained_encoder_skips_its_stage(options, tmp_path):
    run_fewshot(options(method="protonet", steps=10, name="encoder"), runs=tmp_path, episodes=2)
    training = _training(options(encoder=tmp_path / "encoder"))
    assert training.stages == ["memory", "finetune"]
    training.start_from_encoder(load_model(tmp_path / "encoder"))
    expected = load_model(tmp_path / "encoder").learner.network.encoder.state_dict()
    got = training.encoder.state_dict()
    assert all(torch.equal(expected[key], got[key]) for key in expected)


def test_refusals_write_nothing(options, tmp_path):
    with pytest.raises(
        InputError, match="way=12 came, but the split has 40 classes for training and 10 for validation"
    ):
        run_fewshot(options(way=12), runs=tmp_path)
    with pytest.raises(InputError, match="nothing to resume"):
        run_fewshot(options(), runs=tmp_path, resume=True)
    assert list(tmp_path.iterdir()) == []


def test_a_taken_folder_is_not_overwritten(options, tmp_path):
    run_fewshot(options(steps=3), runs=tmp_path, episodes=2)
    with pytest.raises(InputError, match="holds a run already; go on with --resume"):
        run_fewshot(options(steps=3), runs=tmp_path)


def test_a_checkpoint_of_other_sizes_is_refused(options, tmp_path):
    run_fewshot(options(steps=3, name="x"), runs=tmp_path, episodes=2)
    other = options(steps=3, name="x", model={**options().model, "dim": 8, "projection": 8})
    with pytest.raises(InputError, match="the checkpoint is of a model of other sizes"):
        run_fewshot(other, runs=tmp_path, resume=True)


def test_evaluation_refuses_more_ways_than_the_model_has(options, tmp_path):
    run_fewshot(options(steps=3, name="x"), runs=tmp_path, episodes=2)
    model = load_model(tmp_path / "x")
    with pytest.raises(InputError, match="way 4 came; this model was built for 2 to 3 classes a task"):
        evaluate_model(model, data="glyphs", n_way=4)
    with pytest.raises(InputError, match="1 episodes came; an interval needs at least 2"):
        evaluate_model(model, data="glyphs", n_way=3, episodes=1)
    fewer = evaluate_model(model, data="glyphs", n_way=2, episodes=3)
    assert fewer["n_way"] == 2


def test_gradient_quality_is_logged_for_fast_controllers(options):
    training = _training(options(shares=[0, 1, 0]))
    features = torch.randn(len(training.validation.images), 16)
    for _ in range(3):
        training.update()
    quality = training.gradient_quality(features)
    assert set(quality) == {"write"}
    assert -1 <= quality["write"]["cosine"] <= 1
    assert quality["write"]["true_norm"] > 0


def test_the_true_gradient_of_the_write_controller_is_that_of_the_vector_written(options):
    # Predictors that see the label only: the write vector before its update reaches nothing.
    training = _training(options(shares=[0, 1, 0], control="label_only"))
    quality = training.gradient_quality(torch.randn(len(training.validation.images), 16))
    assert quality["write"]["true_norm"] > 0


WORKER = """
import sys, torch
from pathlib import Path
from fastslow.training import distributed
from fastslow.config import load_config, parse
from fastslow.data import load_source, registry as sources
from fastslow.training.fewshot import FewShotTraining
from fastslow.studies.fewshot_config import FewShotConfig
sources.GLYPH_CLASSES = (40, 10, 10)
torch.set_num_threads(1)
distributed.start()
training = FewShotTraining(parse(FewShotConfig, load_config(Path(sys.argv[1]))), *load_source("glyphs"))
for _ in range(3):
    training.update()
if distributed.rank() == 0:
    torch.save(training.learner.state_dict(), sys.argv[2])
distributed.stop()
"""


@pytest.mark.slow
def test_two_processes_give_the_update_of_one_with_the_joined_batch(options, tmp_path, tiny_model):
    import yaml

    config = {**SMALL, "model": tiny_model, "steps": 30, "shares": [0, 0, 1]}
    (tmp_path / "options.yaml").write_text(yaml.safe_dump(config))
    (tmp_path / "worker.py").write_text(WORKER)
    run = ["-m", "torch.distributed.run", "--nproc-per-node=2", "--master-port=29655"]
    for name, command in (("one", []), ("two", run)):
        subprocess.run(
            [sys.executable, *command, "worker.py", "options.yaml", f"{name}.pt"],
            cwd=tmp_path, check=True, timeout=120, env={**os.environ, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
    one, two = (torch.load(tmp_path / f"{name}.pt", weights_only=True) for name in ("one", "two"))
    start = _training(parse(FewShotConfig, config)).learner.state_dict()
    for key in one:
        torch.testing.assert_close(two[key], one[key], atol=2e-5, rtol=1e-4)
    assert any(not torch.equal(one[key], start[key]) for key in one)


def test_episodes_for_evaluation_do_not_depend_on_the_training_seed(options, tmp_path, monkeypatch):
    seeds = []
    real = fewshot_run.evaluate_episodes

    def spy(*args, **kwargs):
        seeds.append(kwargs["seed"])
        return real(*args, **kwargs)

    monkeypatch.setattr(fewshot_run, "evaluate_episodes", spy)
    for seed in (0, 1):
        run_fewshot(options(steps=3, seed=seed), runs=tmp_path, episodes=2)
    assert len(set(seeds)) == 1


@pytest.mark.parametrize("changes", [{"shot": 6}, {"queries": 1000}], ids=str)
def test_episodes_that_the_data_cannot_give_are_refused_before_training(options, tmp_path, changes):
    with pytest.raises(InputError, match="3-way episodes need 3 classes with at least"):
        run_fewshot(options(**changes), runs=tmp_path)
    assert not any(tmp_path.iterdir())


def test_gradient_quality_of_a_support_set_in_parts_of_different_sizes(options):
    training = _training(options(shares=[0, 1, 0], shot=2))
    # A set of six goes in parts of four and two.
    training.learner = build_learner(dataclasses.replace(training.config.model_config(), num_slots=4))
    features = fewshot.embed(training.encoder, training.validation.images)
    assert set(training.gradient_quality(features)) == {"write"}


def test_evaluation_refuses_more_examples_than_slots(options, tmp_path):
    run_fewshot(options(model={**options().model, "num_slots": 3}), runs=tmp_path, episodes=5)
    model = load_model(next(tmp_path.iterdir()))
    with pytest.raises(InputError, match="6 examples a task, but this model's memory holds 3"):
        evaluate_model(model, data="glyphs", n_way=3, n_shot=2, episodes=5)
    for wrong in ({"seed": 10**30}, {"n_shot": 10**30}):
        with pytest.raises(InputError, match="came; it must be"):
            evaluate_model(model, data="glyphs", **{"n_way": 3, "n_shot": 1, "episodes": 5, **wrong})
