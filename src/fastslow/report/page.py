"""Results as one HTML page that needs nothing else: what was run, how well it did, and pictures of how."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fastslow.data.registry import load_source
from fastslow.errors import InputError
from fastslow.files import write_atomically
from fastslow.methods.files import TrainedModel, load_model
from fastslow.methods.networks import MemoryMethod
from fastslow.protocol.result import SHARE, Result
from fastslow.report import html
from fastslow.report.figures.accuracy_bars import AccuracyBars
from fastslow.report.figures.gradient_quality import GradientQuality
from fastslow.report.figures.learning_curve import LearningCurve
from fastslow.report.figures.memory_at_work import MemoryAtWork
from fastslow.report.metrics import has_gradients
from fastslow.report.sources import Source, read_source
from fastslow.report.tables import interval_text, named_numbers, remarks, title_of

_MEMORY_CAPTION = (
    "The memory has learned some characters it had never seen, one drawing each. It is shown one drawing of a new one "
    "and learns it without any backward pass; then it is asked about another drawing of that one. Each row is a slot "
    "of the memory. Characters and drawings are fixed by a seed, not chosen."
)
_CURVE_CAPTION = (
    "Loss and accuracy on validation classes. While the encoder learns alone its loss is that of telling many classes "
    "apart at a time, and the accuracy that of prototypes; after it, both are the memory's own."
)
_GRADIENT_CAPTION = (
    "Predicted against true gradients of the query loss by each controller's output, on validation tasks. In this "
    "regime the predictors are trained so that queries are answered well after the fast step, not to copy the true "
    "gradient (Eq. 11); a cosine near 0 therefore does not mean that they are of no use."
)
_PROTOCOL = (
    "<h2>How this was measured</h2><p>An episode is a small task: a few classes{classes}, and of each one or a few "
    "labelled drawings to learn from. Then other drawings of the same classes are asked for. The test "
    "episodes are the same for every model, whatever the seed of its training. Every query is answered as if alone, "
    "under frozen normalisation statistics (non-transductive), except where the table says otherwise. The accuracy is "
    "the mean over episodes; its 95 % interval is 1.96 standard errors over episodes and does not cover the spread "
    "between training seeds.</p><p><em>Fast path off</em> is the same network with the same weights and no fast "
    "learning: it has no way to know the labels, so it should guess. <em>Prototypes</em> answer by the nearest class "
    "mean in the features of the same encoder.</p>"
)


def write_report(sources: Sequence[Path | str], out: Path | str) -> None:
    """Writes one self-contained page about runs and results.

    Args:
        sources: run folders, finished or not, and result files (.json).
        out: HTML file to write.

    Raises:
        ValueError: if there are no sources, or one of them is missing, neither, or damaged; the message names it, and
            nothing has been written then.
    """
    if not sources:
        raise InputError("got nothing to report on; give run folders or result files (.json)")
    read = [read_source(Path(path)) for path in sources]
    title = read[0].name if len(read) == 1 else f"{len(read)} results"
    accurate = [source for source in read if _is_accuracy(source)]
    body = [_comparison(accurate)] if len(accurate) > 1 else []
    body += [_section(source, with_heading=len(read) > 1) for source in read]
    body += [_PROTOCOL.format(classes=_novelty(accurate))] if accurate else []
    page = html.page(f"fastslow: {title}", body)
    write_atomically(Path(out), lambda part: part.write_text(page, encoding="utf-8"))


def _novelty(sources: Sequence[Source]) -> str:
    """What training saw of the classes measured on, to go on after "a few classes"."""
    protocols = [source.result.provenance.protocol for source in sources if source.result is not None]
    if any(map(_may_be_trained_on, protocols)):
        return (
            " (here also such as training has seen, see the part measured: the figure then says how well those are "
            "known, not how well new ones are learned)"
        )
    return " that training never saw"


def _may_be_trained_on(protocol: Mapping[str, object]) -> bool:
    seen = protocol.get("trained_on_classes")
    return bool(seen) or (seen is None and protocol.get("part", "test") not in ("test", "validation"))


def _comparison(sources: Sequence[Source]) -> str:
    """All accuracies side by side."""
    results = [(source.name, source.result) for source in sources if source.result is not None]
    rows = [[name, title_of(r), r.cell.options.get("control", "none"), interval_text(r.numbers["accuracy"]),
             r.numbers["accuracy"].count] for name, r in results]  # fmt: skip
    ways = {source.n_way for source in sources}
    bars = AccuracyBars(
        [(name, result.numbers["accuracy"]) for name, result in results], ways.pop() if len(ways) == 1 else None
    )
    return (
        "<h2>Side by side</h2>"
        + html.table(["", "task", "control", "accuracy", "episodes"], [list(map(html.text, r)) for r in rows], {3, 4})
        + html.picture(bars, "Accuracy of each, with its 95 % interval.")
    )


def _section(source: Source, *, with_heading: bool) -> str:
    parts = [f"<h2>{html.text(source.name)}</h2>"] if with_heading else []
    if source.result is None:
        state = f"{100 * source.metrics[-1].done:.0f} % trained" if source.metrics else "not yet validated"
        parts.append(html.note(f"This run has no result yet ({state}): accuracies follow once it has finished."))
    else:
        parts.append(_numbers(source, source.result))
    if source.config is not None or source.command:
        parts.append(_options(source))
    if source.metrics:
        parts.append(_training(source))
    elif source.path.is_dir():
        parts.append(html.note("Nothing has been logged in this run yet, so there are no curves."))
    if source.has_model:
        parts.append(_memory(source))
    return "\n".join(parts)


def _numbers(source: Source, result: Result) -> str:
    """What was measured, the model's own first, and what it rests on."""
    numbers = named_numbers(result)
    rows = [[html.text(name), html.text(interval_text(number))] for name, number in numbers]
    if not _is_accuracy(source):
        return "<h3>Result</h3>" + html.table(["", "mean ± 95 % interval"], rows, {1}) + html.facts(_facts(result))
    shares = [(name, number) for name, number in numbers if number.unit == SHARE]
    part = result.provenance.protocol.get("part", "held-out")
    return (
        "<h3>Accuracy</h3>"
        + html.table(["", "accuracy, mean ± 95 % interval"], rows, {1})
        + html.picture(AccuracyBars(shares, source.n_way), f"Accuracy on {part} classes.")
        + html.facts(_facts(result))
    )


