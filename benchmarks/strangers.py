"""How well the page of `fastslow play` tells drawings of none of the classes taught, and how well its constants fit.

`python benchmarks/strangers.py --data-dir ../shared/data --json results/benchmark_strangers.json MODEL...`. Memories
of 2 to 20 validation characters of Omniglot, which a model was not trained on, of one to three drawings each while
there are slots for them, are asked about other drawings of these and about as many of characters that they were not
taught. Per model: how often a stranger ranks above a known one by its distance alone, at 5 and 20 classes of one
drawing; the logistic function of the distance's root and of the logarithm of the number of slots that fits best; and
the mean negative log likelihood, in nats, of that function and of the page's (`strangeness` in
`src/fastslow/play/memory.js`) on as many other memories.
"""

from __future__ import annotations

import argparse
import re
import shlex
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score
from timing import table, write_json
from torch import Tensor

from fastslow.data.registry import load_source
from fastslow.methods.files import TrainedModel, load_model
from fastslow.protocol.features import to_unit

PAGE = Path(__file__).parents[1] / "src/fastslow/play/memory.js"
MOST_CLASSES, MOST_SHOWN = 20, 3
Asked = NDArray[np.float64]  # a row a question: the root of its distance, log of the number of slots, whether strange


def queries(model: TrainedModel, data_dir: Path) -> Tensor:
    """What a memory is asked with about each image: classes, drawings, numbers."""
    images, split = load_source("omniglot", data_dir=data_dir, image_size=model.config.image_size)
    part = images.select(split.part("validation"))
    features = torch.cat([model.method.embed(to_unit(some)) for some in torch.split(part.images, 128)])
    asked = features + model.method.memory.input_controller(features)
    counts = torch.bincount(part.labels)
    assert bool((counts == counts[0]).all())
    return asked[part.labels.argsort(stable=True)].unflatten(0, (len(counts), -1))


def asked_of_one(known: Tensor, strange: Tensor, shown: int) -> Asked:
    """A memory of some drawings of each known class, asked about one other of each and one of each strange class."""
    keys = known[:, :shown].flatten(0, 1)
    asked = torch.cat([known[:, shown], strange[:, 0]])
    nearest = torch.cdist(asked, keys).square().amin(1) / keys.shape[1]
    is_strange = torch.arange(len(asked)) >= len(known)
    return torch.stack([nearest.sqrt(), torch.full_like(nearest, len(keys)).log(), is_strange], 1).double().numpy()


def many(asked: Tensor, memories: int, seed: int, slots: int, ways: tuple[int, int], most_shown: int) -> Asked:
    """Questions to so many memories, drawn at random."""
    draw = torch.Generator().manual_seed(seed)
    found = []
    for _ in range(memories):
        way = int(torch.randint(ways[0], ways[1] + 1, (), generator=draw))
        shown = int(torch.randint(1, min(most_shown, slots // way) + 1, (), generator=draw))
        drawings = asked[torch.randperm(len(asked), generator=draw)[: 2 * way]]
        drawings = drawings[:, torch.randperm(drawings.shape[1], generator=draw)]
        found.append(asked_of_one(drawings[:way], drawings[way:], shown))
    return np.concatenate(found)


def of_the_page() -> tuple[float, float, float]:
    """The page's factor of the distance's root, that of the logarithm, and the constant."""
    formula = r"sigmoid\((\S+) \* \(Math.sqrt\(distance\) - (\S+) \+ (\S+) \* Math.log"
    found = re.search(formula, PAGE.read_text("utf-8"))
    assert found is not None
    slope, least, per_log = map(float, found.groups())
    return slope, slope * per_log, -slope * least


def row(name: str, data_dir: Path, memories: int) -> dict[str, Any]:
    model = load_model(name)
    model.method.eval()
    slots, asked = model.config.num_slots, queries(model, data_dir)
    found: dict[str, Any] = {"model": name}
    for way in (5, MOST_CLASSES):
        few = many(asked, memories, 2, slots, (way, way), 1)
        found[f"{way}-way pairs ranked rightly %"] = 100 * roc_auc_score(few[:, 2], few[:, 0])
    fitted, held_out = (many(asked, memories, seed, slots, (2, MOST_CLASSES), MOST_SHOWN) for seed in (0, 1))
    logistic = LogisticRegression(C=1e6).fit(fitted[:, :2], fitted[:, 2])
    (slope, per_log), (constant,) = logistic.coef_[0], logistic.intercept_
    found |= {"slope": slope, "distance": -constant / slope, "per log": per_log / slope}
    for what, (a, b, c) in {"fitted": (slope, per_log, constant), "the page's": of_the_page()}.items():
        none = 1 / (1 + np.exp(-(held_out[:, :2] @ [a, b] + c)))
        found |= {
            f"nats, {what}": log_loss(held_out[:, 2], none),
            f"known ones taken for strange, {what} %": 100 * float((none > 0.5)[held_out[:, 2] == 0].mean()),
            f"strange ones taken for known, {what} %": 100 * float((none <= 0.5)[held_out[:, 2] == 1].mean()),
        }
    return found


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(prog="strangers", description=__doc__)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--memories", type=int, default=3000)
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = [row(name, options.data_dir, options.memories) for name in options.models]
    print(table(rows))
    if options.json:
        write_json(options.json, f"python {shlex.join(sys.argv)}", rows, what=__doc__)


if __name__ == "__main__":
    main()
