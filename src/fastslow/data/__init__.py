"""Data sets and how episodes are drawn from them."""

from fastslow.data.base import ClassImages
from fastslow.data.episodes import EpisodeBatch, EpisodeDataset, EpisodeSampler
from fastslow.data.fetch.locate import cache_folder, data_folder
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
