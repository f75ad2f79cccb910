"""What constant velocity gets wrong, as a small network says: two hidden layers, no place, and nothing that adapts.

In NumPy, for one forecast is a hundred multiplications of vectors, and needs neither gradients nor a GPU.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64

from fastslow.core.motion import samples_needed
from fastslow.core.motion_frames import AlignedFrame
from fastslow.errors import InputError

#: Layers that are read of a file, and how large a weight of one is that training has not run away with.
_MOST_LAYERS, _LARGEST = 4, 1e3


class Layer(NamedTuple):
    """A dense layer.

    Attributes:
        weight: shape (in, out).
        bias: shape (out,).
    """

    weight: Float64[np.ndarray, "before after"]
    bias: Float64[np.ndarray, " after"]


class MotionNetwork:
    """Forecasts from the velocities of a past alone, along the heading.

    Args:
        layers: of which the last gives the answers; a ReLU is between any two.
        rate: of samples, Hz.
        samples: of a past.

    Raises:
        InputError: if the layers do not fit one another, or the samples.
    """

    def __init__(self, layers: Sequence[Layer], *, rate: float, samples: int) -> None:
        refuse_short_past(samples, rate)
        self.layers, self.rate, self.samples, self._frame = tuple(layers), rate, samples, AlignedFrame(rate)
        widths = [2 * self._frame.num_shown(samples), *(len(layer.bias) for layer in self.layers)]
        shapes = [layer.weight.shape for layer in self.layers]
        if not shapes or shapes != list(itertools.pairwise(widths)) or widths[-1] % 2 or not widths[-1]:
            raise InputError(
                f"got layers of shapes {shapes}; they have to follow one another, from {widths[0]} numbers to x and y "
                "of each step"
            )

    @property
    def steps(self) -> int:
        """Samples of a forecast."""
        return len(self.layers[-1].bias) // 2

    @property
    def num_hidden(self) -> int:
        """Numbers that the last layer sees."""
        return len(self.layers[-1].weight)

    def forecast(self, pasts: Float64[np.ndarray, "rows samples 2"]) -> Float64[np.ndarray, "rows steps 2"]:
        """Positions to come, metres, from the last `samples` of each past."""
        return self.answered(pasts, self.hidden(pasts))

    def hidden(self, pasts: Float64[np.ndarray, "rows samples 2"]) -> Float64[np.ndarray, "rows hidden"]:
        """What the last layer sees of them."""
        seen = pasts[:, -self.samples :]
        numbers = self._frame.inputs(seen).reshape(len(seen), -1)
        for layer in self.layers[:-1]:
            numbers = np.maximum(numbers @ layer.weight + layer.bias, 0.0)
        return numbers

    def answered(
        self, pasts: Float64[np.ndarray, "rows samples 2"], hidden: Float64[np.ndarray, "rows hidden"]
    ) -> Float64[np.ndarray, "rows steps 2"]:
        """`forecast` of pasts whose `hidden` is at hand."""
        answers = hidden @ self.layers[-1].weight + self.layers[-1].bias
        return self._frame.positions(pasts[:, -self.samples :], answers.reshape(len(pasts), self.steps, 2))

    def arrays(self) -> dict[str, np.ndarray]:
        """All weights by name."""
        return {f"{field}_{k}": part for k, one in enumerate(self.layers) for field, part in one._asdict().items()}

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, np.ndarray], *, rate: float, samples: int) -> MotionNetwork:
        """The network whose `arrays` these are.

        Raises:
            InputError: if they are none of a network.
        """
        names = {f"{field}_{k}" for k in range(len(arrays) // 2) for field in Layer._fields}
        whole = set(arrays) == names and all(
            array.dtype == np.float64 and array.ndim == (2 if name.startswith("weight") else 1)
            for name, array in arrays.items()
        )
        if not whole:
            raise InputError(f"got arrays {sorted(arrays)}; weight_0, bias_0 and so on were expected, of 64 bits")
        if len(names) > 2 * _MOST_LAYERS or not all((np.abs(array) <= _LARGEST).all() for array in arrays.values()):
            raise InputError(
                f"got {len(names) // 2} layers, or weights beyond {_LARGEST:g}; at most {_MOST_LAYERS} layers of "
                "finite weights were expected: train the network again"
            )
        layers = [Layer(arrays[f"weight_{k}"], arrays[f"bias_{k}"]) for k in range(len(arrays) // 2)]
        return cls(layers, rate=rate, samples=samples)


def refuse_short_past(samples: int, rate: float) -> None:
    """Refuses a past of too few samples to read a movement from.

    Raises:
        InputError: if it is.
    """
    if samples < samples_needed(rate):
        raise InputError(
            f"got samples={samples} at {rate:g} Hz; a movement is read from at least {samples_needed(rate)}"
        )
