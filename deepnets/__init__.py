"""The independent witness: deep networks in torch; may import validation, never toymodels.

Imported lazily: `import deepnets` costs nothing until a name is used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deepnets.difference import Centered as Centered

_ROOMS = {"Centered": "difference", "FellBack": "difference", "Unsupported": "pairs"}

__all__ = ["Centered", "FellBack", "Unsupported"]


def __getattr__(name: str) -> Any:
    """Import torch when the first name is asked for."""
    if name in _ROOMS:
        return getattr(import_module(f"deepnets.{_ROOMS[name]}"), name)
    raise AttributeError(f"module 'deepnets' has no attribute {name!r}")
