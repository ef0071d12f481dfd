"""The gallery's shared code: findings, cached runs, portraits of networks; the pages are in scripts/."""

from gallery.colours import shades
from gallery.disk_cache import cache_on_disk
from gallery.findings import Findings, over_seeds
from gallery.kept_data import keep, keep_slow

__all__ = ["Findings", "cache_on_disk", "keep", "keep_slow", "over_seeds", "shades"]
