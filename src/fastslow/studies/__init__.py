"""Studies: what is trained and measured to say something, each reproduced by one command; registered in `STUDIES`."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from fastslow.errors import InputError, shown

if TYPE_CHECKING:
    from fastslow.studies.base import Study

#: Studies by name, each as "module:attribute", imported when asked for: most of them import torch.
STUDIES: dict[str, str] = {
    "fewshot": "fastslow.studies.fewshot_study:STUDY",
    "open-set": "fastslow.studies.open_set:STUDY",
    "rare-classes": "fastslow.studies.rare_classes:STUDY",
    "predictors": "fastslow.studies.predictors:STUDY",
    "sharing": "fastslow.studies.sharing:STUDY",
    "streams": "fastslow.studies.streams:STUDY",
    "table1": "fastslow.studies.table1:STUDY",
    "trajectories": "fastslow.studies.trajectories:STUDY",
    "wrong-labels": "fastslow.studies.wrong_labels:STUDY",
}


def load_study(name: str) -> Study:
    """The study of a name.

    Raises:
        ValueError: if there is none; the message says which there are.
    """
    if name not in STUDIES:
        raise InputError(f"got study {shown(name)}; choose from {', '.join(sorted(STUDIES)) or 'none: there are none'}")
    module, _, attribute = STUDIES[name].partition(":")
    study: Study = getattr(import_module(module), attribute)
    return study
