"""Results as one HTML page that needs nothing else: what was run, how well it did, and pictures of how."""

from __future__ import annotations

import base64
import dataclasses
import html
import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from fastslow.data.registry import load_source
from fastslow.errors import InputError
from fastslow.files import write_atomically
from fastslow.methods.files import TrainedModel, load_model
from fastslow.report import plots
from fastslow.report.tables import ROW_NAMES
from fastslow.studies.fewshot_config import command_line

_RUN_FILES = ("config.json", "metrics.jsonl", "result.json", "model.safetensors")
_STYLE = """
:root { color-scheme: light dark; --line: #8885; --soft: #8881; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 0 auto; padding: 1rem; }
h1, h2 { line-height: 1.2; } h2 { margin-top: 3rem; border-bottom: 1px solid var(--line); }
table { border-collapse: collapse; margin: 1rem 0; } .wide { overflow-x: auto; }
th, td { text-align: left; padding: .3rem .8rem; border-bottom: 1px solid var(--line); }
td { overflow-wrap: anywhere; }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
figure { margin: 1.5rem 0; } figcaption { font-size: .9rem; opacity: .85; }
img { max-width: 100%; height: auto; background: white; padding: .5rem; border-radius: .5rem; box-sizing: border-box; }
pre, code { background: var(--soft); border-radius: .3rem; } pre { padding: .7rem; white-space: pre-wrap; }
.note { border-left: .3rem solid #E69F00; background: var(--soft); padding: .5rem 1rem; }
details summary { cursor: pointer; }
""".strip()


@dataclasses.dataclass(frozen=True)
class Source:
    """What a run folder or a result file holds; a part that is not there is empty or None.

    Attributes:
        name: of the folder, or of the file without its ending.
        path: the folder or file.
        config: options of the run.
        metrics: lines of `metrics.jsonl`.
        result: of the evaluation.
        has_model: whether there is a trained model in the folder.
    """

    name: str
    path: Path
    config: dict[str, Any] | None
    metrics: list[dict[str, Any]]
    result: dict[str, Any] | None
    has_model: bool


def write_report(sources: Sequence[Path], out: Path) -> None:
    """Writes one self-contained page about runs and results.

    Args:
        sources: run folders, finished or not, and result files (.json).
        out: HTML file to write.

    Raises:
        ValueError: if there are no sources, or one of them is missing or is neither; nothing has been written then.
    """
    if not sources:
        raise InputError("nothing to report on came; give run folders or result files (.json)")
    read = [read_source(path) for path in sources]
    title = read[0].name if len(read) == 1 else f"{len(read)} results"
    body = [f"<h1>fastslow: {_text(title)}</h1>"]
    if sum(_is_accuracy(source) for source in read) > 1:
        body.append(_comparison(read))
    body += [_section(source, with_heading=len(read) > 1) for source in read]
    body.append(_protocol(read))
    page = (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>fastslow: {_text(title)}</title>\n<style>\n{_STYLE}\n</style>\n</head>\n<body>\n"
        + "\n".join(body)
        + "\n</body>\n</html>\n"
    )
    write_atomically(out, lambda part: part.write_text(page, encoding="utf-8"))


def read_source(path: Path) -> Source:
    """Reads a run folder or a result file.

    Raises:
        ValueError: if it is missing, neither, or corrupt; the message names it.
    """
    if path.is_dir():
        if not any((path / name).exists() for name in _RUN_FILES):
            raise InputError(f"{path} is no run folder: it has none of {', '.join(_RUN_FILES)}")
        return Source(
            path.resolve().name, path, _read_json(path / "config.json"), _read_metrics(path / "metrics.jsonl"),
            _read_json(path / "result.json"), (path / "model.safetensors").exists(),
        )  # fmt: skip
    if not path.exists():
        raise InputError(f"there is no {path}; give run folders or result files (.json)")
    result = _read_json(path)
    assert result is not None
    return Source(path.stem, path, result.get("options"), [], result, False)


def _read_json(path: Path) -> dict[str, Any] | None:
    if not path.exists():
        return None
    try:
        content = json.loads(path.read_text())
    except (ValueError, OSError) as error:
        raise InputError(f"{path} is no JSON ({error}); give run folders or result files (.json)") from error
    if not isinstance(content, dict):
        raise InputError(f"{path} holds {type(content).__name__}; a result is an object of names and values")
    return content


def _read_metrics(path: Path) -> list[dict[str, Any]]:
    """All complete lines; the last one may just be being written."""
    if not path.exists():
        return []
    lines = path.read_text().split("\n")[:-1]
    try:
        return [json.loads(line) for line in lines]
    except ValueError as error:
        raise InputError(f"{path} has a line that is no JSON ({error}); delete that line") from error


