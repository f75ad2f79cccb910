"""`fastslow statistics`: how a model's features of classes spread, for stream learners to start from."""

from __future__ import annotations

from pathlib import Path
from typing import Literal


def statistics(
    source: str,
    *,
    data: str | None = None,
    data_dir: Path | None = None,
    split: str | None = None,
    part: Literal["train", "train+validation", "all"] = "train",
    out: Path | None = None,
) -> None:
    """Measure the features of classes that a model was trained on; `FastSlowClassifier` starts from the file.

    Args:
        source: pretrained:NAME, a run folder or a .safetensors file.
        data: that the model was trained on, a name of images that `fastslow data list` shows or a folder; those that
            its file says, read as they were then, if not given.
        data_dir: where downloaded data lie; FASTSLOW_DATA or the cache folder if not given.
        split: split of Omniglot: vinyals or lake; the model's if not given.
        part: classes to measure: those that the model was trained on.
        out: file to write; beside the model's, ending in .statistics, where it is looked for, if not given.
    """
    from fastslow.cli.outputs import refuse_output
    from fastslow.data.registry import load_source
    from fastslow.errors import InputError
    from fastslow.estimators.statistics import measure_statistics, save_statistics, statistics_path
    from fastslow.estimators.weights import weights_sha256
    from fastslow.methods.files import PRETRAINED_PREFIX, load_model, locate_model

    if out is None and source.startswith(PRETRAINED_PREFIX):
        raise InputError(f"got {source} and no --out; the file of a model that ships with the library has to be named")
    path = statistics_path(locate_model(source)) if out is None else out
    refuse_output("--out", path, others={"the model": source})
    model = load_model(source)
    trained = model.training_data
    data, split = data or trained.get("data", "omniglot"), split or trained.get("split", "vinyals")
    alike = trained if data == trained.get("data") else {}
    ink, crop = alike.get("ink", "auto"), alike.get("crop", False)
    size = model.config.image_size
    images, parts = load_source(data, data_dir=data_dir, split=split, image_size=size, ink=ink, crop=crop)
    found = measure_statistics(model.method, images.select(parts.part(part)))
    about = {"data": data, "split": parts.name, "split_sha256": parts.sha256, "part": part}
    save_statistics(path, found, weights_sha256(model.method.encoder.state_dict()), about)
    print(path)
