"""Sphinx directives about networks and their data, as in `ext.from_code`."""

from __future__ import annotations

import inspect
from collections import Counter
from dataclasses import fields

from sphinx.application import Sphinx

from ext.from_code import escape, register, summary, table


def network_exponents() -> str:
    """Return the table of exponents measured on networks, judged while the page is built, after what its rows share."""
    from gallery import network_exponents as measured

    found = measured.measured_exponents()
    verdicts = Counter(str(verdict.outcome) for *_, verdict in found)
    counts = ", ".join(f"{count} {'is' if count == 1 else 'are'} {name}" for name, count in verdicts.most_common())
    names = "; ".join(f"{row.edge} of {row.loss.replace('_', '-')}, {row.optimizer}, $L = {row.depth}$, $\\gamma$ from {row.window[0]:g}"
                      for row, _, verdict in found if verdict.outcome == "CONTRADICTED")
    steps, seeds, rates = (" or ".join(map(str, sorted({getattr(row, name) for row, *_ in found}))) for name in
                           ("steps", "seeds", "per_decade"))
    return (f"MLPs of ReLUs under muP on digits; $T = {steps}$, $\\rho = {measured.RHO}$, {seeds} seeds, {measured.GAMMAS} gammas, {rates} "
            f"rates a decade; tolerance {measured.TOLERANCE}. Of {len(found)} rows {counts}{f' ({names})' if names else ''}.\n\n"
            f"{measured.table()}\n")


def specify(kind: str, **more):
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

    def accepts(kind: str, name: str) -> bool:
        try:
            return specify(kind, parametrization=name) is not None
        except Misuse:
            return False

    order = [option.replace("-", "") for option in NETWORKS]       # some descriptions refer to the one before
    kinds = sorted((kind for kind in deepnets.networks.__all__ if kind[0].isupper()), key=lambda kind: order.index(kind.lower()))
    return table(("specification", "what it is", "parametrizations"), [
        (f"`{kind}`", summary(f"deepnets.networks:{kind}"), ", ".join(f"`{name}`" for name in PARAMETRIZATIONS if accepts(kind, name)))
        for kind in kinds])


def parametrization(what: str) -> str:
    """Return the table of multipliers, initializations and rates of a small network; `what` is "MLP mup"."""
    import deepnets

    kind, name = what.split()
    return f"```text\n{deepnets.parametrization_table(specify(kind, parametrization=name))}\n```"


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
        own = name.title().replace("_", "")       # a class describes its samples better than the function that builds it
        arguments = ", ".join(inspect.signature(getattr(deepnets.tasks, name)).parameters)
        return (f"`{name}({arguments})`", summary(f"deepnets.tasks:{own if hasattr(deepnets.tasks, own) else name}"),
                escape(sources.get(name, "generated; no file")))

    return table(("task", "what it is", "where the data come from"), [row(n) for n in sorted(names, key=lambda n: (n in sources, n))])


def checksums() -> str:
    from deepnets.tasks.mnist_files import FASHION_SHA256

    return table(("file of Fashion-MNIST, decompressed", "SHA-256"), [(f"`{name}`", f"`{digest}`") for name, digest in
                                                                     FASHION_SHA256.items()])


def observables() -> str:
    """Return the observables that `--observe` names."""
    from deepnets.observation.selection import NAMES

    return table(("name", "what it measures"), [(f"`{name}`", escape(words)) for name, words in NAMES.items()])


def observed_variables() -> str:
    """Return the variables of observed runs, measured on a small network while the page is built."""
    import deepnets

    x, y = deepnets.tasks.digits().batch(0, 0, 64)
    few = deepnets.tasks.from_loader([(x[:, 20:28], y % 3)], [(x[:, 20:28], y % 3)])
    experiment = deepnets.DeepExperiment(deepnets.MLP(8, 6, 3, 3), deepnets.tasks.full_batch(few), steps=4, batch_size=32, device="cpu")
    data = deepnets.observe(experiment, [1e-2, 1.0], [1e-4, 1e-2], at=range(5), names="all", k=3)
    return table(("variable", "what it is", "dims", "units"), [
        (f"`{name}`", escape(v.attrs["long_name"]), ", ".join(str(d) for d in v.dims if d not in ("seed", "step", "run")),
         escape(v.attrs["units"])) for name, v in data.data_vars.items()])


def detectors() -> str:
    """Return the detectors of phenomena, each with the fields of its record."""
    from deepnets import phenomena

    def row(name: str) -> tuple[str, str, str]:
        detect = getattr(phenomena, name)
        record = getattr(phenomena, inspect.signature(detect).return_annotation)
        return f"`{name}`", summary(f"{detect.__module__}:{name}"), ", ".join(f"`{f.name}`" for f in fields(record))

    names = ("catapult", "overshoot", "silent_alignment", "sharpening", "stairs", "collapse", "lazy_consistency")
    return table(("detector", "what it finds", "its record holds"), [row(name) for name in names])


def setup(app: Sphinx) -> dict[str, bool]:
    return register(app, network_exponents, specifications, parametrization, tasks, checksums, observables, observed_variables, detectors)