def _comparison(sources: Sequence[Source]) -> str:
    """All accuracies side by side."""
    results = [{"name": source.name, **source.result} for source in sources if source.result and _is_accuracy(source)]
    rows = [
        [_text(r["name"]), _text(_task(r)), _text(r.get("control", "none")), _percent(r), _text(r.get("episodes", "?"))]
        for r in results
    ]
    return (
        "<h2>Side by side</h2>"
        + _table(["", "task", "control", "accuracy", "episodes"], rows, numbers={3, 4})
        + _picture(lambda out: plots.accuracy_bars(results, out), "Accuracy of each, with its 95 % interval.")
    )


def _section(source: Source, *, with_heading: bool) -> str:
    parts = [f"<h2>{_text(source.name)}</h2>"] if with_heading else []
    if source.result is None:
        state = f"{100 * source.metrics[-1]['done']:.0f} % trained" if source.metrics else "not yet validated"
        parts.append(
            f'<p class="note">This run has no result yet ({state}): accuracies follow once it has finished.</p>'
        )
    else:
        parts.append(_accuracies(source.result) if _is_accuracy(source) else _plain(source.result))
    if source.config is not None:
        parts.append(_options(source.config))
    if source.metrics:
        parts.append(_training(source))
    elif source.path.is_dir():
        parts.append('<p class="note">Nothing has been logged in this run yet, so there are no curves.</p>')
    if source.has_model:
        parts.append(_memory(source))
    return "\n".join(parts)


def _accuracies(result: Mapping[str, Any]) -> str:
    """Accuracies, the model's own first, and what they rest on."""
    method, way, part = result.get("method", "accuracy"), result.get("n_way"), result.get("part", "held-out")
    measured = {method: result, **result.get("beside", {})}
    rows = [[_text(ROW_NAMES.get(name, name)), _percent(row)] for name, row in measured.items()]
    bars = [
        {"name": ROW_NAMES.get(name, name), "n_way": way, **_mean_and_interval(row)} for name, row in measured.items()
    ]
    facts = {
        "task": _task(result),
        "test episodes": result.get("episodes"),
        "seed of the episodes": result.get("seed"),
        "seed of the training": result.get("training_seed"),
        "queries a class": result.get("queries_per_class"),
        "split": result.get("split"),
        "SHA-256 of the split": result.get("split_sha256"),
        "queries answered": {False: "each as if alone (non-transductive)", True: "together (transductive)"}.get(
            result.get("transductive")  # type: ignore[arg-type]
        ),
        "control": result.get("control"),
        "training": _duration(result.get("training_seconds")),
        "evaluation": _duration(result.get("seconds")),
        "peak memory": None if result.get("peak_memory_mib") is None else f"{result['peak_memory_mib']:.0f} MiB",
        "versions": ", ".join(f"{name} {version}" for name, version in result.get("versions", {}).items()),
    }
    return (
        "<h3>Accuracy</h3>"
        + _table(["", "accuracy, mean ± 95 % interval"], rows, numbers={1})
        + _picture(lambda out: plots.accuracy_bars(bars, out), f"Accuracy on {part} classes.")
        + _facts(facts)
    )


def _plain(result: Mapping[str, Any]) -> str:
    """A result of another kind: its values as they are."""
    values = {name: value if isinstance(value, str) else json.dumps(value) for name, value in result.items()}
    return "<h3>Result</h3>" + _facts(values)


def _options(config: Mapping[str, Any]) -> str:
    """The command that repeats the run, and every option."""
    options = {name: json.dumps(value) if not isinstance(value, str) else value for name, value in config.items()}
    command = command_line(config)
    return (
        "<h3>What was run</h3>"
        + (f"<pre>{_text(command)}</pre>" if command else "")
        + f"<details><summary>All options</summary>{_facts(options)}</details>"
    )


def _training(source: Source) -> str:
    """Curves of the training."""
    way = (source.config or {}).get("way") or (source.result or {}).get("n_way") or 5
    parts = [
        "<h3>Training</h3>",
        _picture(
            lambda out: plots.learning_curve(source.metrics, out, 1 / way),
            "Loss and accuracy on validation classes. While the encoder learns alone its loss is that of telling many "
            "classes apart at a time, and the accuracy that of prototypes; after it, both are the memory's own.",
        ),
    ]
    if plots.has_gradients(source.metrics):
        caption = (
            "Predicted against true gradients of the query loss by each controller's output, on validation tasks. In "
            "this regime the predictors are trained so that queries are answered well after the fast step, not to copy "
            "the true gradient (Eq. 11); a cosine near 0 therefore does not mean that they are of no use."
        )
        parts.append(_picture(lambda out: plots.gradient_quality(source.metrics, out), caption))
    else:
        parts.append("<p>No gradients were predicted in this run so far.</p>")
    return "\n".join(parts)


