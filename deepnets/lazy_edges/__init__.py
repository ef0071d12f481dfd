"""Levels of the lazy edges of a network, from its tangent kernel at initialization."""
