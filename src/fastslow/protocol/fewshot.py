"""The few-shot protocol (design, section 4): the one place that says what an accuracy means.

Non-transductive: normalisation statistics are frozen and every query is answered as if alone. Test episodes are fixed
by `TEST_SEED`, whatever the training seed.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from fastslow.core.views import ViewsEncoder
from fastslow.data.base import ClassImages
from fastslow.data.splits import Split
from fastslow.errors import InputError, refuse_unknown, shown
from fastslow.methods import build_method
from fastslow.methods.base import Method, refuse_without_features
from fastslow.methods.config import METHODS, of_method, refuse_overfull
from fastslow.methods.default_rule import FastSlow
from fastslow.methods.files import TrainedModel
from fastslow.methods.networks import MemoryMethod
from fastslow.methods.protonet import PrototypicalNetwork
from fastslow.methods.write_gate import with_write_gate
from fastslow.protocol.classes import classes_trained_on, usage
from fastslow.protocol.features import embed
from fastslow.protocol.hardness import Corruption, Hardness, hardness_of, rotated
from fastslow.protocol.result import Interval

#: Queries per class in evaluation.
QUERIES_PER_CLASS = 15
#: Seed of the test episodes.
TEST_SEED = 2020
#: Seeds, and counts per class, are below this.
MAX_NUMBER = 10**12
#: Height and width of images, pixels, in nearly all that is published on Omniglot; others are said.
USUAL_SIZE = 28
#: Episodes of any classes, upright, their labels right.
USUAL = Hardness()
#: Answers a batch of tasks: (support, support labels, query) to logits. A `Method` is one.
Classifier = Callable[[Tensor, Tensor, Tensor], Tensor]
#: Told what is done, "images" or "episodes", how many of them so far, and of how many.
OnProgress = Callable[[str, int, int], object]


class Evaluation(NamedTuple):
    """What a model was measured to be.

    Attributes:
        numbers: accuracies, shares in [0, 1], with their intervals over episodes: "accuracy" first; then
            "accuracy_new_classes", where the model was trained on some of the classes and enough others are left;
            "fast_path_off", of the same weights, where there is a fast path; "write_gate", of the same weights with the
            gate, at several shots; "protonet", in the same encoder's features, where it is not what was measured;
            "protonet_one_view", likewise, of each image as it is, where the encoder sees several views.
        facts: what the numbers depend on: the episodes, the split, how many classes and images were used and left
            out, of how many classes training has seen images ("trained_on_classes"; None if not recorded), and the
            "image_size" if other than `USUAL_SIZE`.
    """

    numbers: dict[str, Interval]
    facts: dict[str, Any]


def accuracy_with_interval(accuracies: Float[Tensor, " episodes"]) -> Interval:
    """Mean and half width of the 95 % interval (normal, over episodes) of accuracies in [0, 1]."""
    mean, count = float(accuracies.double().mean()), len(accuracies)
    if count < 2:
        return Interval(mean, None, count)
    return Interval(mean, 1.96 * float(accuracies.double().std()) / math.sqrt(count), count)


def evaluate_episodes(
    classify: Classifier,
    features: Float[Tensor, "images ..."],
    labels: Int64[Tensor, " images"],
    *,
    n_way: int,
    n_shot: int,
    episodes: int,
    queries: int = QUERIES_PER_CLASS,
    seed: int = TEST_SEED,
    hardness: Hardness = USUAL,
    tasks_per_batch: int = 50,
    on_progress: Callable[[int], object] | None = None,
) -> Float[Tensor, " episodes"]:
    """Accuracy of each of many episodes, on features already made.

    Args:
        classify: learns the support sets and answers the queries; see `Classifier`.
        features: shape (images, features).
        labels: class of each image.
        n_way: classes per episode.
        n_shot: support examples per class.
        episodes: how many.
        queries: per class.
        seed: which ones.
        hardness: wrong labels in the support sets, classes of one group, or each turned by an angle of its own.
        tasks_per_batch: tasks side by side; does not change the result.
        on_progress: called with the number of episodes done so far.

    Returns:
        Share of right answers, shape (episodes,); an answer with a NaN in it is wrong.

    Raises:
        ValueError: if the data cannot give such episodes.
    """
    sampler = hardness.sampler(labels, n_way=n_way, n_shot=n_shot, n_query=queries, seed=seed)
    corrupted = Corruption(hardness.wrong_labels, n_way=n_way, seed=seed)
    accuracies = []
    done = 0
    while done < episodes:
        # Drawn one at a time: the episodes are then the same whatever the batch.
        drawn = [corrupted(sampler.sample()) for _ in range(min(tasks_per_batch, episodes - done))]
        support, support_labels, query, query_labels = (torch.cat(part) for part in zip(*drawn, strict=True))
        logits = classify(features[support], support_labels.to(features.device), features[query])[..., :n_way].cpu()
        right = (logits.argmax(-1) == query_labels) & ~logits.isnan().any(-1)  # argmax takes a NaN for the largest
        accuracies.append(right.to(torch.float32).mean(1))
        done += len(drawn)
        if on_progress is not None:
            on_progress(done)
    return torch.cat(accuracies)


def evaluate_model(
    model: TrainedModel,
    *,
    images: ClassImages,
    split: Split,
    part: str = "test",
    n_way: int = 5,
    n_shot: int = 1,
    queries: int = QUERIES_PER_CLASS,
    episodes: int = 1000,
    seed: int | None = None,
    method: str | None = None,
    same_alphabet: bool = False,
    wrong_labels: float = 0.0,
    rotations: str = "none",
    features: dict[object, Tensor] | None = None,
    on_progress: OnProgress | None = None,
) -> Evaluation:
    """Accuracy of a model and, beside it, of its fast path off and of prototypes in its encoder's features.

    Where the model was trained on some of the classes, the classes that are new to it are measured alone as well.

    Args:
        model: the model; not modified.
        images: all images of the data.
        split: their split.
        part: "train", "validation", "test", or "all" classes.
        n_way: classes per episode, at most those of the model.
        n_shot: support examples per class.
        queries: per class.
        episodes: how many, at least 2.
        seed: of the episodes; `TEST_SEED` if None.
        method: name in `METHODS` of a method to measure in place of the model's, built around the model's encoder.
        same_alphabet: whether the classes of an episode are all of one alphabet, see `alphabets`.
        wrong_labels: share of each support set's labels that are wrong, see `wrong_labels` in `protocol.hardness`.
        rotations: whether the classes are measured turned as well, one of `ROTATIONS`.
        features: an empty one, to be given again where the same model is measured on the same part, turned or not:
            then made once.
        on_progress: called as images are embedded and as the episodes of all numbers are done.

    Returns:
        Numbers and facts.

    Raises:
        ValueError: if the model or the data cannot give such episodes.
    """
    seed = TEST_SEED if seed is None else seed
    measured = model.method if method in (None, model.config.method) else _around_encoder(model, str(method))
    _refuse_impossible(model, measured, n_way=n_way, n_shot=n_shot, queries=queries, episodes=episodes, seed=seed)
    held_out = images.select(split.part(part))
    hardness = hardness_of(
        held_out.class_names, same_alphabet=same_alphabet, wrong_labels=wrong_labels, rotations=rotations
    )
    held_out = rotated(held_out, rotations)
    trained = classes_trained_on(model.details, held_out.class_names)
    new = torch.isin(held_out.labels, torch.tensor(trained or [], dtype=torch.int64), invert=True)
    harder = hardness.facts(n_way, n_shot)  # refused now, not when all images are embedded
    options = {"n_way": n_way, "n_shot": n_shot, "queries": queries, "episodes": episodes, "seed": seed}
    bench = _Bench(held_out, {**options, "hardness": hardness}, {} if features is None else features)
    count = functools.partial(
        usage, needed=n_shot + queries, num_classes=held_out.num_classes, groups=hardness.groups, n_way=n_way
    )
    wanted: dict[str, tuple[Method[Any], Tensor | None]] = {"accuracy": (measured, None)}
    if trained and count(held_out.labels[new])["classes_used"] >= n_way:
        wanted["accuracy_new_classes"] = measured, new
    wanted |= {name: (beside, None) for name, beside in _beside(model, measured, n_shot).items()}
    with torch.inference_mode():
        numbers = {
            name: bench.accuracy(*of, on_progress=_part_of(on_progress, place, len(wanted)))
            for place, (name, of) in enumerate(wanted.items())
        }
    facts = {
        "method": method or model.config.method, "part": part, "split": split.name, "split_sha256": split.sha256,
        "n_way": n_way, "n_shot": n_shot, "queries_per_class": queries, "episodes": episodes, "seed": seed,
        "transductive": measured.transductive, "needs_autograd": measured.needs_autograd,
        "views": measured.encoder.num_views, **count(held_out.labels),
        "trained_on_classes": None if trained is None else len(trained), **harder,
    }  # fmt: skip
    if (size := measured.encoder.image_size) != USUAL_SIZE:
        facts["image_size"] = size
    return Evaluation(numbers, facts)


class _Bench:
    """The images measured on: their features, made once for all methods that embed alike, and the episodes."""

    def __init__(self, images: ClassImages, options: dict[str, Any], features: dict[object, Tensor]) -> None:
        self.images, self.options, self._features = images, options, features

    def accuracy(
        self, method: Method[Any], keep: Tensor | None = None, *, on_progress: OnProgress | None = None
    ) -> Interval:
        """Of a method, on all images or on those to keep, a mask."""
        labels = self.images.labels
        features = self._embedded(method, _counted(on_progress, "images", len(labels)))
        if keep is not None:
            features, labels = features[keep.to(features.device)], labels[keep]
        told = _counted(on_progress, "episodes", self.options["episodes"])
        return accuracy_with_interval(evaluate_episodes(method, features, labels, **self.options, on_progress=told))

    def _embedded(self, method: Method[Any], on_progress: Callable[[int], object] | None) -> Tensor:
        way = (type(method).embed, type(method.encoder), len(self.images.labels))
        if way not in self._features:
            # What embeds by its encoder alone may as well do it folded.
            encoder = method.encoder.folded() if way[0] is Method.embed else method
            device = method.encoder.log_sharpness.device
            self._features[way] = embed(encoder, self.images.images, device=device, on_progress=on_progress)
        return self._features[way]


def _part_of(on_progress: OnProgress | None, place: int, parts: int) -> OnProgress | None:
    """Told of one of several parts with as many episodes each, what tells `on_progress` of all of them."""
    if on_progress is None:
        return None

    def of_all(what: str, done: int, total: int) -> None:
        if what == "episodes":
            done, total = done + place * total, total * parts
        on_progress(what, done, total)

    return of_all


def _counted(on_progress: OnProgress | None, what: str, total: int) -> Callable[[int], object] | None:
    """Told how many are done, what tells `on_progress` so."""
    return None if on_progress is None else lambda done: on_progress(what, done, total)


def _beside(model: TrainedModel, measured: Method[Any], n_shot: int) -> dict[str, Method[Any]]:
    """What stands beside a method's own number."""
    beside: dict[str, Method[Any]] = {}
    if isinstance(measured, MemoryMethod) and measured.fast_controllers:
        beside["fast_path_off"] = measured.without_fast_path()
    if type(measured) is FastSlow and n_shot > 1:  # at one it is the same
        beside["write_gate"] = with_write_gate(measured)
    encoder, ways = measured.encoder, model.config.n_way
    embeds_alike = type(measured).embed is Method.embed  # else its encoder has no features of its own
    if embeds_alike and not isinstance(measured, PrototypicalNetwork):
        beside["protonet"] = PrototypicalNetwork(encoder=encoder, num_classes=ways)
    if isinstance(encoder, ViewsEncoder):
        beside["protonet_one_view"] = PrototypicalNetwork(encoder=encoder.one_view(), num_classes=ways)
    return beside