def _facts(result: Result) -> dict[str, object]:
    """What numbers rest on, by name; None where it was not recorded."""
    provenance, protocol = result.provenance, result.provenance.protocol
    answers = {False: "each as if alone (non-transductive)", True: "together (transductive)"}
    transductive = protocol.get("transductive")
    return {
        "task": title_of(result),
        "test episodes": protocol.get("episodes"),
        "seed of the episodes": protocol.get("seed"),
        "seed of the training": result.cell.seed,
        "queries per class": protocol.get("queries_per_class"),
        "split": protocol.get("split"),
        "SHA-256 of the split": protocol.get("split_sha256"),
        "height and width of the images, pixels": protocol.get("image_size"),
        "views of each image": protocol.get("views"),
        "queries answered": answers[transductive] if isinstance(transductive, bool) else None,
        "control": result.cell.options.get("control"),
        "to be known besides": "; ".join(remarks(result)) or None,
        "training": _duration(provenance.training_seconds),
        "evaluation": _duration(provenance.seconds),
        "peak memory": None if provenance.peak_memory_mib is None else f"{provenance.peak_memory_mib:.0f} MiB",
        "processor": provenance.processor,
        "versions": ", ".join(f"{name} {version}" for name, version in provenance.versions.items()),
    }


def _options(source: Source) -> str:
    """The command that repeats the run, and every option."""
    options = {
        name: value if isinstance(value, str) else json.dumps(value) for name, value in (source.config or {}).items()
    }
    command = f"<pre>{html.text(source.command)}</pre>" if source.command else ""
    listed = f"<details><summary>All options</summary>{html.facts(options)}</details>" if options else ""
    return f"<h3>What was run</h3>{command}{listed}"


def _training(source: Source) -> str:
    """Curves of the training."""
    chance = None if source.n_way is None else 1 / source.n_way
    curve = html.picture(LearningCurve(source.metrics, chance), _CURVE_CAPTION)
    if has_gradients(source.metrics):
        gradients = html.picture(GradientQuality(source.metrics), _GRADIENT_CAPTION)
    else:
        gradients = "<p>No gradients were predicted in this run so far.</p>"
    return f"<h3>Training</h3>\n{curve}\n{gradients}"


def _memory(source: Source) -> str:
    """The trained memory at work, on the run's own data or, where those are missing, on glyphs."""
    try:
        model = load_model(source.path)
    except (InputError, OSError) as error:
        return html.note(f"No picture of the memory: {error}.")
    if not isinstance(model.method, MemoryMethod) or not model.method.fast_controllers:
        return "<p>This model does not learn by a fast path, so there is no picture of its memory learning.</p>"
    heading = "<h3>The memory at work</h3>"
    try:
        return heading + _memory_picture(model, model.training_data)
    except (InputError, OSError) as error:
        first = error
    try:
        glyphs = _memory_picture(model, {})
    except (InputError, OSError) as error:
        return html.note(f"No picture of the memory: {first}; {error}.")
    return heading + html.note(f"{first}; made-up glyphs are shown instead.") + glyphs


def _memory_picture(model: TrainedModel, training: Mapping[str, Any]) -> str:
    images, parts = load_source(
        training.get("data", "glyphs"), data_dir=Path(training["data_dir"]) if "data_dir" in training else None,
        split=training.get("split", "vinyals"), image_size=model.config.image_size, ink=training.get("ink", "auto"),
        crop=training.get("crop", False),
    )  # fmt: skip
    assert isinstance(model.method, MemoryMethod)
    return html.picture(MemoryAtWork.of(model.method, images.select(parts.test)), _MEMORY_CAPTION)


def _is_accuracy(source: Source) -> bool:
    return source.result is not None and getattr(source.result.numbers.get("accuracy"), "unit", None) == SHARE


def _duration(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    return f"{seconds:.1f} s" if seconds < 120 else f"{seconds / 60:.1f} min"
