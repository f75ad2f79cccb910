"""What a few-shot run trains on and is measured on; with little data, as much of it as there is, said plainly."""

from __future__ import annotations

import dataclasses
import hashlib

from fastslow.data.base import ClassImages
from fastslow.data.registry import load_source
from fastslow.data.splits import Split
from fastslow.errors import InputError, shown
from fastslow.protocol.fewshot import QUERIES_PER_CLASS
from fastslow.studies.fewshot_config import FewShotConfig


@dataclasses.dataclass(frozen=True)
class FewShotData:
    """The data of a run.

    Attributes:
        images: all of them.
        split: into classes for training, validation and test.
        trained: the classes trained on, as they are.
        train: these classes, each in four rotations, with `mirrors` also as seen in a mirror.
        validation: classes to validate on.
        part: that is measured at the end, as `Split.part` names it: "test", "validation", or where that has too few
            classes "all" in place of "test" and "train+validation" in place of "validation".
        queries: of each class in training.
        validation_queries: likewise in validation.
        measured_queries: likewise at the end.
        notes: what is done otherwise for want of data, in words.
    """

    images: ClassImages
    split: Split
    trained: ClassImages
    train: ClassImages
    validation: ClassImages
    part: str
    queries: int
    validation_queries: int
    measured_queries: int
    notes: tuple[str, ...]

    @property
    def gradient_queries(self) -> int:
        """Queries of each class where gradients are compared in validation."""
        return min(self.queries, self.validation_queries)

    @property
    def checksum(self) -> str:
        """SHA-256 of the split, and of every image with its class."""
        digest = hashlib.sha256(self.split.sha256.encode())
        for part in (self.images.labels, self.images.images):
            digest.update(part.contiguous().numpy().tobytes())
        return digest.hexdigest()


def load_data(config: FewShotConfig) -> FewShotData:
    """Loads the data once, and settles what is done with them.

    Raises:
        ValueError: if there are none, or they cannot give a single task.
    """
    size = config.model_config().image_size
    images, split = _source(config, size)
    if images.images.shape[1:] != (size, size):
        raise InputError(
            f"got image_size={size}; the images of {config.data} are {images.images.shape[1]} pixels high and "
            f"{images.images.shape[2]} wide: leave model.image_size out"
        )
    notes: list[str] = []
    trained = images.select(_classes(config, split))
    train = (trained.with_mirrors() if config.mirrors else trained).with_rotations()
    queries = _queries(train, config, config.queries, "training", notes)
    validation_part = _validation_part(images, split, config, notes)
    part = _test_part(images, split, config, notes) if config.test else validation_part
    validation, measured = (images.select(split.part(name)) for name in (validation_part, part))
    validation_queries = _queries(validation, config, QUERIES_PER_CLASS, "validation", notes)
    _say_who_is_left_out(trained, config.shot + queries, "training", notes)
    _say_who_is_left_out(validation, config.shot + validation_queries, "validation", notes)
    return FewShotData(
        images, split, trained, train, validation, part, queries, validation_queries,
        _queries(measured, config, QUERIES_PER_CLASS, "the final figure", notes), tuple(notes),
    )  # fmt: skip


def load_trained(config: FewShotConfig, image_size: int) -> ClassImages:
    """The images of `FewShotData.trained` in another size, in the same order."""
    images, split = _source(config, image_size)
    return images.select(_classes(config, split))


def _source(config: FewShotConfig, image_size: int) -> tuple[ClassImages, Split]:
    return load_source(
        config.data, data_dir=config.data_dir, split=config.split, image_size=image_size, ink=config.ink,
        crop=config.crop,
    )  # fmt: skip


def _classes(config: FewShotConfig, split: Split) -> tuple[int, ...]:
    """Those to train on."""
    return split.train if config.train_on == "train" else split.train_and_validation


def _validation_part(images: ClassImages, split: Split, config: FewShotConfig, notes: list[str]) -> str:
    """The classes for validation or, where they give no tasks, those for training too; for test as a last resort."""
    if _gives_tasks(images, split, "validation", config):
        return "validation"
    few = _too_few(split, "validation", config)
    if _gives_tasks(images, split, "train+validation", config):
        notes.append(
            f"{few}: validated on all classes but those for test, also those trained on; the figure says how well it "
            "knows them, not how well it learns new ones"
        )
        return "train+validation"
    if not config.test:
        raise InputError(
            f"got test=False, and {few}, also together with those for training: nothing but the test classes is left "
            "to measure; leave out --no-test, lower way or shot, or give more classes"
        )
    notes.append(f"{few}, also together with those for training: validated on all classes, also those for test")
    return "all"


def _test_part(images: ClassImages, split: Split, config: FewShotConfig, notes: list[str]) -> str:
    """The classes for test or, where they give no tasks, all there are."""
    if _gives_tasks(images, split, "test", config):
        return "test"
    notes.append(
        f"{_too_few(split, 'test', config)}: measured on all classes, also those trained on; the figure says how well "
        "it knows them, not how well it learns new ones"
    )
    return "all"


def _gives_tasks(images: ClassImages, split: Split, part: str, config: FewShotConfig) -> bool:
    classes = split.train_and_validation if part == "train+validation" else getattr(split, part)
    return _most_queries(images.select(classes), config) > 0


def _too_few(split: Split, part: str, config: FewShotConfig) -> str:
    number = len(getattr(split, part))
    return f"the classes for {part} are {number}, too few for {config.way}-way {config.shot}-shot tasks"


def _queries(images: ClassImages, config: FewShotConfig, wanted: int, purpose: str, notes: list[str]) -> int:
    """As many queries of each class as wanted, or as fit."""
    most = _most_queries(images, config)
    if most < 1:
        raise InputError(
            f"got {config.way}-way {config.shot}-shot tasks for {purpose}; they need {config.way} classes of at least "
            f"{config.shot + 1} drawings, and of {images.num_classes} classes {_num_classes(images, config.shot + 1)} "
            "have as many: lower way or shot, or give more data"
        )
    if most < wanted:
        notes.append(f"{most} queries of each class in {purpose}, not {wanted}: the classes have no more drawings")
    return min(wanted, most)


def _say_who_is_left_out(images: ClassImages, size: int, purpose: str, notes: list[str]) -> None:
    """Names the classes that have drawings, but too few for a task."""
    counts = images.labels.bincount(minlength=images.num_classes).tolist()
    names = [name for name, count in zip(images.class_names, counts, strict=True) if 0 < count < size]
    if names:
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        notes.append(
            f"{len(names)} of {images.num_classes} classes in {purpose} have fewer than {size} drawings and are in no "
            f"task there: {', '.join(map(shown, names[:3]))}{more}"
        )


def _most_queries(images: ClassImages, config: FewShotConfig) -> int:
    """The most queries of each class with which there are still classes enough for a task; below 1 for none."""
    counts = images.labels.bincount(minlength=images.num_classes).sort(descending=True).values
    return int(counts[config.way - 1]) - config.shot if len(counts) >= config.way else 0


def _num_classes(images: ClassImages, size: int) -> int:
    return int((images.labels.bincount(minlength=images.num_classes) >= size).sum())
