"""Checks of a parametrization: which quantities are independent of width or depth, with verdicts."""

from deepnets.checks.coordinate import coordinate_check
from deepnets.checks.depth import depth_check
from deepnets.checks.size_checks import Check
from deepnets.checks.transfer import transfer_check

__all__ = ["Check", "coordinate_check", "depth_check", "transfer_check"]
