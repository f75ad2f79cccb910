"""Whether numbers can be those of a memory of errors: what is read from a file may be anybody's."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

#: Errors beyond which there are none, metres, and numbers that a forecast was made from; and numbers of a key, whose
#: squares must be numbers.
LARGEST, LARGEST_KEY = 1e15, 1e100
#: How far means may be off by rounding.
_ROUNDING = 1e-6


def can_be(arrays: Mapping[str, np.ndarray], num_written: int) -> bool:
    """Whether counts are whole and of all that was written, means of what they can be of, and slopes and sums, too."""
    errors, squares, counts, prior = (arrays[name] for name in ("errors", "squares", "counts", "prior"))
    most = {"errors": LARGEST, "shown": LARGEST}
    most |= dict.fromkeys(("keys", "spreads", "slopes", "scatter", "level", "judged"), LARGEST_KEY)
    if not all((np.abs(part) < most.get(name, 2 * LARGEST**2)).all() for name, part in arrays.items()):
        return False
    if (counts < 1).any() or (counts != np.round(counts)).any() or counts.sum() != num_written:
        return False
    least, both = np.square(errors).sum(2), counts @ squares / max(num_written, 1)  # of a mean, and of all slots
    return bool(
        (squares >= least * (1 - _ROUNDING) - _ROUNDING**2).all()
        and np.allclose(prior, both, rtol=_ROUNDING, atol=_ROUNDING**2)
        and ("slopes" not in arrays or _can_slope(arrays))
        and ("scatter" not in arrays or _can_be_sums(arrays, num_written))
    )


def _can_slope(arrays: Mapping[str, np.ndarray]) -> bool:
    """Whether slopes are those of slots with such spreads and errors."""
    spreads, slopes = arrays["spreads"], arrays["slopes"]
    shown = arrays["shown"].shape[1] if "shown" in arrays else 0
    if (spreads < 0).any() or (spreads[arrays["counts"] == 1] != 0).any():
        return False
    # |covariance| is at most the product of deviations: of curves of errors at most their length, of x at most its own
    most = np.full((len(spreads), slopes.shape[2]), LARGEST**2)
    most[:, shown:] = arrays["squares"].sum(1, keepdims=True)
    return not (np.square(slopes) > spreads[:, :, None] * most[:, None] * (1 + _ROUNDING) + _ROUNDING**2).any()


def _can_be_sums(arrays: Mapping[str, np.ndarray], num_written: int) -> bool:
    """Whether sums of squares and products, and those that weights were judged by, can be those of a line."""
    shown, more, least = arrays["shown"].shape[1], 1 + _ROUNDING, _ROUNDING**2
    a, s, aa, a_s, ss, a_now, s_now = arrays["judged"]
    if min(s, s_now, aa, ss) < 0 or a_s**2 > aa * ss * more + least:
        return False
    for scatter, level, agreed, said in zip(arrays["scatter"], arrays["level"], (a, a_now), (s, s_now), strict=True):
        room = _ROUNDING * max(float(np.trace(scatter)), _ROUNDING)
        products, of_x, of_y = scatter[:shown, shown:], scatter.diagonal()[:shown], scatter.diagonal()[shown:]
        if not 0 <= of_x.sum() <= 4 * max(num_written, 1) * arrays["level"].sum() * more or (of_y < 0).any():
            return False  # what is left of a number is no more than that and a mean of those before
        if level < 0 or agreed**2 > said * of_y.sum() * more + least:
            return False
        if (np.square(products) > of_x[:, None] * of_y * more).any() or (np.abs(scatter - scatter.T) > room).any():
            return False
        if not (np.linalg.eigvalsh(scatter) >= -room).all():
            return False
    return True
