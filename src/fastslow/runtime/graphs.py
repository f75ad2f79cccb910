"""The graphs of an exported model, run by onnxruntime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, Int64

from fastslow.errors import InputError, shown, shown_path, shown_reason
from fastslow.runtime.manifest import AFTER, ANSWER, BEGIN, EMBED, EMBED_INT8, LEARN, STATE, Manifest, read_file

#: What has been learned: the parts of a method's state by name, as graphs take them.
State = dict[str, np.ndarray]


class Graphs:
    """What a `Method` does, on arrays: `embed`, `initial_state`, `learn`, `answer`.

    Args:
        folder: of the exported model.
        manifest: what it says of itself.
        int8: embed by the quantised encoder.
        threads: of onnxruntime; as many as it thinks best if None.

    Raises:
        ValueError: if onnxruntime is not installed, or a file is missing, damaged or no such graph; it is named.
    """

    def __init__(self, folder: Path, manifest: Manifest, *, int8: bool, threads: int | None) -> None:
        self._manifest, self._folder, self._options = manifest, folder, (int8, threads)
        names, after = ([prefix + name for name in manifest.state] for prefix in (STATE, AFTER))
        self._names = names

        def graph(name: str, inputs: list[str], outputs: list[str]) -> Any:  # noqa: ANN401 - onnxruntime has no types
            session = _session(read_file(folder, name, manifest), folder / name, threads)
            found = ([one.name for one in session.get_inputs()], [one.name for one in session.get_outputs()])
            if (set(found[0]), found[1]) != (set(inputs), outputs):
                raise InputError(
                    f"{shown_path(folder / name)} takes {shown(found[0])} and gives {shown(found[1])}; {shown(inputs)} "
                    f"and {shown(outputs)} were expected: export the model again"
                )
            return session

        self._embed_name = EMBED_INT8 if int8 else EMBED
        self._embed = graph(self._embed_name, ["images"], ["features"])
        self._learn = graph(LEARN, ["features", "labels", *names], after)
        self._answer = graph(ANSWER, ["features", *names], ["logits"])
        self._refuse_other_sizes()
        self._initial: State = dict(zip(names, self._run(graph(BEGIN, [], names), BEGIN, {}), strict=True))

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickles where the files lie, and what they have to be, for onnxruntime's sessions cannot be pickled."""
        return _loaded, (self._folder.absolute(), self._manifest, *self._options)

    def __deepcopy__(self, _memo: object) -> Graphs:
        """Itself: graphs keep nothing of what they are asked."""
        return self

    def initial_state(self) -> State:
        """Nothing learned yet."""
        return dict(self._initial)

    def embed(self, images: Float32[np.ndarray, "images 1 height width"]) -> Float32[np.ndarray, "1 images *features"]:
        """Features of prepared images, as the examples of one task."""
        size = self._manifest.images_at_once
        shown_now = (images[at : at + size] for at in range(0, len(images), size))
        parts = [self._run(self._embed, self._embed_name, {"images": part})[0] for part in shown_now]
        return (parts[0] if len(parts) == 1 else np.concatenate(parts))[None]

    def learn(
        self, features: Float32[np.ndarray, "1 examples *features"], labels: Int64[np.ndarray, "1 examples"],
        state: State,
    ) -> State:  # fmt: skip
        """The state after some examples, on top of the one given, which is not modified."""
        size = self._manifest.examples_at_once or labels.shape[1]
        for at in range(0, labels.shape[1], size):
            shown_now = {"features": features[:, at : at + size], "labels": labels[:, at : at + size]}
            state = dict(zip(self._names, self._run(self._learn, LEARN, shown_now | state), strict=True))
        return state

    def answer(
        self, features: Float32[np.ndarray, "1 queries *features"], state: State
    ) -> Float32[np.ndarray, "1 queries classes"]:
        """Logits of queries, each answered as if alone."""
        logits: Float32[np.ndarray, "1 queries classes"] = self._run(
            self._answer, ANSWER, {"features": features} | state
        )[0]
        return logits

    def _run(self, session: Any, name: str, given: State) -> list[np.ndarray]:  # noqa: ANN401 - as above
        try:
            found: list[np.ndarray] = session.run(None, given)
        except Exception as error:  # onnxruntime's errors have no other base
            raise InputError(
                f"{shown_path(self._folder / name)} cannot be run on what its model takes ({shown_reason(error)}): "
                "export the model again"
            ) from error
        return found

    def _refuse_other_sizes(self) -> None:
        """Refuses graphs that take images, or tell classes apart, of another number than the manifest says."""
        size, classes = self._manifest.image_size, self._manifest.num_classes
        images, logits = self._embed.get_inputs()[0].shape, self._answer.get_outputs()[0].shape
        sizes = ((self._embed_name, images[1:], [1, size, size]), (ANSWER, logits[-1:], [classes]))
        for name, found, wanted in sizes:
            if found != wanted:
                raise InputError(
                    f"{shown_path(self._folder / name)} has sizes {shown(found)} where the manifest says {wanted}: "
                    "export the model again"
                )


def _loaded(folder: Path, manifest: Manifest, int8: bool, threads: int | None) -> Graphs:
    return Graphs(folder, manifest, int8=int8, threads=threads)


def _session(content: bytes, path: Path, threads: int | None) -> Any:  # noqa: ANN401 - onnxruntime has no types
    try:
        import onnxruntime  # type: ignore[import-untyped]
    except ImportError as error:
        raise InputError(
            f'{shown_path(path)} is run by onnxruntime, which is not installed: pip install "fastslow[runtime]"'
        ) from error
    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = 4
    if threads is not None:
        settings.intra_op_num_threads = threads
    try:
        return onnxruntime.InferenceSession(content, settings, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors have no other base
        raise InputError(
            f"{shown_path(path)} is no graph that this onnxruntime runs ({shown_reason(error)}); install a newer one, "
            "or export the model again"
        ) from error
