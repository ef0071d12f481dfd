"""Tables and sessions that stand on the pages are what the code says: outcomes, variables, tasks, networks, observables, detectors."""

from __future__ import annotations

import doctest
import inspect
import re
import sys
from collections import Counter
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

import deepnets
from deepnets import networks, phenomena, tasks
from deepnets.cli_options import NETWORKS
from deepnets.networks.parametrization import PARAMETRIZATIONS
from deepnets.observation.selection import NAMES
from deepnets.tasks import cifar, mnist1m_files, mnist_files, tiny_imagenet_files
from deepnets.titles import LOSSES, OPTIMIZERS
from validation.arguments import Misuse
from validation.outcome import PRECEDENCE, Outcome
from validation.plotting.style import COLOURS
from validation.portrait import REQUIRED, VARIABLES

DOCS = Path(__file__).parent.parent / "docs"
sys.path.append(str(DOCS))

from gallery.network_exponents import measured_exponents  # noqa: E402


def plain(text):
    """A text without markup, in one line."""
    return " ".join(re.sub(r"[`\\*]", "", str(text)).split())


def table_on(page, *head):
    """The rows of the table with this head on a page, without markup."""
    lines = iter((DOCS / f"{page}.md").read_text().splitlines())
    assert any(cells(line) == head for line in lines), f"{page}.md has no table with the head {head}"
    next(lines)
    rows = []
    while (line := next(lines, "")).startswith("|"):
        rows.append(cells(line))
    return rows


def cells(line):
    return tuple(plain(cell) for cell in re.split(r"(?<!\\)\|", line)[1:-1])


def row(*values):
    return tuple(map(plain, values))


def summary(thing):
    """The first paragraph of a docstring."""
    return inspect.getdoc(thing).split("\n\n")[0].removeprefix("Return ")


def test_outcomes():
    assert table_on("outcomes", "", "outcome", "code", "what happened") == [
        row(f'<span style="background:{COLOURS[o]};border:1px solid #888">&emsp;</span>', o.label, int(o), o.sentence)
        for o in sorted(Outcome)]
    assert f"in this order: {', '.join(o.label for o in PRECEDENCE)}." in (DOCS / "outcomes.md").read_text()


def test_variables_of_a_portrait():
    assert table_on("dataset", "variable", "type", "unrun", "what it is", "always present") == [
        row(name, dtype, fill, words, "yes" if name in REQUIRED else "") for name, (dtype, fill, words) in VARIABLES.items()]


def test_tasks():
    sources = {
        "digits": "scikit-learn ships them", "photographs": "scikit-image and scikit-learn ship them",
        "fashion_mnist": mnist_files.FASHION_HOW, "mnist": mnist_files.MNIST_HOW, "mnist_1m": mnist1m_files.HOW,
        "cifar10": cifar.CIFAR10_HOW, "cifar5m": cifar.CIFAR5M_HOW, "tiny_imagenet": tiny_imagenet_files.HOW,
        "text": "any text of your own in UTF-8"}
    names = {n for n in tasks.__all__ if n.islower()} - {"as_task", "from_loader", "full_batch"}

    def expected(name):
        build = getattr(tasks, name)
        described = getattr(tasks, name.title().replace("_", ""), build)       # a class describes its samples better than what builds it
        return row(f"{name}({', '.join(inspect.signature(build).parameters)})", summary(described), sources.get(name, "generated; no file"))

    assert sorted(table_on("data_for_networks", "task", "what it is", "where the data come from")) == sorted(map(expected, names))


def test_checksums():
    assert dict(table_on("data_for_networks", "file of Fashion-MNIST, decompressed", "SHA-256")) == mnist_files.FASHION_SHA256


IMAGES = {"in_shape": (1, 8, 8), "width": 8, "out_features": 10}
ARGUMENTS = {"MLP": {"in_features": 64, "width": 32, "depth": 3, "out_features": 10},
             "ResidualMLP": {"in_features": 64, "width": 32, "blocks": 4, "out_features": 10},
             "ResidualCNN": IMAGES | {"blocks": 4}, "Transformer": {"vocabulary": 256, "context": 64, "width": 32}}


def accepts(kind, parametrization):
    try:
        return bool(getattr(deepnets, kind)(**ARGUMENTS.get(kind, IMAGES), parametrization=parametrization))
    except Misuse:
        return False


