"""A few-shot training put together: method, stages and validation from options and data."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch

from fastslow.core.encoders import ImageEncoder
from fastslow.core.views import NUM_VIEWS, ViewsEncoder
from fastslow.errors import InputError, shown
from fastslow.methods import build_method
from fastslow.methods.base import Method, refuse_without_features
from fastslow.methods.config import ModelConfig, refuse_overfull
from fastslow.methods.files import load_model, locate_model
from fastslow.methods.networks import MemoryMethod
from fastslow.methods.protonet import PrototypicalNetwork
from fastslow.protocol.classes import ENTRY, trained_on
from fastslow.studies.fewshot_config import FewShotConfig
from fastslow.studies.fewshot_data import FewShotData, load_trained
from fastslow.studies.fewshot_record import Record
from fastslow.training.device import pick_device
from fastslow.training.interruption import Stop
from fastslow.training.stage import Stage
from fastslow.training.stages.episodes import end_to_end_stage, memory_stage
from fastslow.training.stages.pairs import PairsStage
from fastslow.training.stages.predictor_fit import PredictorFit, predictors_of
from fastslow.training.teacher import Teacher, Teaching
from fastslow.training.validation import Validation

#: In the order of `FewShotConfig.shares`; the number of a stage goes into the seed of its tasks.
STAGES = ("encoder", "memory", "end_to_end")
#: Arguments of a stage, or of `Validation` under "validation", by name, in place of their defaults: for small tests.
Sizes = Mapping[str, Mapping[str, Any]]


class FewShotTraining(NamedTuple):
    """What `train` needs.

    Attributes:
        method: what is trained.
        stages: in their order.
        stop: by which the user stops it.
    """

    method: Method[Any]
    stages: list[Stage]
    stop: Stop


def build_training(config: FewShotConfig, data: FewShotData, sizes: Sizes | None = None) -> FewShotTraining:
    """The training that options describe, at its start.

    Args:
        config: the options.
        data: from `load_data`.
        sizes: see `Sizes`.

    Raises:
        ValueError: if nothing is to be trained, the method has no room for a task, the data cannot give the tasks, or
            the device is not there.
    """
    method = seeded_method(config.model_config(), config.seed).to(pick_device(config.device))
    refuse_overfull(config.way * config.shot, method.capacity)
    stop, sizes = Stop(), sizes or {}
    queries = {"n_query": data.validation_queries, "gradient_queries": data.gradient_queries}
    validation = Validation(
        data.validation, n_way=config.way, n_shot=config.shot, stop=stop, **{**queries, **sizes.get("validation", {})}
    )
    common = {
        "method": method, "images": data.train, "validation": validation,
        "generator": torch.Generator(device="cpu").manual_seed(config.seed),
    }  # fmt: skip
    fit = None
    if config.fit_weight and isinstance(method, MemoryMethod) and predictors_of(method):
        fit = PredictorFit(method, config.fit_weight)
    tasks = {"n_query": data.queries, "fit": fit}
    makers: dict[str, Any] = {"encoder": PairsStage, "memory": memory_stage, "end_to_end": end_to_end_stage}
    special: dict[str, dict[str, Any]] = {
        "encoder": {
            "judge": _judge(method),
            "precision": config.precision,
            "num_classes": config.pair_classes,
            "learning_rate": config.encoder_rate,
            "joined_on": data.trained,
            "teacher": None if config.teacher is None else _teacher(config, config.teacher, stop, method),
        },
        "memory": {**tasks, "change_seed": config.seed, "cached_images": config.cached_images},
        "end_to_end": {**tasks, "tasks": config.tasks},
    }
    stages = [
        makers[name](
            **common,
            **{**_rate(method, name), **special[name], **sizes.get(name, {})},
            share=share,
            seed=1000 * config.seed + STAGES.index(name),
        )
        for name, share in plan_stages(config, method).items()
    ]
    return FewShotTraining(method, stages, stop)


def _teacher(config: FewShotConfig, source: str, stop: Stop, method: Method[Any]) -> Teacher:
    return Teacher(lambda: _teaching(config, source)[0], stop, method.encoder.log_sharpness.device)


def _rate(method: Method[Any], stage: str) -> dict[str, float]:
    """The learning rate of a stage where the method has one of its own."""
    return {"learning_rate": method.rates[stage]} if stage in method.rates else {}


def plan_stages(config: FewShotConfig, method: Method[Any]) -> dict[str, float]:
    """The stages that a run goes through, with their shares: those that the method has and that have a share.

    Raises:
        ValueError: if there are none, though no trained encoder is given, or none trains the encoder, whose views are
            joined after that.
    """
    shares = dict(zip(STAGES, config.shares, strict=True))
    planned = {name: shares[name] for name in method.stages if shares[name] > 0}
    if config.encoder is not None:
        planned.pop("encoder", None)
    elif config.teacher is not None and "encoder" not in planned:
        raise InputError(
            f"got teacher={shown(config.teacher)} and no stage that trains the encoder alone, which is what a teacher "
            f"teaches; method {config.method} trains in {', '.join(method.stages)}, with shares={config.shares} for "
            f"{', '.join(STAGES)}: give the encoder stage a share, or leave out the teacher"
        )
    elif not planned:
        raise InputError(
            f"got shares={config.shares} for {', '.join(STAGES)}; method {config.method} trains in "
            f"{', '.join(method.stages)}: give one of these a share"
        )
    elif isinstance(method.encoder, ViewsEncoder) and "encoder" not in planned:
        raise InputError(
            "got model.views and neither a trained encoder nor a stage that trains one; several views are joined after "
            "that: give the encoder stage a share, or a trained encoder as --encoder RUN, or leave out model.views"
        )
    return planned


def seeded_method(config: ModelConfig, seed: int) -> Method[Any]:
    """An untrained method of 32-bit weights; torch's global random stream, dtype and device are left alone."""
    with torch.random.fork_rng(devices=[]), torch.device("cpu"):
        torch.default_generator.manual_seed(seed)
        return build_method(config).to(torch.float32)


