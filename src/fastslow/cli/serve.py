"""`fastslow serve`: a stream learner behind HTTP."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal


def serve(
    *,
    state: Path,
    model: str | None = None,
    host: str = "127.0.0.1",
    port: int = 8000,
    token_file: Path | None = None,
    max_request: float = 4.0,
    max_examples: int | None = None,
    per_class: int | None = None,
    eviction: Literal["merge", "oldest", "refuse"] | None = None,
    novelty_threshold: float | None = None,
    doubt_labels: bool | None = None,
    ink: Literal["auto", "bright", "dark", "as_is"] | None = None,
    crop: bool | None = None,
) -> None:
    """Teach and ask a stream learner over HTTP; every change is on the disk before it is acknowledged.

    SIGTERM or Ctrl-C stops it: what is being asked is answered, and the learner saved. Its page is at /docs.

    Args:
        state: .safetensors file of the learner; made when there is none, and gone on from when there is.
        model: what makes features: a shipped model, a run folder or a .safetensors file, or none for feature vectors;
            omniglot-5w1s if not given. This and the options below from max-examples on are those of the state, once
            there is one.
        host: to be bound to; others than this machine's own need a token.
        port: likewise; 0 takes one that is free.
        token_file: file of the token that has to be sent; FASTSLOW_TOKEN in the environment if not given.
        max_request: the largest body of a request, MiB.
        max_examples: the most that are kept.
        per_class: the most that are kept of each class.
        eviction: what is done where there are more.
        novelty_threshold: distance from which on an example is unknown.
        doubt_labels: whether an example counts the less, the less the others agree with its label.
        ink: of drawings: bright or dark; auto finds out; as_is for images that are no drawings.
        crop: cut drawings to their ink, and take them of any size.
    """
    from fastslow.errors import InputError, shown
    from fastslow.ports import refuse_no_port

    refuse_no_port(port)
    if missing := [name for name in ("fastapi", "fastapi_offline", "uvicorn") if find_spec(name) is None]:
        raise InputError(f"serve needs {' and '.join(missing)}, not here: pip install 'fastslow[serve]'")
    if not 0 < max_request <= 16:
        raise InputError(f"got max_request={shown(max_request)}; above 0 and up to 16 MiB was expected")
    from fastslow.serving.kept import KeptLearner
    from fastslow.serving.server import read_token, rules_for
    from fastslow.serving.server import serve as run

    rules = rules_for(host, read_token(token_file), int(max_request * 2**20))
    given: dict[str, Any] = {
        "max_examples": max_examples, "per_class": per_class, "eviction": eviction, "ink": ink, "crop": crop,
        "novelty_threshold": novelty_threshold, "doubt_labels": doubt_labels,
    }  # fmt: skip
    options = {name: value for name, value in given.items() if value is not None}
    if model is not None:
        options["model"] = None if model == "none" else model
    run(KeptLearner(state, options), host, port, rules, lambda text: print(text, flush=True))
