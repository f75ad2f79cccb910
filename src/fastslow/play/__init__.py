"""A page to play with: a memory is taught characters by drawing, in the browser."""

from fastslow.play.taught import Taught, load_taught

__all__ = ["Taught", "load_taught"]