def _memory(source: Source) -> str:
    """The trained memory at work, on the run's own data or, where those are missing, on glyphs."""
    try:
        model = load_model(source.path)
    except InputError as error:
        return f'<p class="note">No picture of the memory: {_text(error)}.</p>'
    if model.method != "fastslow" or not model.config.fast_controllers:
        return "<p>This model does not learn by a fast path, so there is no picture of its memory learning.</p>"
    training = model.details.get("training", {})
    data, note = training.get("data", "glyphs"), ""
    data_dir = Path(training["data_dir"]) if training.get("data_dir") else None
    try:
        picture = _memory_picture(model, data, data_dir, training.get("split", "vinyals"))
    except InputError as error:
        note = f"{error}; made-up glyphs are shown instead."
        try:
            picture = _memory_picture(model, "glyphs", None, "")
        except InputError as second:
            return f'<p class="note">No picture of the memory: {_text(error)}; {_text(second)}.</p>'
    return "<h3>The memory at work</h3>" + (f'<p class="note">{_text(note)}</p>' if note else "") + picture


def _memory_picture(model: TrainedModel, data: str, data_dir: Path | None, split: str) -> str:
    images, parts = load_source(data, data_dir=data_dir, split=split, image_size=model.config.image_size)
    return _picture(
        lambda out: plots.memory_at_work(model.learner, images.select(parts.test), out),
        "The memory has learned some characters it had never seen, one drawing each. It is shown one drawing of a new "
        "one and learns it without any backward pass; then it is asked about another drawing of that one. Each row is "
        "a slot of the memory. Characters and drawings are fixed by a seed, not chosen.",
    )


def _protocol(sources: Sequence[Source]) -> str:
    """How accuracies were measured, in words; nothing where there are none."""
    if not any(_is_accuracy(source) for source in sources):
        return ""
    return (
        "<h2>How this was measured</h2><p>An episode is a small task: a few classes that training never saw, and of "
        "each one or a few labelled drawings to learn from. Then other drawings of the same classes are asked for. The "
        "test episodes are the same for every model, whatever the seed of its training. Every query is answered as if "
        "alone, under frozen normalisation statistics (non-transductive), except where the table says otherwise. The "
        "accuracy is the mean over episodes; its 95 % interval is 1.96 standard errors over episodes and does not "
        "cover the spread between training seeds.</p><p><em>Fast path off</em> is the same network with the same "
        "weights and no fast learning: it has no way to know the labels, so it should guess. <em>Prototypes</em> "
        "answer by the nearest class mean in the features of the same encoder.</p>"
    )


def _is_accuracy(source: Source) -> bool:
    return source.result is not None and {"accuracy_mean", "accuracy_ci95"} <= set(source.result)


def _mean_and_interval(row: Mapping[str, Any]) -> dict[str, float]:
    return {name: row[name] for name in ("accuracy_mean", "accuracy_ci95")}


def _percent(row: Mapping[str, Any]) -> str:
    return f"{100 * row['accuracy_mean']:.2f} ± {100 * row['accuracy_ci95']:.2f} %"


def _task(result: Mapping[str, Any]) -> str:
    if "n_way" not in result:
        return "?"
    shot, data, part = (result.get(name, "?") for name in ("n_shot", "data", "part"))
    return f"{result['n_way']}-way {shot}-shot, {data}, {part} classes"


def _duration(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    return f"{seconds:.1f} s" if seconds < 120 else f"{seconds / 60:.1f} min"


def _picture(draw: Callable[[Path], object], caption: str) -> str:
    """A picture, inside the page, with its caption."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "picture.png"
        draw(path)
        data = base64.b64encode(path.read_bytes()).decode()
    return (
        f'<figure><img src="data:image/png;base64,{data}" alt="{_text(caption)}">'
        f"<figcaption>{_text(caption)}</figcaption></figure>"
    )


def _facts(facts: Mapping[str, object]) -> str:
    """A table of names and values; those without a value are left out."""
    return _table(None, [[_text(name), _text(value)] for name, value in facts.items() if value not in (None, "")])


def _table(header: Sequence[str] | None, rows: Sequence[Sequence[str]], numbers: set[int] | None = None) -> str:
    """A table of cells that are HTML already; columns in `numbers` are flush right."""

    def row(cells: Sequence[str], tag: str) -> str:
        flush = [' class="number"' if i in (numbers or ()) else "" for i in range(len(cells))]
        return "".join(f"<{tag}{kind}>{cell}</{tag}>" for kind, cell in zip(flush, cells, strict=True))

    head = "" if header is None else f"<tr>{row([_text(cell) for cell in header], 'th')}</tr>"
    lines = "\n".join(f"<tr>{row(cells, 'td')}</tr>" for cells in rows)
    return f'<div class="wide"><table>{head}\n{lines}\n</table></div>'


def _text(value: object) -> str:
    return html.escape(str(value))
