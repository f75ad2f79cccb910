"""Table of few-shot accuracies: the method, its references and its controls (design, section 4)."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from fastslow.errors import InputError, shown
from fastslow.methods.config import controls_of
from fastslow.protocol.result import Cell, Result
from fastslow.report.tables import mean_over_seeds, rows_of
from fastslow.studies.base import Budget, Page, Table
from fastslow.studies.fewshot import run_fewshot
from fastslow.studies.fewshot_config import FewShotConfig
from fastslow.training.run import RUN_FILES

#: Episodes of each measurement; fewer in the small budget, where fine-tuning on each takes most of the time.
EPISODES, _QUICK_EPISODES = 1000, 200
_SEEDS = range(3)


class Plan(NamedTuple):
    """How one preset is trained: its encoder by prototypes, then everything else on that.

    Attributes:
        encoder_steps: of the encoder's training, which is the prototypical network's.
        steps: of all that is trained on it.
        shares: likewise, see `FewShotConfig.shares`.
    """

    encoder_steps: int
    steps: int
    shares: tuple[float, float, float]


#: Methods that learn on a trained encoder; those trained from nothing are in the study of Table 1.
ON_ENCODER = ("fastslow", "matching", "nmn", "protonet", "surprise")
#: By preset.
PLANS = {"default": Plan(20_000, 1000, (0.0, 4.0, 1.0)), "paper": Plan(2500, 20_000, (0.0, 1.0, 0.0))}
#: Steps of the small budget, of each method by itself.
_QUICK_STEPS = 200
#: Presets of the others.
_BUDGETS: dict[Budget, tuple[str, ...]] = {"quick": (), "cpu": ("default",), "paper": ("default", "paper")}


class FewShotStudy:
    """5-way 1-shot: every method on a trained encoder, and every control of the fast path."""

    name = "fewshot"

    def configs(self, budget: Budget) -> list[FewShotConfig]:
        """The options of every run of a budget."""
        if budget == "quick":
            quick = FewShotConfig(data="digits", steps=_QUICK_STEPS)
            return [dataclasses.replace(quick, method=m, control=c) for m, c in _methods("default")]
        return [config for preset in _BUDGETS[budget] for seed in _SEEDS for config in _planned(preset, seed)]

    def cells(self, budget: Budget, data: str | None = None) -> list[Cell]:
        """See `Study.cells`."""
        usual = "digits" if budget == "quick" else "omniglot"
        if data not in (None, usual):
            raise InputError(f"got data={shown(data)}; this study with --budget {budget} runs on {usual}: leave it out")
        return [config.cell() for config in self.configs(budget)]

    def run(self, cell: Cell, folder: Path) -> Result:
        """See `Study.run`; goes on from a checkpoint where there is one.

        Raises:
            ValueError: if it is no cell of this study.
        """
        found = [(c, budget) for budget in _BUDGETS for c in self.configs(budget) if c.cell() == cell]
        if not found:
            raise InputError(f"{cell.key} is no cell of study {self.name}; take one of its cells")
        config, budget = found[0]
        encoder = None if config.encoder is None else _planned(config.preset, config.seed)[0]
        result = run_on_encoder(config, encoder, folder, episodes=_QUICK_EPISODES if budget == "quick" else EPISODES)
        options = {**result.cell.options, "encoder": cell.options["encoder"]}  # by its row, wherever it lies
        return dataclasses.replace(result, cell=dataclasses.replace(result.cell, options=options))

    def page(self, results: Sequence[Result]) -> Page:
        """See `Study.page`."""
        names = list(dict.fromkeys(name for result in results for name in result.numbers))
        rows = []
        for row in rows_of(results):
            options = row[0].cell.options
            what = [row[0].cell.data, row[0].cell.method, *(str(options[n]) for n in ("preset", "control", "length"))]
            numbers = [[r.numbers[name] for r in row if name in r.numbers] for name in names]
            rows.append([*what, *(mean_over_seeds(each) if each else "-" for each in numbers)])
        columns = ["data", "method", "preset", "control", "length", *names]
        measured = " and on ".join(dict.fromkeys(map(measured_on, results)))
        return Page("Few-shot classification, 5-way 1-shot", [Table(f"Accuracy on {measured}, %", columns, rows)])


def _methods(preset: str) -> list[tuple[str, str]]:
    """Every method, and every control of the fast path."""
    return [(m, c) for m in ON_ENCODER for c in (controls_of(m, preset) if m == "fastslow" else ("none",))]


def _planned(preset: str, seed: int) -> list[FewShotConfig]:
    """The runs of one seed, that of the encoder first."""
    plan = PLANS[preset]
    encoder = FewShotConfig(data="omniglot", method="protonet", preset=preset, seed=seed, steps=plan.encoder_steps)
    start = Path(f"omniglot-5w1s-protonet-{preset}-seed{seed}")  # as the runs whose results are here were given it
    on_it = dataclasses.replace(encoder, method="nmn", steps=1, encoder=start)  # which has nothing else to train
    fast = dataclasses.replace(on_it, method="fastslow", steps=plan.steps, shares=plan.shares)
    controls = [dataclasses.replace(fast, control=control) for control in controls_of("fastslow", preset)]
    others = [name for name in ON_ENCODER if name not in ("fastslow", "nmn", "protonet")]
    return [encoder, *controls, on_it, *(dataclasses.replace(fast, method=name) for name in others)]


def run_on_encoder(config: FewShotConfig, encoder: FewShotConfig | None, folder: Path, *, episodes: int) -> Result:
    """A run that starts from an encoder, if any, trained beside it where it has no model yet; see `go_on`."""
    if encoder is None:
        return go_on(config, folder, {}, episodes=episodes)
    start = folder.parent / encoder.run_name()
    if not (start / "model.safetensors").exists():
        go_on(encoder, start, {}, episodes=EPISODES)
    return go_on(config, folder, {"encoder": str(start)}, episodes=episodes)


def go_on(config: FewShotConfig, folder: Path, changes: Mapping[str, Any], *, episodes: int) -> Result:
    """A run in its folder, from the checkpoint where there is one, else from the start."""
    resume = (folder / "checkpoint.pt").exists()
    if not resume and folder.exists():
        for name in RUN_FILES:  # of a run that was killed before its first checkpoint
            (folder / name).unlink(missing_ok=True)
    # A run that goes on keeps its options, and the place that its encoder had.
    options = {"name": folder.name} if resume else {**config.plain(), **changes, "name": folder.name}
    result = run_fewshot(options, runs=folder.parent, resume=resume, episodes=episodes)
    assert result is not None  # one process
    return result


def measured_on(result: Result) -> str:
    """The classes that a result was measured on, in words."""
    protocol = result.provenance.protocol
    seen = protocol.get("trained_on_classes")
    return f"{protocol.get('part', 'test')} classes" + (f" ({seen} of them trained on)" if seen else "")


STUDY = FewShotStudy()
