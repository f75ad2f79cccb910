"""A small result, and what a run logs, for tests of what reads them."""

import copy

from fastslow.protocol.cells import fewshot_cell
from fastslow.protocol.result import Interval, Provenance, Result

OPTIONS = {
    "data": "glyphs", "data_dir": "somewhere", "split": "vinyals", "train_on": "train", "way": 5, "shot": 1,
    "method": "fastslow", "preset": "default", "control": "none", "model": {}, "seed": 3, "device": "auto",
    "minutes": None, "steps": 10, "encoder": None, "tasks": 16, "learning_rates": [0.002, 0.001], "augment": True,
    "finetune_rate": 0.5, "checkpoint_seconds": 120.0, "test": True, "name": None,
}  # fmt: skip
MEASURED = {
    "accuracy_mean": 0.91234, "accuracy_ci95": 0.00567, "method": "fastslow", "data": "glyphs", "part": "test",
    "n_way": 5, "n_shot": 1, "queries_per_class": 15, "episodes": 1234, "seed": 2020, "split": "vinyals",
    "split_sha256": "abc123def", "transductive": False, "seconds": 11.99, "peak_memory_mib": 888.7,
    "versions": {"torch": "9.8.7"}, "training_seed": 3, "training_seconds": 240.0,
    "command": "fastslow train fewshot --seed 3", "options": OPTIONS,
    "beside": {
        "fast_path_off": {"accuracy_mean": 0.2011, "accuracy_ci95": 0.0023},
        "protonet": {"accuracy_mean": 0.9322, "accuracy_ci95": 0.0034},
    },
}  # fmt: skip
GRADIENTS = {"input": {"cosine": 0.1, "relative_error": 1.0, "predicted_norm": 1.0, "true_norm": 1.0}}
METRICS = [
    {"stage": "encoder", "step": 9, "seconds": 3.0, "done": 0.37, "loss": 2.0, "validation": 0.5, "gradients": {}}
]


def measured(accuracy=0.91234, *, seed=3, part="test", command="fastslow train fewshot --seed 3", **options):
    """The facts of a few-shot run for `fewshot_result`, with changes to its options."""
    plain = copy.deepcopy(MEASURED)
    plain |= {"accuracy_mean": accuracy, "part": part, "command": command, "training_seed": seed}
    plain["options"] |= {"seed": seed, **options}
    return plain


def fewshot_result(facts):
    """A few-shot run's result of such facts."""
    count = facts["episodes"]
    rows = {"accuracy": facts, **facts["beside"]}
    numbers = {name: Interval(row["accuracy_mean"], row["accuracy_ci95"], count) for name, row in rows.items()}
    names = (
        "part",
        "n_way",
        "n_shot",
        "queries_per_class",
        "episodes",
        "seed",
        "split",
        "split_sha256",
        "transductive",
    )
    details = ("versions", "seconds", "training_seconds", "peak_memory_mib", "options")
    provenance = Provenance(
        facts["command"],
        protocol={name: facts[name] for name in names},
        **{name: facts[name] for name in details},
    )
    return Result(fewshot_cell(facts["options"]), numbers, provenance)
