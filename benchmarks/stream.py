"""The stream learner: one example learned, one answered, beside the encoder's own pass; and a stream of a million.

What is timed is what a user calls: `learn_one` and `predict_one` on a drawing, checks and preparation and all. Beside
it stand the same encoder as torch runs the model's, and as the learner runs it (batch norm folded, packed), each on an
image that is a tensor already.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch
from checkouts import as_used
from timing import Form

from fastslow import FastSlowClassifier, load_model
from fastslow.data import make_glyphs

MODEL = "omniglot-5w1s-fast"
ENCODER, PACKED, LEARN, ANSWER = "encoder", "encoder, packed", "learn_one", "predict_one"
FORMS = (ENCODER, PACKED, LEARN, ANSWER)
FEATURES, CLASSES, BATCH = 128, 1000, 100


def make(form: str, num_classes: int) -> Form:
    """One form of the work as a function without arguments, with so many classes known."""
    drawings = make_glyphs(num_classes=num_classes, per_class=1, seed=3).images.numpy()
    # Two values, as scans have them.
    drawings = np.where(drawings > 127, np.uint8(255), np.uint8(0))
    if form in (ENCODER, PACKED):
        encoder = load_model(f"pretrained:{MODEL}").method.encoder.eval()
        encoder = encoder if form == ENCODER else as_used(encoder.folded())
        image = torch.from_numpy(drawings[:1]).float().unsqueeze(1) / 255

        @torch.inference_mode()
        def encode() -> object:
            return encoder(image)

        return encode
    learner = FastSlowClassifier(MODEL).partial_fit(drawings, list(range(num_classes)))
    learner.predict(drawings[:1])
    if form == ANSWER:
        return lambda: learner.predict_one(drawings[0])
    return lambda: learner.learn_one(drawings[0], 0)


def million(count: int, every: int) -> list[dict[str, Any]]:
    """A stream of vectors whose classes come by a power law: what it takes, and what is known of all classes so far.

    Args:
        count: of vectors.
        every: as many of them as a row is of.
    """
    generator = np.random.default_rng(0)
    means = generator.normal(size=(CLASSES, FEATURES)).astype(np.float32)
    share = 1 / np.arange(1, CLASSES + 1)
    noise = np.where(np.arange(FEATURES) % 2, 1.0, 3.0).astype(np.float32)  # half of the directions say little

    def draw(labels: np.ndarray) -> np.ndarray:
        return means[labels] + noise * generator.normal(size=(len(labels), FEATURES)).astype(np.float32)

    learner, sums, counts, rows = FastSlowClassifier(None), np.zeros((CLASSES, FEATURES)), np.zeros(CLASSES), []
    for start in range(0, count, every):
        seconds = 0.0
        for _ in range(start, start + every, BATCH):
            labels = generator.choice(CLASSES, BATCH, p=share / share.sum())
            vectors = draw(labels)
            began = time.perf_counter()
            learner.partial_fit(vectors, labels)
            seconds += time.perf_counter() - began
            np.add.at(sums, labels, vectors)
            np.add.at(counts, labels, 1)
        known = np.flatnonzero(counts)
        labels = np.tile(known, 3)
        queries = draw(labels)
        began = time.perf_counter()
        right = learner.predict(queries) == labels
        asked = time.perf_counter() - began
        class_means = torch.from_numpy((sums[known] / counts[known, None]).astype(np.float32))
        nearest = known[torch.cdist(torch.from_numpy(queries), class_means).argmin(1)]
        rows.append({
            "examples": start + every, "classes": len(known), "learned/s": every / seconds,
            "answered/s": len(queries) / asked, "kept": len(learner.examples_), "MiB": learner.memory_bytes_ / 2**20,
            "accuracy %": 100 * float(right.mean()), "nearest class mean %": 100 * float((nearest == labels).mean()),
        })  # fmt: skip
    return rows
