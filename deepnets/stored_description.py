"""Check the description of a stored network experiment: what theory and headings read of it has the right types and sizes."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

from validation.arguments import Misuse, axis, between, choose, whole

LONGEST, LARGEST = 500, 2**40      # characters of a name; sizes
STAGES = 20
# sizes that theory reads of networks by name; a number, or a list of them
SIZES: dict[str, dict[str, int]] = {"mlp": {"depth": 2}, "cnn": {"convolutions": 0, "dense": 0},
                                    "resnet": {"width": 1}}
PARAMETRIZATIONS = ("mup", "depth_mup", "ntk", "standard")


def check_description(description: Mapping[str, Any]) -> None:
    """Raise `Misuse`, naming the entry, if a description is none of a `DeepExperiment`. Networks, losses and others may have any name."""
    for part in ("network", "task", "optimizer", "schedule"):
        check_name(f"the description's {part}", _entry(description, part))
    check_network(description["network"])
    loss = _entry(description, "loss")
    if isinstance(loss, str):
        choose("the description's loss", loss, ("mse", "cross_entropy"))
    else:
        check_name("the description's loss", loss)
    for setting in ("weight_decay", "clip"):
        if description["optimizer"].get(setting) is not None:
            between(f"the description's {setting}", description["optimizer"][setting], -1e300, 1e300)
    steps = _entry(description, "steps")
    for one in steps if isinstance(steps, list) else [steps]:
        whole("the description's steps", one, 1, LARGEST)
    if isinstance(steps, list):
        axis("the description's steps", steps)
    if not isinstance(description.get("centred", True), bool):
        raise Misuse(f"the description's centred must be true or false, not {description['centred']!r}")
    _check_fingerprint(description.get("fingerprint", {}))


def check_name(what: str, part: Any) -> None:
    """Raise `Misuse` if a part of a description is not a dictionary with a name."""
    name = part.get("name") if isinstance(part, Mapping) else None
    if not isinstance(name, str):
        raise Misuse(f"{what} must be a dictionary with the text 'name', not {part!r}")
    if len(name) > LONGEST:
        raise Misuse(f"{what} must have a name of at most {LONGEST} characters, not the {len(name)} of {name[:20]!r}...")


def check_network(network: Any) -> None:
    """Raise `Misuse` if the description of a network lacks a size that belongs to its name, or has one that cannot be."""
    check_name("the description's network", network)
    sizes = SIZES.get(network["name"], {})
    for size, least in {"depth": 0, "convolutions": 0, "dense": 0, "width": 1}.items():
        if size in sizes or size in network:
            whole(f"the network's {size}", network.get(size), sizes.get(size, least), LARGEST)
    if "parametrization" in network:
        choose("the network's parametrization", network["parametrization"], PARAMETRIZATIONS)
    if network.get("parametrization") in ("ntk", "standard"):
        whole("the network's width", network.get("width"), 1, LARGEST)
    if network["name"] == "resnet":
        blocks = network.get("blocks")
        if not isinstance(blocks, list | tuple) or not 1 <= len(blocks) <= STAGES:
            raise Misuse(f"the network's blocks must be a list of at most {STAGES} whole numbers, not {blocks!r}")
        for count in blocks:
            whole("the network's blocks", count, 0, LARGEST)


def _check_fingerprint(fingerprint: Any) -> None:
    """Raise `Misuse` if the parameters in a fingerprint are not shapes by name."""
    shapes = fingerprint.get("parameters", {}) if isinstance(fingerprint, Mapping) else None
    if not isinstance(shapes, Mapping):
        raise Misuse(f"the description's fingerprint must hold the shapes of parameters by name, not {fingerprint!r}")
    for name, shape in shapes.items():
        if shape is not None and not isinstance(shape, list | tuple):
            raise Misuse(f"the fingerprint's shape of the parameter {name!r} must be a list of whole numbers, not {shape!r}")
        for size in shape or ():
            whole(f"the fingerprint's shape of the parameter {name!r}", size, 0, LARGEST)
        whole(f"the fingerprint's number of weights of the parameter {name!r}", prod(shape or ()), 0, LARGEST)


def _entry(description: Mapping[str, Any], name: str) -> Any:
    if name not in description:
        raise Misuse(f"the description must have the entry {name!r}; it has {', '.join(map(repr, description)) or 'none'}")
    return description[name]
