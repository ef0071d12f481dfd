"""The paper's phenomena as detectors with numbers: functions of recorded curves, and what records them; knows no figure."""

from deepnets.phenomena import measures
from deepnets.phenomena.detect_catapult import Catapult, catapult
from deepnets.phenomena.detect_collapse import Collapse, collapse
from deepnets.phenomena.detect_lazy_consistency import LazyConsistency, lazy_consistency
from deepnets.phenomena.detect_overshoot import Kind, Overshoot, beside_linearised, overshoot
from deepnets.phenomena.detect_sharpening import Sharpening, sharpening
from deepnets.phenomena.detect_silent_alignment import SilentAlignment, silent_alignment
from deepnets.phenomena.detect_stairs import Stairs, stairs
from deepnets.phenomena.detect_super_consistency import SuperConsistency, super_consistency
from deepnets.phenomena.recorder import Look, watch
from deepnets.phenomena.size_spread import Together, together

__all__ = ["Catapult", "Collapse", "Kind", "LazyConsistency", "Look", "Overshoot", "Sharpening", "SilentAlignment", "Stairs",
           "SuperConsistency", "Together", "beside_linearised", "catapult", "collapse", "lazy_consistency", "measures", "overshoot",
           "sharpening", "silent_alignment", "stairs", "super_consistency", "together", "watch"]