def _around_encoder(model: TrainedModel, name: str) -> Method[Any]:
    """Another method around a model's encoder; weights that it may have beside it are those of seed 0."""
    refuse_unknown({"method": (name, tuple(METHODS))})
    config = of_method(model.config, name)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        method = build_method(config, model.method.encoder)
    if set(method.stages) != {"encoder"}:
        raise InputError(
            f"got method={shown(name)} for a model trained as {shown(model.config.method)}; it has weights beside the "
            f"encoder that would not be trained: train a model with method {name}"
        )
    refuse_without_features(model.method)
    return method.to(model.method.encoder.log_sharpness.device).eval()


def _refuse_impossible(model: TrainedModel, measured: Method[Any], **options: int) -> None:
    """Refuses episodes that no data could mend; those that more data would mend are refused by the sampler."""
    bounds = {
        "n_way": (2, model.config.n_way), "n_shot": (1, MAX_NUMBER), "queries": (1, MAX_NUMBER),
        "episodes": (2, MAX_NUMBER), "seed": (0, MAX_NUMBER),
    }  # fmt: skip
    reasons = {"n_way": "the ways of a task that this model was built for", "episodes": "an interval needs at least 2"}
    for name, (low, high) in bounds.items():
        if not low <= options[name] <= high:
            reason = f" ({reasons[name]})" if name in reasons else ""
            raise InputError(f"got {name}={shown(options[name])}; it must be from {low} to {high}{reason}")
    refuse_overfull(options["n_way"] * options["n_shot"], measured.capacity)
