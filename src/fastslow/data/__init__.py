"""Data sets and how episodes are drawn from them."""

from fastslow.data.base import ClassImages
from fastslow.data.episodes import EpisodeBatch, EpisodeSampler
from fastslow.data.fetch.fetch import fetch
from fastslow.data.fetch.locate import cache_folder, data_folder
from fastslow.data.glyphs.glyphs import make_glyphs
from fastslow.data.images.folder import load_folder
from fastslow.data.images.mnist import load_mnist
from fastslow.data.images.omniglot import load_omniglot, omniglot_split
from fastslow.data.registry import load_source
from fastslow.data.splits import Split, make_split, random_split

__all__ = [
    "ClassImages",
    "EpisodeBatch",
    "EpisodeSampler",
    "Split",
    "cache_folder",
    "data_folder",
    "fetch",
    "load_folder",
    "load_mnist",
    "load_omniglot",
    "load_source",
    "make_glyphs",
    "make_split",
    "omniglot_split",
    "random_split",
]
