"""Few-shot classification of characters (paper Sec. 4.1): a run from its options to its result.

The cheap training order: the encoder alone, memory and predictors on cached features, everything end to end. Stages can
be left out by their share of the length. A run keeps its options: resumed, it takes a new length and nothing else.
"""

from __future__ import annotations

import dataclasses
import time
import warnings
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from fastslow.config import parse
from fastslow.files import write_json
from fastslow.methods.base import Method
from fastslow.methods.files import TrainedModel, save_model
from fastslow.protocol.classes import ENTRY
from fastslow.protocol.fewshot import evaluate_model
from fastslow.protocol.provenance import peak_memory_mib, processor_name, versions
from fastslow.protocol.result import Provenance, Result, write_result
from fastslow.studies.fewshot_config import FewShotConfig
from fastslow.studies.fewshot_data import FewShotData, load_data
from fastslow.studies.fewshot_record import Record, resume_record
from fastslow.studies.fewshot_training import FewShotTraining, Sizes, begin_record, build_training, meet_teacher
from fastslow.studies.names import refuse_bad_name
from fastslow.training import distributed
from fastslow.training.interruption import Passes
from fastslow.training.length import Length
from fastslow.training.loop import CHECKPOINT, Clock, OnProgress, train
from fastslow.training.run import Run, refuse_unreadable


def run_fewshot(
    options: FewShotConfig | Mapping[str, Any],
    *,
    runs: str | Path,
    resume: bool = False,
    episodes: int = 1000,
    on_progress: OnProgress | None = None,
    say: Callable[[str], object] = warnings.warn,
    sizes: Sizes | None = None,
) -> Result | None:
    """Trains, saves the model, measures it on the test classes, writes `result.json`.

    A length in steps gives the same weights bit for bit, however often the run is interrupted and resumed; one in
    minutes does not.

    Args:
        options: the options; to resume, as many of them as are known, `name` alone at the least.
        runs: folder of run folders.
        resume: go on from the checkpoint.
        episodes: test episodes.
        on_progress: called after each step, and before each pass of work of minutes between them.
        say: called with what is done otherwise for want of data, and before such work, in words.
        sizes: see `Sizes`.

    Returns:
        The result; None in all processes but the first.

    Raises:
        Interrupted: if the user stops it, after a checkpoint has been written.
        ValueError: if an option or the data cannot be used, the run folder is taken, or the run to resume is missing or
            was begun with other options; nothing has been written then.
    """
    folder = run_folder(options, runs)
    distributed.start()
    try:
        with Run(folder, resume=resume) if distributed.rank() == 0 else nullcontext() as run:
            state = Run.load_checkpoint(folder, CHECKPOINT) if resume else None
            record = None if state is None else resume_record(state, _plain(options))
            config = parse(FewShotConfig, _plain(options)) if record is None else record.config
            data = load_data(config)
            training = build_training(config, data, sizes)
            training.stop.on_passes = on_progress
            refuse_unreadable(training.method)
            if record is None:
                record = begin_record(config, data, training, say)
            else:
                record.refuse_other(data.checksum, len(training.stages))
            meet_teacher(training, record, 0 if state is None else parse(Clock, state["clock"]).stage, say)
            if run is not None:
                _announce(run, record, data, say)
            clock = train(
                training.method, training.stages, length=Length(config.steps, config.minutes), run=run, state=state,
                about=lambda: _on_machine(record, training).plain, stop=training.stop, on_step=on_progress,
            )  # fmt: skip
            if run is None:
                return None
            trained = _on_machine(record, training), data, training.method, clock.total_seconds
            return _measure(run, *trained, episodes, on_progress)
    finally:
        distributed.stop()


def run_folder(options: FewShotConfig | Mapping[str, Any], runs: str | Path) -> Path:
    """The folder of the run that options name or describe.

    Raises:
        ValueError: if they do neither, or the name would leave the folder of runs.
    """
    name = _plain(options).get("name")
    if name is None:
        return Path(runs) / parse(FewShotConfig, _plain(options)).run_name()
    refuse_bad_name(str(name))
    return Path(runs) / str(name)


def _plain(options: FewShotConfig | Mapping[str, Any]) -> Mapping[str, Any]:
    return options.plain() if isinstance(options, FewShotConfig) else options


def _on_machine(record: Record, training: FewShotTraining) -> Record:
    """The record with what is used here and now."""
    device = training.method.encoder.log_sharpness.device.type
    bfloat16 = any(getattr(stage, "bfloat16", False) for stage in training.stages)  # the encoder stage has it
    return record.on_machine(device, distributed.world_size(), bfloat16)


def _announce(run: Run, record: Record, data: FewShotData, say: Callable[[str], object]) -> None:
    """Writes down and says what is going to be done."""
    config = {**record.options, "lengths": record.lengths, "command": record.commands(run.folder.name)}
    write_json(run.folder / "config.json", config)
    for note in data.notes:
        say(note)


def _measure(
    run: Run,
    record: Record,
    data: FewShotData,
    method: Method[Any],
    training_seconds: float,
    episodes: int,
    on_progress: OnProgress | None,
) -> Result:
    """Saves the model, measures it, writes `result.json`."""
    config, began = record.config, time.monotonic()
    trained_on = {} if record.trained_on is None else {ENTRY: record.trained_on}
    details = {
        "training": record.options, "lengths": record.lengths, "split": data.split.name,
        "split_sha256": data.split.sha256, "versions": versions(), **trained_on,
    }  # fmt: skip
    model = TrainedModel(method.cpu().eval(), config.model_config(), details)
    save_model(run.folder / "model.safetensors", model)
    evaluation = evaluate_model(
        model, images=data.images, split=data.split, part=data.part, n_way=config.way, n_shot=config.shot,
        queries=data.measured_queries, episodes=episodes,
        on_progress=None if on_progress is None else lambda unit, n, of: on_progress(Passes(data.part, n, of, unit)),
    )  # fmt: skip
    protocol = {**evaluation.facts, "notes": list(data.notes), "machines": record.machines}
    provenance = Provenance(
        command=record.commands(run.folder.name), versions=versions(), processor=processor_name(),
        seconds=round(time.monotonic() - began, 2), training_seconds=training_seconds,
        peak_memory_mib=peak_memory_mib(), protocol=protocol, options=record.options,
    )  # fmt: skip
    cell = config.cell(record.lengths)
    cell = dataclasses.replace(cell, options={**cell.options, "part": data.part})  # what was measured, not asked for
    result = Result(cell, evaluation.numbers, provenance)
    write_result(run.folder / "result.json", result)
    return result
