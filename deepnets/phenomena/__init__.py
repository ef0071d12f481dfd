"""The paper's phenomena as detectors with numbers: functions of recorded curves, and what records them; knows no figure."""

from deepnets.phenomena import measures
from deepnets.phenomena.catapult import Catapult, catapult
from deepnets.phenomena.collapse import Collapse, collapse
from deepnets.phenomena.lazy_consistency import LazyConsistency, lazy_consistency
from deepnets.phenomena.overshoot import Kind, Overshoot, beside_linearised, overshoot
from deepnets.phenomena.sharpening import Sharpening, sharpening
from deepnets.phenomena.silent_alignment import SilentAlignment, silent_alignment
from deepnets.phenomena.stairs import Stairs, stairs
from deepnets.phenomena.super_consistency import SuperConsistency, super_consistency
from deepnets.phenomena.together import Together, together
from deepnets.phenomena.watching import Look, watch

__all__ = ["Catapult", "Collapse", "Kind", "LazyConsistency", "Look", "Overshoot", "Sharpening", "SilentAlignment", "Stairs",
           "SuperConsistency", "Together", "beside_linearised", "catapult", "collapse", "lazy_consistency", "measures", "overshoot",
           "sharpening", "silent_alignment", "stairs", "super_consistency", "together", "watch"]
