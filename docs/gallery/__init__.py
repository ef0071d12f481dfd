"""What the gallery's scripts share: findings, runs that are kept, colours; the scripts themselves lie in scripts/."""

from gallery.drawing import shades
from gallery.findings import Findings, over_seeds
from gallery.kept import kept

__all__ = ["Findings", "kept", "over_seeds", "shades"]
