"""Vectors as users have them: rounded to 32 bits only where that loses nothing."""

import numpy as np
import pytest
import torch

from fastslow import FastSlowClassifier
from fastslow.errors import InputError

GENERATOR = np.random.default_rng(0)
LABELS = np.arange(60) % 3
FAR = {
    "northings": 5_334_000 + 0.1 * LABELS + GENERATOR.normal(size=60) * 0.01,
    "seconds": 1.7e9 + LABELS + GENERATOR.normal(size=60) * 0.1,
    "whole numbers": 10**12 + LABELS,
    "too small": 1e-50 * (LABELS + 1),
}
REFUSED = r"got vectors whose column 1 has values around .* that spread by .*: subtract a typical value"


@pytest.mark.parametrize("kind", [np.asarray, np.ndarray.tolist, torch.from_numpy])
@pytest.mark.parametrize("name", FAR)
def test_what_32_bits_round_away_is_refused(name, kind):
    vectors = kind(np.column_stack([GENERATOR.normal(size=60), column := FAR[name]]))
    learner = FastSlowClassifier(None)
    taught = FastSlowClassifier(None).learn_one(np.zeros(2), 0)
    for learn in (learner.fit, learner.partial_fit, taught.partial_fit):
        with pytest.raises(InputError, match=REFUSED):
            learn(vectors, LABELS)
    near = (column - np.median(column))[:, None] / column.std()
    assert learner.fit(near, LABELS).score(near, LABELS) > 0.9


def test_what_32_bits_hold_is_taken():
    plain = GENERATOR.normal(size=(60, 1)) + 1000
    outlier = np.r_[1e6, GENERATOR.normal(size=59)][:, None]
    constant = np.full((60, 1), 0.7)
    nearly = np.where(LABELS == 0, 0.3, 0.1 + 0.2)[:, None]  # one and the same but for the last bit
    vectors = np.hstack([plain, outlier, constant, nearly, LABELS[:, None] + 1e5])
    learner = FastSlowClassifier(None).fit(vectors, LABELS)
    learner.learn_one(np.full(5, 1.7e9), 5).partial_fit(np.full((1, 5), 1.7e9), [6])  # one row has no spread
    FastSlowClassifier(None).fit((vectors + 1e9).astype(np.float32), LABELS)  # nothing is rounded any more


@pytest.mark.filterwarnings("error")
def test_numbers_beyond_32_bits_are_refused_in_words_alone():
    with pytest.raises(InputError, match="NaN or infinity among the features"):
        FastSlowClassifier(None).fit([[1e39, 1.0]], ["a"])
