"""`FewShotClassifier` for programs without torch."""

from __future__ import annotations

import numbers
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, Int64

from fastslow.checks import refuse_unless_flag
from fastslow.data.drawings import prepared_drawings
from fastslow.data.preparation import Ink
from fastslow.errors import InputError, as_path, shown, shown_path
from fastslow.methods.learner import FewShotLearner, Prepared
from fastslow.runtime.drawings import trial_drawings
from fastslow.runtime.graphs import Graphs, State
from fastslow.runtime.manifest import read_manifest

#: How far the logits of the self-test may be from those expected: other processors add in another order.
_TOLERANCE = 1e-3
#: onnxruntime makes all that it is told to, and of some 100,000 there is no end in sight.
_MOST_THREADS = 1024


class ExportedClassifier(FewShotLearner):
    """Learns new classes of images from one or a few examples each, from a folder that `fastslow export` wrote.

    Images, labels, answers and refusals are those of `FewShotClassifier`; answers are equal up to rounding.
    Copies share the graphs; a pickle holds what was learned and where the folder lies, and reads the files again.

    Args:
        folder: the exported model. Every file is checked by its SHA-256 before it is used.
        int8: embed by the quantised encoder: quicker, and a little less right.
        threads: how many onnxruntime computes on; as many as it thinks best if None.
        ink: see `FewShotClassifier`.
        crop: likewise.

    Raises:
        ValueError: if onnxruntime is not installed, the folder is no exported model or damaged, or an option does not
            exist.
    """

    def __init__(
        self, folder: str | Path, *, int8: bool = False, threads: int | None = None, ink: Ink = "auto",
        crop: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(ink, crop)
        if threads is not None and not _is_count(threads):
            raise InputError(
                f"got threads={shown(threads)}; give at least 1 and at most {_MOST_THREADS}, or None for as many as "
                "there should be"
            )
        self.int8, self.folder = refuse_unless_flag("int8", int8), as_path(folder, "folder")
        self._manifest = read_manifest(self.folder)
        self._graphs = Graphs(
            self.folder, self._manifest, int8=self.int8, threads=None if threads is None else int(threads)
        )
        self.reset()

    @property
    def image_size(self) -> int:
        """Height and width of the images, pixels."""
        return self._manifest.image_size

    @property
    def max_classes(self) -> int:
        """The most classes that can be told apart at a time."""
        return self._manifest.num_classes

    @property
    def max_examples(self) -> int | None:
        """The most examples between two resets; None if there is no such limit."""
        return self._manifest.max_examples

    @property
    def state(self) -> State:
        """All that has been learned since `reset`: arrays by name, as `learn.onnx` gives them."""
        state: State = self._state
        return state

    def to(self, device: object) -> ExportedClassifier:
        """For programs that move a `FewShotClassifier`: the processor is the only device there is.

        Returns:
            This classifier.

        Raises:
            ValueError: if the device is another.
        """
        if str(device).partition(":")[0] != "cpu":  # "cpu:0" is the same one
            raise InputError(f"got device={shown(str(device))}; exported models run on the processor: give 'cpu'")
        return self

    def _begin(self) -> State:
        return self._graphs.initial_state()

    def _learned(self, drawings: Prepared, numbers: Int64[np.ndarray, "1 images"]) -> State:
        return self._graphs.learn(self._graphs.embed(drawings), numbers, self._state)

    def _logits(self, drawings: Prepared, state: State) -> Float32[np.ndarray, "images classes"]:
        logits: np.ndarray = self._graphs.answer(self._graphs.embed(drawings), state)[0]
        return logits

    def self_test(self) -> None:
        """Learns three built-in drawings and compares the answers with those at export; what was learned stays.

        Raises:
            ValueError: if logits differ by more than 0.001, or the likeliest classes do where the encoder is quantised.
        """
        drawings = trial_drawings(self.image_size)
        images = prepared_drawings(drawings, size=self.image_size, ink="bright", crop=False)[:, None]
        features, last = self._graphs.embed(images), self.max_classes - 1
        labels = np.array([[min(k, last) for k in range(len(images))]], np.int64)
        logits = self._graphs.answer(features, self._graphs.learn(features, labels, self._graphs.initial_state()))[0]
        expected = np.array(self._manifest.expected, float)  # None, for minus infinity, becomes NaN
        known = np.isfinite(expected)
        if expected.shape != logits.shape:
            raise InputError(f"{shown_path(self.folder)} expects answers of another shape: export the model again")
        far = float(np.abs(logits[known] - expected[known]).max())
        right = (logits.argmax(-1) == np.where(known, expected, -np.inf).argmax(-1)).all()
        if not right or (far > _TOLERANCE and not self.int8):
            raise InputError(
                f"{shown_path(self.folder)} answers otherwise here than where it was exported: logits differ by up to "
                f"{far:.3g}, at most {_TOLERANCE} was expected; use another version of onnxruntime"
            )


def _is_count(value: Any) -> bool:  # noqa: ANN401 - from users
    """Whether a value is a number of threads, of Python or NumPy: `data.checks` needs torch."""
    whole = isinstance(value, numbers.Integral) and not isinstance(value, bool | np.timedelta64)
    return whole and 1 <= int(value) <= _MOST_THREADS
