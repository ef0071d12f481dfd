"""Levels of the lazy edges of a network, from its tangent kernel at initialization."""

from deepnets.lazy_edges.lazy_levels import levels
from deepnets.lazy_edges.level import LazyLevel, Levels

__all__ = ["LazyLevel", "Levels", "levels"]
