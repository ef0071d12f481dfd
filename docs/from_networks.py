"""What the site says about networks and their data, said by the code: directives as of `from_code`."""

from __future__ import annotations

import inspect
from collections import Counter

from from_code import cell, loaded, prose, render, table


def network_exponents() -> str:
    """Return the table of exponents measured on networks, judged while the page is built, after what its rows have in common."""
    script = loaded("network_exponents")
    if script.kept() is None:
        return "`python docs/tables/network_exponents.py` measures the table."
    told = script.table()
    rows = [[entry.strip() for entry in line.split("|")[1:-1]] for line in told.splitlines()[2:]]
    verdicts = Counter(row[-1] for row in rows)
    judged = ", ".join(f"{count} {'is' if count == 1 else 'are'} {verdict}" for verdict, count in verdicts.most_common())
    names = "; ".join(f"{edge} of {loss}, {optimizer}, $L = {depth}$, $\\gamma$ from {window}"
                      for loss, optimizer, depth, edge, window, *_, verdict in rows if verdict == "CONTRADICTED")
    steps, seeds, rates = (" or ".join(map(str, sorted({getattr(row, name) for row in script.rows()})))
                           for name in ("steps", "seeds", "per_decade"))
    return (f"MLPs of ReLUs under muP on digits; $T = {steps}$, $\\rho = {script.RHO}$, {seeds} seeds, {script.GAMMAS} gammas, {rates} "
            f"rates a decade; tolerance {script.TOLERANCE}. Of {len(rows)} rows {judged}{f' ({names})' if names else ''}.\n\n{told}\n")


def specified(kind: str, **more):
    """Return a small network of a kind."""
    import deepnets

    image = {"in_shape": (1, 8, 8), "width": 8, "out_features": 10}
    own = {"MLP": {"in_features": 64, "width": 32, "depth": 3, "out_features": 10},
           "ResidualMLP": {"in_features": 64, "width": 32, "blocks": 4, "out_features": 10},
           "ResidualCNN": {**image, "blocks": 4},
           "Transformer": {"vocabulary": 256, "context": 64, "width": 32}}
    return getattr(deepnets, kind)(**own.get(kind, image), **more)


def specifications() -> str:
    import deepnets.networks
    from deepnets.cli_options import NETWORKS
    from deepnets.networks.parametrization import PARAMETRIZATIONS
    from validation.arguments import Misuse

    def taken(kind: str, name: str) -> bool:
        try:
            return specified(kind, parametrization=name) is not None
        except Misuse:
            return False

    order = [option.replace("-", "") for option in NETWORKS]       # some descriptions refer to the one before
    kinds = sorted((kind for kind in deepnets.networks.__all__ if kind[0].isupper()), key=lambda kind: order.index(kind.lower()))
    return table(("specification", "what it is", "parametrizations"), [
        (f"`{kind}`", prose(f"deepnets.networks:{kind}").split("\n\n")[0],
         ", ".join(f"`{name}`" for name in PARAMETRIZATIONS if taken(kind, name))) for kind in kinds])


def parametrization(what: str) -> str:
    """Return the table of multipliers, starts and rates of a small network; `what` is "MLP mup"."""
    import deepnets

    kind, name = what.split()
    return f"```text\n{deepnets.parametrization_table(specified(kind, parametrization=name))}\n```"


def tasks() -> str:
    """Return the tasks, each with what it is and where its data come from."""
    import deepnets.tasks
    from deepnets.tasks import cifar, mnist1m_files, mnist_files, tiny_imagenet_files

    sources = {
        "digits": "scikit-learn ships them", "photographs": "scikit-image and scikit-learn ship them",
        "fashion_mnist": mnist_files.FASHION_HOW, "mnist": mnist_files.MNIST_HOW, "mnist_1m": mnist1m_files.HOW,
        "cifar10": cifar.CIFAR10_HOW,
        "cifar5m": cifar.CIFAR5M_HOW, "tiny_imagenet": tiny_imagenet_files.HOW, "text": "any text of your own in UTF-8"}
    names = [n for n in deepnets.tasks.__all__ if n.islower() and n not in ("as_task", "from_loader", "full_batch")]

    def row(name: str) -> tuple[str, str, str]:
        own = name.title().replace("_", "")       # what a class says of its samples tells more than what its maker does
        said = prose(f"deepnets.tasks:{own if hasattr(deepnets.tasks, own) else name}").split("\n\n")[0].removeprefix("Return ")
        arguments = ", ".join(inspect.signature(getattr(deepnets.tasks, name)).parameters)
        drawn = getattr(deepnets.tasks, name).__module__ in ("deepnets.tasks.synthetic", "deepnets.tasks.teachers")
        return f"`{name}({arguments})`", said, "drawn as they are wanted; no file" if drawn else cell(sources[name])

    return table(("task", "what it is", "where the data come from"), [row(n) for n in sorted(names, key=lambda n: (n in sources, n))])


def checksums() -> str:
    from deepnets.tasks.mnist_files import FASHION_SHA256

    return table(("file of Fashion-MNIST, decompressed", "SHA-256"), [(f"`{name}`", f"`{told}`") for name, told in FASHION_SHA256.items()])


def observables() -> str:
    """Return the observables that `--observe` names."""
    from deepnets.observation.selection import NAMES

    return table(("name", "what it measures"), [(f"`{name}`", cell(words)) for name, words in NAMES.items()])


def observed_variables() -> str:
    """Return the variables of observed runs, measured on a network of a few units while the page is built."""
    import deepnets

    x, y = deepnets.tasks.digits().batch(0, 0, 64)
    few = deepnets.tasks.from_loader([(x[:, 20:28], y % 3)], [(x[:, 20:28], y % 3)])
    experiment = deepnets.DeepExperiment(deepnets.MLP(8, 6, 3, 3), deepnets.tasks.full_batch(few), steps=4, batch_size=32, device="cpu")
    told = deepnets.observe(experiment, [1e-2, 1.0], [1e-4, 1e-2], at=range(5), names="all", k=3)

    def dims(variable) -> str:
        return ", ".join(str(d) for d in variable.dims if d not in ("seed", "step", "run"))

    return table(("variable", "what it is", "dims", "units"), [
        (f"`{name}`", cell(v.attrs["long_name"]), dims(v), cell(v.attrs["units"])) for name, v in told.data_vars.items()])


def detectors() -> str:
    """Return the detectors of phenomena: what each asks for, and what its record holds."""
    from dataclasses import fields

    from deepnets import phenomena

    def row(name: str) -> tuple[str, str, str]:
        made = getattr(phenomena, name)
        record = getattr(phenomena, inspect.signature(made).return_annotation)
        return f"`{name}`", prose(f"{made.__module__}:{name}").split("\n\n")[0], ", ".join(f"`{f.name}`" for f in fields(record))

    names = ("catapult", "overshoot", "silent_alignment", "sharpening", "stairs", "collapse", "lazy_consistency")
    return table(("detector", "what it tells", "its record holds"), [row(name) for name in names])


def setup(app) -> dict:
    for maker in (network_exponents, specifications, parametrization, tasks, checksums, observables, observed_variables, detectors):
        render(app, maker)
    return {"parallel_read_safe": True}
