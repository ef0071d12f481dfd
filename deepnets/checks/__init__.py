"""Checks of a parametrization: does what should not depend on width or depth stay where it is? Each returns verdicts."""

from deepnets.checks.coordinate import coordinate_check
from deepnets.checks.depth import depth_check
from deepnets.checks.size_slopes import Check
from deepnets.checks.transfer import transfer_check

__all__ = ["Check", "coordinate_check", "depth_check", "transfer_check"]