def test_specifications_of_networks():
    kinds = {kind for kind in networks.__all__ if kind[0].isupper()}
    assert {kind.lower() for kind in kinds} == {option.replace("-", "") for option in NETWORKS}
    assert sorted(table_on("networks_in_python", "specification", "what it is", "parametrizations")) == sorted(
        row(kind, summary(getattr(networks, kind)), ", ".join(p for p in PARAMETRIZATIONS if accepts(kind, p))) for kind in kinds)


def test_observables():
    assert table_on("observables", "name", "what it measures") == [row(*item) for item in NAMES.items()]


def test_variables_of_observed_runs():
    x, y = tasks.digits().batch(0, 0, 64)
    few = tasks.from_loader([(x[:, 20:28], y % 3)], [(x[:, 20:28], y % 3)])
    experiment = deepnets.DeepExperiment(deepnets.MLP(8, 6, 3, 3), tasks.full_batch(few), steps=4, batch_size=32, device="cpu")
    data = deepnets.observe(experiment, [1e-2, 1.0], [1e-4, 1e-2], at=range(5), names="all", k=3)
    assert table_on("observables", "variable", "what it is", "dims", "units") == [
        row(name, v.attrs["long_name"], ", ".join(d for d in v.dims if d not in ("seed", "step", "run")), v.attrs["units"])
        for name, v in data.data_vars.items()]


def test_detectors():
    names = ("catapult", "overshoot", "silent_alignment", "sharpening", "stairs", "collapse", "lazy_consistency")

    def expected(name):
        detect = getattr(phenomena, name)
        record = getattr(phenomena, inspect.signature(detect).return_annotation)
        return row(name, summary(detect), ", ".join(f.name for f in fields(record)))

    assert table_on("phenomena", "detector", "what it finds", "its record holds") == [expected(name) for name in names]


def test_exponents_of_networks():
    """Fits and verdicts are computed from the stored brackets."""
    found = [*measured_exponents(), *measured_exponents(task="mnist")]
    expected = []
    for one, law, verdict in found:
        loss = LOSSES[one.loss] + ("" if one.schedule == "constant" else ", warm-up and cosine")
        edge = one.edge + (", by accuracy" if one.criterion == "accuracy" else "")
        edge += ", onset of overshoot" if (one.loss, one.edge) == ("cross_entropy", "eta_crit") else ""
        low, high = (f"$10^{{{np.log10(end):.0f}}}$" for end in one.window)
        digits = {"digits": "8 x 8", "mnist": "28 x 28"}[one.task]
        expected.append(row(digits, loss, OPTIMIZERS[one.optimizer], one.depth, edge, f"{low} to {high}", one.width, one.batch, one.steps,
                            one.seeds, f"{verdict.claimed:.3f}", f"{law.exponent:.3f}", f"{law.interval[0]:.3f} to {law.interval[1]:.3f}",
                            verdict.outcome))
    assert table_on("networks", "digits", "loss", "optimizer", "$L$", "edge", plain(r"$\gamma$"), "$N$", "$B$", "$T$", "seeds", "predicted",
                    "measured", "95% interval", "verdict") == expected
    counts = Counter(str(verdict.outcome) for *_, verdict in found)
    assert f"Of {len(found)} rows {', '.join(f'{n} are {name}' for name, n in counts.most_common())} (" in plain(
        (DOCS / "networks.md").read_text())


PAGES = {page.name: page.read_text() for page in sorted(DOCS.glob("*.md"))}
SESSIONS = {name: "\n".join(re.findall(r"^```pycon\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)) for name, text in PAGES.items()
            if "```pycon" in text}


@pytest.mark.parametrize("page", SESSIONS)
def test_sessions_print_what_they_show(page):
    session = doctest.DocTestParser().get_doctest(SESSIONS[page], {}, page, page, 0)
    assert session.examples
    assert doctest.DocTestRunner(optionflags=doctest.REPORT_NDIFF).run(session).failed == 0


def test_another_cell_is_noticed(monkeypatch):
    monkeypatch.setitem(VARIABLES, "steps", ("int32", 0, "steps"))
    with pytest.raises(AssertionError):
        test_variables_of_a_portrait()
