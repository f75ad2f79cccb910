"""What a trained model of Table 1 is measured at besides its own task: five shots, turned classes, three harder tests.

A number is called after what was measured and on what: "accuracy, 5-shot, 20% wrong labels", and so for what stands
beside it ("protonet, ..."), see `evaluate_model`.

- "5-shot": the usual episodes.
- "1-shot, turned classes" and "5-shot, ...": the protocol of MAML's public code, in which each class is turned by an
  angle that is drawn for the episode. Its published figures are to be held against these.
- "5-shot, 10% wrong labels" to 40%: so many support labels are of another class of the task, see `Corruption`.
- "1-shot, same alphabet": all classes of a task are of one alphabet of the same test classes. Of 20-way models on
  Omniglot, the data that have alphabets.
- "10-way 1-shot, MNIST", 5-shot and 10-shot: all ten digits, of models for at least ten ways, not trained on them.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from fastslow.data.registry import load_source
from fastslow.errors import InputError
from fastslow.methods.files import load_model
from fastslow.protocol.fewshot import evaluate_model
from fastslow.protocol.result import Interval
from fastslow.studies.fewshot_config import FewShotConfig

#: Shares of support labels that are wrong, and shots at which.
WRONG, WRONG_SHOT = (0.1, 0.2, 0.3, 0.4), 5
#: Shots on turned classes.
TURNED_SHOTS = (1, 5)
#: Ways of the tasks within one alphabet, and of those of digits, with their shots.
ALPHABET_WAY, DIGIT_WAY, DIGIT_SHOTS = 20, 10, (1, 5, 10)
#: What the numbers within one alphabet are called after.
SAME_ALPHABET = "1-shot, same alphabet"


class Measurement(NamedTuple):
    """One measurement of a trained model.

    Attributes:
        name: what its numbers are called after.
        way: classes per episode.
        shot: support examples per class.
        episodes: how many.
        same_alphabet: whether the classes of an episode are all of one alphabet.
        wrong_labels: share of the support labels that are wrong.
        rotations: of the classes.
        data: to measure on, all their classes; the model's own and their test classes if None.
    """

    name: str
    way: int
    shot: int
    episodes: int
    same_alphabet: bool = False
    wrong_labels: float = 0.0
    rotations: str = "none"
    data: str | None = None


class Measured(NamedTuple):
    """The outcome of measurements.

    Attributes:
        numbers: by "accuracy, NAME" and the like.
        facts: by the measurement's name, how many episodes and classes there were, and how many were trained on.
        notes: what could not be measured, and why.
    """

    numbers: dict[str, Interval]
    facts: dict[str, Any]
    notes: list[str]


def wrong_labels_name(share: float) -> str:
    """What the numbers with a share of wrong labels are called after."""
    return f"{WRONG_SHOT}-shot, {share:.0%} wrong labels"


def turned_name(shot: int) -> str:
    """What the numbers on turned classes are called after."""
    return f"{shot}-shot, turned classes"


def digits_name(shot: int) -> str:
    """What the numbers on MNIST are called after."""
    return f"{DIGIT_WAY}-way {shot}-shot, MNIST"


def measurements(
    config: FewShotConfig, *, shots: Sequence[int], episodes: int, hard_episodes: int
) -> tuple[list[Measurement], list[str]]:
    """What a model is to be measured at, and what is left out for want of data, in words; before it is trained.

    Args:
        config: of its training.
        shots: of usual episodes.
        episodes: usual ones.
        hard_episodes: of each other test.
    """
    way, notes = config.way, []
    wanted = [Measurement(f"{shot}-shot", way, shot, episodes) for shot in shots]
    wanted += [Measurement(turned_name(shot), way, shot, hard_episodes, rotations="episode") for shot in TURNED_SHOTS]
    wanted += [
        Measurement(wrong_labels_name(share), way, WRONG_SHOT, hard_episodes, wrong_labels=share) for share in WRONG
    ]
    if way >= ALPHABET_WAY and config.data == "omniglot":
        wanted.append(Measurement(SAME_ALPHABET, ALPHABET_WAY, 1, hard_episodes, same_alphabet=True))
    if way >= DIGIT_WAY:
        try:
            load_source("mnist", data_dir=config.data_dir)
            wanted += [Measurement(digits_name(k), DIGIT_WAY, k, hard_episodes, data="mnist") for k in DIGIT_SHOTS]
        except InputError as error:
            notes.append(f"not measured on MNIST: {error}")
    return wanted, notes


def measure_all(folder: Path, config: FewShotConfig, wanted: Sequence[Measurement], *, part: str) -> Measured:
    """Measures a trained model; what the data cannot give is left out and noted, for training was dear.

    Args:
        folder: of its run.
        config: of its training.
        wanted: measurements; those on the same data side by side.
        part: of the classes of its own data, as its run was measured on.
    """
    model, measured = load_model(folder), Measured({}, {}, [])
    for data, group in itertools.groupby(wanted, key=lambda one: one.data):
        images, split = load_source(
            data or config.data, data_dir=config.data_dir, split=config.split if data is None else None,
            image_size=model.config.image_size,
        )  # fmt: skip
        features: dict[object, Tensor] = {}
        for one in group:
            try:
                numbers, facts = evaluate_model(
                    model, images=images, split=split, part="all" if data else part, n_way=one.way, n_shot=one.shot,
                    episodes=one.episodes, same_alphabet=one.same_alphabet, wrong_labels=one.wrong_labels,
                    rotations=one.rotations, features=features,
                )  # fmt: skip
            except InputError as error:
                measured.notes.append(f"not measured at {one.name}: {error}")
                continue
            measured.numbers.update({f"{name}, {one.name}": number for name, number in numbers.items()})
            measured.facts[one.name] = {
                name: facts[name] for name in ("episodes", "classes_used", "trained_on_classes")
            }
    return measured
