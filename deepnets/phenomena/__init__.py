"""The paper's phenomena: recording of training runs, and detectors that take the recorded curves."""

from deepnets.phenomena import measures
from deepnets.phenomena.detect_catapult import Catapult, catapult
from deepnets.phenomena.detect_collapse import Collapse, collapse
from deepnets.phenomena.detect_lazy_consistency import LazyConsistency, lazy_consistency
from deepnets.phenomena.detect_overshoot import Kind, Overshoot, add_linearised_runs, overshoot
from deepnets.phenomena.detect_sharpening import Sharpening, sharpening
from deepnets.phenomena.detect_silent_alignment import SilentAlignment, silent_alignment
from deepnets.phenomena.detect_size_spread import SizeSpread, size_spread
from deepnets.phenomena.detect_stairs import Stairs, stairs
from deepnets.phenomena.detect_super_consistency import SuperConsistency, super_consistency
from deepnets.phenomena.recorder import Snapshot, watch

__all__ = ["Catapult", "Collapse", "Kind", "LazyConsistency", "Overshoot", "Sharpening", "SilentAlignment", "SizeSpread",
           "Snapshot", "Stairs", "SuperConsistency", "add_linearised_runs", "catapult", "collapse", "lazy_consistency", "measures",
           "overshoot", "sharpening", "silent_alignment", "size_spread", "stairs", "super_consistency", "watch"]


def __dir__() -> list[str]:
    """Return the public names, for completion."""
    return list(__all__)
