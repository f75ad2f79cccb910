"""Vectors to teach a stream learner, and all that it knows then."""

from __future__ import annotations

import numpy as np
import torch

from fastslow import FastSlowClassifier


def clouds(classes=4, each=6, features=5, apart=6.0, seed=0):
    """Vectors around means that are far apart, in no order, with labels "c0", "c1", ..."""
    generator = np.random.default_rng(seed)
    numbers = generator.permutation(np.repeat(np.arange(classes), each))
    means = apart * generator.normal(size=(classes, features))
    vectors = means[numbers] + generator.normal(size=(len(numbers), features))
    return vectors.astype(np.float32), [f"c{n}" for n in numbers]


def taught(vectors, labels, **options):
    learner = FastSlowClassifier(None, **options)
    for vector, label in zip(vectors, labels, strict=True):
        learner.learn_one(vector, label)
    return learner


def all_that_is_known(learner, queries):
    """Everything that answers follow from, exactly, by label."""
    order = np.argsort([str(label) for label in learner.memory_.labels])
    look = learner.memory_.look(torch.from_numpy(queries))
    return [part.numpy()[:, order].tobytes() for part in look] + [learner.classes_.tolist()]
