"""A few-shot run from options to run folder, and the evaluation of what it leaves behind."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from fastslow.data.base import ClassImages
from fastslow.data.registry import load_source
from fastslow.data.splits import Split
from fastslow.errors import InputError
from fastslow.files import write_json
from fastslow.methods.files import TrainedModel, folded_encoder, load_model, save_model
from fastslow.methods.models import build_learner
from fastslow.protocol.fewshot import (
    QUERIES_PER_CLASS,
    TEST_SEED,
    Classifier,
    accuracy_with_interval,
    embed,
    evaluate_episodes,
)
from fastslow.protocol.provenance import peak_memory_mib, versions
from fastslow.studies.fewshot_config import MAX_SEED, FewShotConfig, command_line
from fastslow.training import distributed
from fastslow.training.fewshot import FewShotTraining, Progress, classifier
from fastslow.training.run import Run


def run_fewshot(
    config: FewShotConfig,
    *,
    runs: Path,
    resume: bool = False,
    episodes: int = 1000,
    on_progress: Callable[[Progress], None] | None = None,
) -> dict[str, Any] | None:
    """Trains, saves the model, measures it on the test classes, writes `result.json`.

    Args:
        config: the options.
        runs: folder of run folders.
        resume: go on from the checkpoint.
        episodes: test episodes.
        on_progress: called after each step.

    Returns:
        The result; None in all processes but the first.

    Raises:
        ValueError: if the run folder is taken, or has nothing to resume; nothing has been written then.
    """
    images, split = load_source(
        config.data, data_dir=config.data_dir, split=config.split, image_size=config.model_config().image_size
    )
    distributed.start()
    try:
        training, run = _prepare(config, images, split, runs / config.run_name(), resume)
        training.fit(on_progress)
        if run is None:
            return None
        details = {
            "training": dataclasses.asdict(config), "split": split.name, "split_sha256": split.sha256,
            "versions": versions(),
        }  # fmt: skip
        plain = json.loads(json.dumps(details, default=str))
        learner = training.learner.cpu().eval()
        model = TrainedModel(learner, training.prototypes.cpu(), config.model_config(), config.method, plain)
        save_model(run.folder / "model.safetensors", model)
        result = evaluate_model(
            model, data=config.data, data_dir=config.data_dir, split=config.split, n_way=config.way,
            n_shot=config.shot, episodes=episodes, part="test" if config.test else "validation",
        )  # fmt: skip
        result |= {
            "control": config.control, "preset": config.preset, "training_seed": config.seed,
            "command": command_line(plain["training"]),
            "training_seconds": training.total_seconds, "options": plain["training"],
        }  # fmt: skip
        write_json(run.folder / "result.json", result)
        return result
    finally:
        distributed.stop()


def _prepare(
    config: FewShotConfig, images: ClassImages, split: Split, folder: Path, resume: bool
) -> tuple[FewShotTraining, Run | None]:
    """The training, begun or resumed, and its run folder (in the first process)."""
    if resume:
        state = Run.load_checkpoint(folder)
    elif (folder / "checkpoint.pt").exists():
        raise InputError(f"{folder} holds a run already; go on with --resume, or choose another --name")
    training = FewShotTraining(config, images, split)
    if config.encoder is not None:
        training.start_from_encoder(load_model(config.encoder))
    if resume:
        training.load_state_dict(state)
    if distributed.rank() > 0:
        return training, None
    run = Run(folder)
    run.truncate_metrics(training.num_logged)
    write_json(run.folder / "config.json", dataclasses.asdict(config))
    training.run = run
    return training, run


def evaluate_model(
    model: TrainedModel,
    *,
    data: str,
    data_dir: Path | None = None,
    split: str = "vinyals",
    part: str = "test",
    n_way: int = 5,
    n_shot: int = 1,
    episodes: int = 1000,
    seed: int | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> dict[str, Any]:
    """Accuracy of a model and, beside it, of its fast path off and of prototypes in its encoder's features.

    Args:
        model: the model.
        data: see `load_source`.
        data_dir: likewise.
        split: likewise.
        part: "test" or "validation" classes.
        n_way: classes an episode, at most those of the model.
        n_shot: support examples a class.
        episodes: how many.
        seed: of the episodes; `TEST_SEED` if None.
        on_progress: called with the number of episodes done.

    Returns:
        What `result.json` holds; accuracies in [0, 1].

    Raises:
        ValueError: if the model or the data cannot give such episodes.
    """
    if not 1 < n_way <= model.config.n_way:
        raise InputError(f"way {n_way} came; this model was built for 2 to {model.config.n_way} classes a task")
    if seed is not None and not 0 <= seed < MAX_SEED:
        raise InputError(f"seed {seed} came; it must be from 0 to {MAX_SEED - 1}")
    if not 0 < n_shot < MAX_SEED:
        raise InputError(f"shot {n_shot} came; it must be at least 1, and no more than there are images of a class")
    capacity = model.learner.capacity if model.method == "fastslow" else None
    if capacity is not None and n_way * n_shot > capacity:
        raise InputError(
            f"way {n_way} and shot {n_shot} came: {n_way * n_shot} examples a task, but this model's memory holds "
            f"{capacity}; lower way or shot, or train a model for them"
        )
    if episodes < 2:
        raise InputError(f"{episodes} episodes came; an interval needs at least 2")
    began = time.monotonic()
    seed = TEST_SEED if seed is None else seed
    images, parts = load_source(data, data_dir=data_dir, split=split, image_size=model.config.image_size)
    held_out = images.select(parts.test if part == "test" else parts.validation)
    with torch.inference_mode():
        features = embed(folded_encoder(model), held_out.images)

        def measure(classify: Classifier, report: Callable[[int], None] | None = None) -> dict[str, Any]:
            accuracies = evaluate_episodes(
                classify, features, held_out.labels, n_way=n_way, n_shot=n_shot, episodes=episodes, seed=seed,
                on_progress=report,
            )  # fmt: skip
            mean, interval = accuracy_with_interval(accuracies)
            return {"accuracy_mean": mean, "accuracy_ci95": interval}

        own = measure(_classifier(model), on_progress)
        beside = {}
        if model.method == "fastslow":
            beside["fast_path_off"] = measure(without_fast_path(model))
        if model.method != "protonet":
            beside["protonet"] = measure(model.prototypes)
    return {
        **own, "method": model.method, "beside": beside, "data": data, "part": part, "n_way": n_way, "n_shot": n_shot,
        "queries_per_class": QUERIES_PER_CLASS, "episodes": episodes, "seed": seed, "split": parts.name,
        "split_sha256": parts.sha256, "transductive": False, "seconds": round(time.monotonic() - began, 2),
        "peak_memory_mib": round(peak_memory_mib(), 1), "versions": versions(),
    }  # fmt: skip


def without_fast_path(model: TrainedModel) -> Classifier:
    """The same weights with no controller learning fast: the plain memory network."""
    plain = build_learner(dataclasses.replace(model.config, fast_controllers=(), gradients="synthetic"))
    plain.load_state_dict(model.learner.state_dict(), strict=False)
    return plain.eval()


def _classifier(model: TrainedModel) -> Classifier:
    training = model.details.get("training") or {}
    return classifier(
        model.method, model.learner, model.prototypes, finetune_steps=training.get("finetune_steps", 50),
        finetune_rate=training.get("finetune_rate", 0.5),
    )  # fmt: skip
