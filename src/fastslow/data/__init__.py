"""Data sets and how episodes are drawn from them. Imported when first used: preparing images needs no torch."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastslow.data.base import ClassImages
    from fastslow.data.episodes import EpisodeBatch, EpisodeDataset, EpisodeSampler
    from fastslow.data.fetching.locate import cache_folder, data_folder
    from fastslow.data.glyphs.glyphs import make_glyphs
    from fastslow.data.images.digits import load_digits
    from fastslow.data.images.folder import load_folder
    from fastslow.data.images.mnist import load_mnist
    from fastslow.data.images.omniglot import load_omniglot, omniglot_split
    from fastslow.data.images.parts import load_own_images
    from fastslow.data.registry import DATA, DataSource, data_names, fetch, load_source
    from fastslow.data.splits import Split, make_split, random_split
    from fastslow.data.tracks.base import TrackData
    from fastslow.data.tracks.junction import make_junction
    from fastslow.data.tracks.registry import load_tracks

_HOMES = {
    "ClassImages": "fastslow.data.base",
    "DATA": "fastslow.data.registry",
    "DataSource": "fastslow.data.registry",
    "EpisodeBatch": "fastslow.data.episodes",
    "EpisodeDataset": "fastslow.data.episodes",
    "EpisodeSampler": "fastslow.data.episodes",
    "Split": "fastslow.data.splits",
    "TrackData": "fastslow.data.tracks.base",
    "cache_folder": "fastslow.data.fetching.locate",
    "data_folder": "fastslow.data.fetching.locate",
    "data_names": "fastslow.data.registry",
    "fetch": "fastslow.data.registry",
    "load_digits": "fastslow.data.images.digits",
    "load_folder": "fastslow.data.images.folder",
    "load_mnist": "fastslow.data.images.mnist",
    "load_omniglot": "fastslow.data.images.omniglot",
    "load_own_images": "fastslow.data.images.parts",
    "load_source": "fastslow.data.registry",
    "load_tracks": "fastslow.data.tracks.registry",
    "make_glyphs": "fastslow.data.glyphs.glyphs",
    "make_junction": "fastslow.data.tracks.junction",
    "make_split": "fastslow.data.splits",
    "omniglot_split": "fastslow.data.images.omniglot",
    "random_split": "fastslow.data.splits",
}

__all__ = [
    "DATA",
    "ClassImages",
    "DataSource",
    "EpisodeBatch",
    "EpisodeDataset",
    "EpisodeSampler",
    "Split",
    "TrackData",
    "cache_folder",
    "data_folder",
    "data_names",
    "fetch",
    "load_digits",
    "load_folder",
    "load_mnist",
    "load_omniglot",
    "load_own_images",
    "load_source",
    "load_tracks",
    "make_glyphs",
    "make_junction",
    "make_split",
    "omniglot_split",
    "random_split",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
