"""Exported models beside torch: how equal, how right in 8 bits, how quick: `benchmarks/runtime.py NAME --json FILE`.

- equal: the same random tasks, of glyphs, through `FewShotClassifier` and through `ExportedClassifier`.
- int8: the same tasks, of Omniglot's validation classes, by the encoder in 32 and in 8 bits.
- speed: learning a task, and learning and answering its queries, in turn in one process; and a fresh process from its
  start to its first prediction, in turn as well.

Models are exported anew unless `--exported` says where they are. One thread each.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import functools
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from learning import QUERIES_PER_CLASS, drawings
from timing import Form, against, interleaved, table, write_json

from fastslow import FewShotClassifier, load_model
from fastslow.data import load_source, make_glyphs
from fastslow.estimators.images import prepared_images
from fastslow.export.folder import export_model
from fastslow.runtime import ExportedClassifier
from fastslow.runtime.graphs import Graphs
from fastslow.runtime.manifest import MANIFEST, read_manifest

MODELS = {"omniglot-5w1s-fast": 5, "omniglot-20w1s-fast": 20, "omniglot-5w1s": 5}
TORCH, ONNX, INT8 = "torch", "onnx", "onnx int8"
#: What a fresh process does until its first prediction.
START = {
    TORCH: "from fastslow import load_pretrained; model = load_pretrained({name!r})",
    ONNX: "from fastslow.runtime import ExportedClassifier; model = ExportedClassifier({folder!r}, threads=1)",
}
Rows = list[dict[str, Any]]


@contextlib.contextmanager
def exported(name: str, there: Path | None) -> Iterator[Path]:
    """A folder of a shipped model; below `there`, and kept, if that is given."""
    with tempfile.TemporaryDirectory() as folder:
        out = (there or Path(folder)) / name
        if not (out / MANIFEST).exists():
            export_model(load_model(f"pretrained:{name}"), out, source=f"pretrained:{name}")
        yield out


def equal(options: argparse.Namespace) -> Rows:
    """Largest differences over random tasks: 2 to all ways, 1 to 3 shots, learned in two parts, 3 queries a task.

    Each drawing is embedded once by either, which embed each as if alone; then tasks are learned and answered by both.
    Logits also divided by 1 + their size, as numpy.allclose has it with rtol = atol. Beside it, what rounding is worth:
    torch with the encoder as it was trained, its batch norms not folded; and how far either is from torch in 64 bits.
    """
    glyphs = make_glyphs(num_classes=60, per_class=6, seed=9).images
    rows = []
    for name, most in MODELS.items():
        with exported(name, options.exported) as folder:
            graphs = Graphs(folder, read_manifest(folder), int8=False, threads=1)
        trained = load_model(f"pretrained:{name}")
        images = prepared_images(glyphs, size=trained.config.image_size, ink="auto", crop=False)
        ours = FewShotClassifier(trained)
        with torch.inference_mode():
            exact = copy.deepcopy(trained.method).double().eval().requires_grad_(False)
            in_64 = torch.cat([exact.embed(part.double()) for part in images.split(40)])
            features = ours._features(images), trained.method.eval().embed(images), in_64
        methods = ours.method, ours.method, exact
        onnx = graphs.embed(images.numpy())[0]
        rng, found = np.random.default_rng(0), []
        for _ in range(options.episodes):
            ways = int(rng.integers(2, most + 1))
            shots = int(rng.integers(1, min(3, 30 // ways) + 1))
            places = 6 * rng.choice(60, ways, replace=False)
            support, labels = (places + np.arange(shots)[:, None]).ravel(), np.tile(np.arange(ways), shots)[None]
            parts = [slice(None, ways), slice(ways, None)] if shots > 1 else [slice(None)]
            state, states = graphs.initial_state(), [None] * len(methods)
            for part in parts:
                state = graphs.learn(onnx[support[part]][None], labels[:, part], state)
                given = torch.from_numpy(labels[:, part])
                for k, kind in enumerate(features):
                    states[k] = methods[k].learn(kind[support[part]].unsqueeze(0), given, states[k])
            queries = places[:3] + 5
            given = zip(methods, features, states, strict=True)
            answers = [method.answer(kind[queries][None], one) for method, kind, one in given]
            found.append([*answers, torch.from_numpy(graphs.answer(onnx[queries][None], state))])
        rows.append(
            {
                "model": name,
                "tasks": options.episodes,
                "features": float(np.abs(features[0].numpy() - onnx).max()),
                "logits": max(float((torch - onnx).abs().max()) for torch, _, _, onnx in found),
                "logits, of 1 + their size": max(
                    float(((torch - onnx).abs() / (1 + torch.abs())).max()) for torch, _, _, onnx in found
                ),
                "logits, by rounding": max(float((torch - plain).abs().max()) for torch, plain, _, _ in found),
                "logits, torch from 64 bits": max(float((torch - far).abs().max()) for torch, _, far, _ in found),
                "logits, onnx from 64 bits": max(float((onnx - far).abs().max()) for _, _, far, onnx in found),
                "largest logit": max(float(torch.abs().max()) for torch, _, _, _ in found),
                "probabilities": max(float((a.softmax(-1) - b.softmax(-1)).abs().max()) for a, _, _, b in found),
                "other answers": sum(int((a.argmax(-1) != b.argmax(-1)).sum()) for a, _, _, b in found),
            }
        )
    return rows


def int8(options: argparse.Namespace) -> Rows:
    """Accuracy in percent over the same tasks, 5 queries a class; the interval is of the paired difference."""
    rows = []
    for name, ways in MODELS.items():
        size = load_model(f"pretrained:{name}").config.image_size
        images, split = load_source("omniglot", data_dir=options.data_dir, image_size=size)
        part = images.select(split.validation)
        counts = np.bincount(part.labels.numpy())
        assert (counts == counts[0]).all()
        with exported(name, options.exported) as folder:
            forms = {key: Graphs(folder, read_manifest(folder), int8=key == INT8, threads=1) for key in (ONNX, INT8)}
        prepared = prepared_images(part.images, size=size, ink="auto", crop=False).numpy()
        features = {key: graphs.embed(prepared)[0].reshape(len(counts), counts[0], -1) for key, graphs in forms.items()}
        rng, right = np.random.default_rng(0), {key: [] for key in forms}
        for _ in range(options.episodes):
            classes = rng.choice(len(counts), ways, replace=False)
            places = rng.permuted(np.tile(np.arange(counts[0]), (ways, 1)), axis=1)
            for key, graphs in forms.items():
                task = features[key][classes[:, None], places[:, :6]]
                state = graphs.learn(task[None, :, 0], np.arange(ways)[None], graphs.initial_state())
                logits = graphs.answer(task[:, 1:].reshape(1, ways * 5, -1), state)[0]
                right[key].append(100 * float((logits.argmax(-1) == np.repeat(np.arange(ways), 5)).mean()))
        loss = np.subtract(right[ONNX], right[INT8])
        rows.append(
            {"model": name, "ways": ways, "tasks": options.episodes}
            | {f"{key} %": statistics.mean(values) for key, values in right.items()}
            | {"points lost": float(loss.mean()), "+-": float(1.96 * loss.std(ddof=1) / len(loss) ** 0.5)}
        )
    return rows


def speed(options: argparse.Namespace) -> Rows:
    """Ratios to torch: learning 1-shot tasks and the same with 15 queries a class, processor time of one thread; and a
    fresh process, from its start to its end, by the clock."""
    rows = []
    for name, ways in MODELS.items():
        torch.manual_seed(0)
        support, queries = drawings(ways).numpy(), drawings(QUERIES_PER_CLASS * ways).numpy()
        with exported(name, options.exported) as folder:
            models: dict[str, Any] = {
                TORCH: FewShotClassifier(load_model(f"pretrained:{name}")),
                ONNX: ExportedClassifier(folder, threads=1),
                INT8: ExportedClassifier(folder, threads=1, int8=True),
            }
            forms: dict[str, Form] = {}
            for key, model in models.items():
                forms[f"{key} learn"] = functools.partial(taught, model, support)
                forms[f"{key} + queries"] = functools.partial(taught, model, support, queries)
            rounds = options.rounds if name.endswith("fast") else max(3, options.rounds // 4)
            times = interleaved(forms, rounds=rounds, warmup=1, clock=time.process_time)
            starts = started(name, folder, support[:5], options.starts)
        row: dict[str, Any] = {"model": name, "ways": ways} | {f"{form} ms": times[form].median_ms for form in forms}
        for key in (ONNX, INT8):
            for what in ("learn", "+ queries"):
                ratio = against(times, f"{key} {what}", f"{TORCH} {what}")
                row |= {f"{key} / torch, {what}": ratio["median"], f"{key} / torch, {what}, by min": ratio["min"]}
        row |= {f"{key} start ms": 1e3 * statistics.median(each) for key, each in starts.items()}
        ratios = [one / other for one, other in zip(starts[ONNX], starts[TORCH], strict=True)]
        row |= {"start, onnx / torch": statistics.median(ratios)}
        row |= {"start, onnx / torch, by min": min(starts[ONNX]) / min(starts[TORCH])}
        rows.append(row)
    return rows


def taught(model: Any, images: np.ndarray, queries: np.ndarray | None = None) -> object:
    """One example of each class learned from nothing; and queries answered, if there are any."""
    model.reset()
    model.learn(images, list(range(len(images))))
    return model if queries is None else model.predict(queries)


def started(name: str, folder: Path, images: np.ndarray, rounds: int) -> dict[str, list[float]]:
    """Seconds of fresh processes, from before their start until after their end; one round untimed."""
    seconds: dict[str, list[float]] = {key: [] for key in START}
    with tempfile.TemporaryDirectory() as place:
        path = Path(place, "images.npy")
        np.save(path, images)
        rest = (
            f"; import numpy; images = numpy.load({str(path)!r}); "
            "model.learn(images, list(range(len(images)))).predict(images[:1])"
        )
        for k in range(rounds + 1):
            for key, begin in START.items():
                code = begin.format(name=name, folder=str(folder)) + rest
                at = time.perf_counter()
                subprocess.run([sys.executable, "-c", code], check=True)
                if k:
                    seconds[key].append(time.perf_counter() - at)
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="name", required=True)
    for benchmark in (equal, int8, speed):
        command = commands.add_parser(benchmark.__name__, help=benchmark.__doc__)
        command.add_argument("--json", type=Path, help="write the rows here as well")
        command.add_argument("--exported", type=Path, help="folder of exported models, made where they are missing")
        if benchmark is speed:
            command.add_argument("--rounds", type=int, default=40, help="interleaved runs of each form")
            command.add_argument("--starts", type=int, default=7, help="processes started of each kind")
        else:
            command.add_argument("--episodes", type=int, default=1000)
        if benchmark is int8:
            command.add_argument("--data-dir", type=Path, help="where Omniglot lies")
        command.set_defaults(run=benchmark)
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = options.run(options)
    print(table(rows))
    if options.json:
        command_line = shlex.join(["python", "benchmarks/runtime.py", *sys.argv[1:]])
        write_json(options.json, command_line, rows, what=" ".join(options.run.__doc__.split()))


if __name__ == "__main__":
    main()