def begin_record(
    config: FewShotConfig, data: FewShotData, training: FewShotTraining, say: Callable[[str], object]
) -> Record:
    """The record of a run that begins; the method takes the encoder that the options name to start from.

    Work of minutes is said before it is begun.

    Raises:
        ValueError: if there is none, or it has other sizes.
    """
    classes, encoder = trained_on(config.data, data.split.name, data.trained.class_names), training.method.encoder
    to_join = f"{len(data.trained.images)} images are embedded in {encoder.num_views} views, to find their axes"
    if config.encoder is None:
        if isinstance(encoder, ViewsEncoder):
            say(f"when the encoder is trained, {to_join}")
        if config.teacher is None:
            return Record(config.plain(), data.checksum, classes)
        teaching, taught_on = _teaching(config, config.teacher)
        if not torch.equal(teaching.images.labels, data.trained.labels):
            raise InputError(
                f"got {len(teaching.images.labels)} images for the teacher, which sees {teaching.encoder.image_size} "
                f"pixels, and {len(data.trained.labels)} of other classes for the model; leave out the teacher"
            )
        return Record(config.plain(), data.checksum, _joined(classes, taught_on), teacher=teaching.sha256)
    model = load_model(config.encoder)
    if type(training.method).embed is Method.embed:  # else it adapts the weights themselves
        refuse_without_features(model.method)
    _take_over(encoder, model.method.encoder)
    if isinstance(encoder, ViewsEncoder) and not isinstance(model.method.encoder, ViewsEncoder):
        say(to_join)
        encoder.fit(data.trained.images, data.trained.labels, training.stop.watch("views", len(data.trained.images)))
    return Record(config.plain(), data.checksum, _joined(classes, model.details.get(ENTRY)))


def meet_teacher(training: FewShotTraining, record: Record, stage: int, say: Callable[[str], object]) -> None:
    """Tells the encoder stage, if it is yet to be done, which teacher the run was begun with; says what is to come.

    Args:
        training: that begins or goes on.
        record: of the run.
        stage: number of the stage that it is in.
        say: called before work of minutes, in words.
    """
    for one in training.stages[stage:]:
        teacher = getattr(one, "teacher", None)  # the encoder stage has it
        if isinstance(teacher, Teacher):
            teacher.sha256 = record.teacher
            say(f"all images are embedded by the teacher in {NUM_VIEWS} views each, before the next step")


def _teaching(config: FewShotConfig, source: str) -> tuple[Teaching, dict[str, Any] | None]:
    """A model to learn from with the images to train on in its size, and the classes that it was trained on itself."""
    sha256 = hashlib.sha256(locate_model(source).read_bytes()).hexdigest()
    model = load_model(source)
    refuse_without_features(model.method)
    size = model.config.image_size
    try:
        images = load_trained(config, size)
    except InputError as error:
        raise InputError(f"for the teacher, which sees images of {size} pixels: {error}") from error
    return Teaching(model.method.encoder.folded(), images, config.mirrors, sha256), model.details.get(ENTRY)


def _take_over(encoder: ImageEncoder, trained: ImageEncoder) -> None:
    """Weights of a trained encoder; one that sees several views may start from one that sees one."""
    start = trained.state_dict()
    if isinstance(encoder, ViewsEncoder):
        start = {"mean": encoder.mean, "axes": encoder.axes, **start}
    try:
        encoder.load_state_dict(start)
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise InputError(f"the encoder to start from has other sizes: {reason}") from error


def _joined(classes: dict[str, Any], others: dict[str, Any] | None) -> dict[str, Any] | None:
    """Classes trained on, with those of the encoder; None where that does not say."""
    if others is None:
        return None
    return {**classes, "classes": sorted({*classes["classes"], *others["classes"]})}


def _judge(method: Method[Any]) -> Method[Any]:
    """What validates the encoder stage: a method that is its encoder by itself, for the others prototypes."""
    if method.stages == ("encoder",) and not method.needs_autograd:
        return method
    return PrototypicalNetwork(encoder=method.encoder, num_classes=method.num_classes)
