"""Several views of an image, joined on principal axes and on axes weighed by how well they tell classes apart.

`python benchmarks/views.py --data-dir ../shared/data --json results/benchmark_views.json`. Prototypes in the features
of the small shipped encoder, on validation characters of Omniglot, which it has never seen. The gain of each row is
over principal axes in the same episodes, with a 95 % interval over them. By such rows what `core.views` takes was
chosen.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path
from typing import Any

import torch
from timing import table, write_json
from torch import Tensor

from fastslow.core.gaussian import class_statistics, evened, telling_axes
from fastslow.core.views import ViewsEncoder
from fastslow.data.base import ClassImages
from fastslow.data.registry import load_source
from fastslow.methods.files import load_model
from fastslow.methods.protonet import PrototypicalNetwork
from fastslow.protocol.features import to_unit
from fastslow.protocol.fewshot import evaluate_episodes

MODEL = "pretrained:omniglot-5w1s-fast"
TASKS = ((5, 1), (5, 5), (20, 1), (20, 5))
PRINCIPAL = "eight views, principal axes"


def joined(encoder: ViewsEncoder, images: ClassImages) -> Tensor:
    return torch.cat([encoder.joined(to_unit(part)) for part in torch.split(images.images, 128)])


def on_axes(features: dict[str, Tensor], labels: Tensor, size: int) -> dict[str, Tensor]:
    """Features of the validation images, by what those of the training images joined them on."""
    mean = features["train"].mean(0)
    axes = torch.linalg.svd(features["train"] - mean, full_matrices=False).Vh[:size].mT
    train, validation = ((features[part] - mean) @ axes for part in ("train", "validation"))
    statistics = class_statistics(train, labels)
    found = {PRINCIPAL: validation, "one view": features["validation"][:, :size]}
    for share in (0.0, 0.3, 0.5, 0.7, 1.0):
        weighed = telling_axes(statistics._replace(within=evened(statistics.within, share))).float()
        found[f"eight views, weighed axes, covariance evened by {share}"] = validation @ weighed
    return found


@torch.inference_mode()
def rows(data_dir: Path, episodes: int) -> list[dict[str, Any]]:
    model = load_model(MODEL)
    plain = model.method.encoder.folded()
    encoder = ViewsEncoder(plain.encoder, plain.projection).eval()
    images, split = load_source("omniglot", data_dir=data_dir, image_size=model.config.image_size)
    parts = {part: images.select(split.part(part)) for part in ("train", "validation")}
    features = {part: joined(encoder, of_part) for part, of_part in parts.items()}
    found: list[dict[str, Any]] = []
    first: dict[str, Tensor] = {}
    for name, seen in on_axes(features, parts["train"].labels, encoder.num_features).items():
        row: dict[str, Any] = {"features": name}
        for way, shot in TASKS:
            prototypes, task = PrototypicalNetwork(encoder=encoder, num_classes=way), f"{way}w{shot}s"
            accuracies = 100 * evaluate_episodes(
                prototypes, seen, parts["validation"].labels, n_way=way, n_shot=shot, episodes=episodes
            )
            gain = accuracies - first.setdefault(task, accuracies)
            row |= {f"{task} %": float(accuracies.mean()), f"{task} gain": float(gain.mean())}
            row[f"{task} ±"] = 1.96 * float(gain.std()) / episodes**0.5
        found.append(row)
        print(row, file=sys.stderr, flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--episodes", type=int, default=2000)
    options = parser.parse_args()
    torch.set_num_threads(1)
    found = rows(options.data_dir, options.episodes)
    what = "prototypes on validation characters of Omniglot; points; see the docstring of benchmarks/views.py"
    write_json(options.json, f"python {shlex.join(sys.argv)}", found, what=what)
    print(table(found))


if __name__ == "__main__":
    main()
