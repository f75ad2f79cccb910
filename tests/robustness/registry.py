"""All readers, by name; a new one is put under damage by being listed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from robustness import (
    data_readers,
    exported_readers,
    model_readers,
    served_readers,
    stream_readers,
    text_readers,
    track_readers,
)
from robustness.harness import Reader

#: Each is made in an empty folder of its own.
READERS: dict[str, Callable[[Path], Reader]] = {
    "model": model_readers.model_reader,
    "checkpoint": model_readers.checkpoint_reader,
    "image cache": model_readers.cache_reader,
    "stream learner": stream_readers.stream_reader,
    "forecaster": stream_readers.forecaster_reader,
    "forecaster, network": stream_readers.network_reader,
    "statistics": stream_readers.statistics_reader,
    "result": text_readers.result_reader,
    "metrics": text_readers.metrics_reader,
    "config": text_readers.config_reader,
    "options in YAML": text_readers.yaml_reader,
    "report page": text_readers.page_reader,
    "table": text_readers.table_reader,
    "Omniglot": data_readers.omniglot_reader,
    "MNIST": data_readers.mnist_reader,
    "folder of images": data_readers.folder_reader,
    "table of tracks": track_readers.table_reader,
    "inD": track_readers.ind_reader,
    "Stanford Drone Dataset": track_readers.sdd_reader,
    "VRU": track_readers.vru_reader,
    "exported model": exported_readers.exported_reader,
    "taught project": exported_readers.taught_reader,
    "journal of a server": served_readers.journal_reader,
    "snapshot of a server": served_readers.snapshot_reader,
}
