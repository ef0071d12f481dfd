"""Trace and density against the dense matrix: they agree within their errors, and the errors are those of their scatter."""

import numpy as np
import pytest
import torch

import deepnets
from deepnets.curvature import traces
from deepnets.curvature.hessian import Curvature
from deepnets.curvature.points import point_from_network
from tests.deepnets.curvature.dense import hessian
from tests.deepnets.oracle import cnn, random_u
from validation import Misuse


@pytest.fixture(scope="module")
def measured():
    """A centred network, its batch, and the eigenvalues of its whole Hessian."""
    module, shape = cnn()
    module.double()
    x, y = torch.randn(8, *shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64), torch.arange(8) % 3
    u = random_u(module)
    return deepnets.Centered(module, 1.0), u, (x, y), np.linalg.eigvalsh(hessian(module, u, 1.0, x, y, "cross_entropy").numpy())


def test_exact_trace(measured):
    centered, u, batch, values = measured
    found = deepnets.trace(centered, u, batch, "cross_entropy")
    assert found.attrs["method"] == "exact"
    assert float(found.trace) == pytest.approx(values.sum(), rel=1e-9)
    assert float(found.error) == 0


@pytest.mark.slow
@pytest.mark.parametrize("method", ["hutchinson", "hutch++"])
def test_estimated_traces_scatter_as_their_errors_say(measured, method):
    centered, u, batch, values = measured
    found = [deepnets.trace(centered, u, batch, "cross_entropy", probes=60, method=method, seed=s) for s in range(12)]
    off = np.array([float(f.trace) - values.sum() for f in found])
    errors = np.array([float(f.error) for f in found])
    assert 0.4 < np.sqrt((off**2).mean()) / np.sqrt((errors**2).mean()) < 2
    assert np.abs(off / errors).max() < 4.5
    assert found[0].attrs["products"] == 60


@pytest.mark.parametrize(("method", "block"), [("exact", "9"), ("hutchinson", None), ("hutch++", None)])
def test_traces_of_points_together_are_those_one_by_one(measured, method, block):
    _, u, batch, _ = measured
    module = cnn()[0].double()
    gammas, moved = [1e-3, 1.0, 30.0], random_u(module, seed=1)
    several = {n: torch.stack([u[n], moved[n], 0 * u[n]]) for n in u}
    found = traces(module, several, gammas, batch, "cross_entropy", block=block, method=method)
    for p, gamma in enumerate(gammas):
        alone = deepnets.trace(deepnets.Centered(module, gamma, "pairs"), {n: d[p] for n, d in several.items()}, batch, "cross_entropy",
                               block=block, method=method)
        np.testing.assert_allclose(found.trace[p], alone.trace, rtol=1e-8)
        np.testing.assert_allclose(found.error[p], alone.error, rtol=1e-6)


def test_the_sketch_reduces_the_error(measured):
    centered, u, batch, _ = measured
    plain, sketched = (float(deepnets.trace(centered, u, batch, "cross_entropy", 60, method=m).error) for m in ("hutchinson", "hutch++"))
    assert sketched < plain / 2


def test_density_moments_and_integral(measured):
    centered, u, batch, values = measured
    found = deepnets.density(centered, u, batch, "cross_entropy", probes=12, steps=30)
    exact = np.array([(values**q).mean() for q in found.order.values])
    assert (np.abs(found.moment.values - exact) < 4.5 * found.moment_error.values).all()
    assert (found.moment_error.values / np.abs((np.abs(values)[:, None] ** found.order.values).mean(0)) < 0.5).all()
    assert float(found.density.integrate("value")) == pytest.approx(1, abs=1e-6)
    assert found.weights.sum("step").values == pytest.approx(np.ones(12))


def test_density_is_that_of_the_eigenvalues_convolved_with_the_width(measured):
    centered, u, batch, values = measured
    width = 0.05 * np.ptp(values)
    found = deepnets.density(centered, u, batch, "cross_entropy", probes=16, steps=40, width=width)
    exact = np.exp(-0.5 * ((found.value.values[:, None] - values) / width) ** 2).mean(1) / (width * np.sqrt(2 * np.pi))
    off = np.abs(found.density.values - exact)
    assert (off <= 5 * found.density_error.values + 1e-9 * exact.max()).all()
    assert off.max() < 0.05 * exact.max()


def test_all_nodes_of_a_small_network_are_eigenvalues():
    module = torch.nn.Linear(3, 1, bias=False).double()
    x = torch.diag(torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64))
    found = deepnets.density(deepnets.Centered(module, 1.0), None, (x, torch.zeros(3, 1)), "mse", probes=2)
    assert np.sort(found.nodes.values[0]) == pytest.approx([1 / 3, 4 / 3, 3])
    assert found.moment.sel(order=1) == pytest.approx(14 / 9)


def test_misuse(measured):
    centered, u, batch, _ = measured
    for bad, match in (({"probes": 5}, "probes"), ({"method": "exactly"}, "method"), ({"part": "x"}, "part"), ({"seed": -1}, "seed")):
        with pytest.raises(Misuse, match=match):
            deepnets.trace(centered, u, batch, **bad)
    for bad, match in (({"probes": 1}, "probes"), ({"steps": 0}, "steps"), ({"width": 0.0}, "width"), ({"values": [[1.0]]}, "values")):
        with pytest.raises(Misuse, match=match):
            deepnets.density(centered, u, batch, **bad)


def test_curvlinops_agrees():
    curvlinops = pytest.importorskip("curvlinops")
    module = torch.nn.Sequential(torch.nn.Linear(5, 7), torch.nn.Tanh(), torch.nn.Linear(7, 3)).double()
    x = torch.randn(9, 5, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    y = torch.arange(9) % 3
    u = random_u(module)
    moved = torch.nn.Sequential(torch.nn.Linear(5, 7), torch.nn.Tanh(), torch.nn.Linear(7, 3)).double()
    start = dict(module.named_parameters())
    # at gamma = 1 and less the outputs of theta_0, so that both differentiate the same function
    with torch.no_grad():
        for n, p in moved.named_parameters():
            p.copy_(start[n] + u[n])
        offset = module(x)

    class Off(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = moved

        def forward(self, inputs):
            return self.inner(inputs) - offset
    parts = {"hessian": curvlinops.HessianLinearOperator, "gauss_newton": curvlinops.GGNLinearOperator}
    for part, operator in parts.items():
        for loss, theirs in (("cross_entropy", torch.nn.CrossEntropyLoss()), ("mse", torch.nn.MSELoss())):
            target = y if loss == "cross_entropy" else torch.nn.functional.one_hot(y, 3).double()
            model = Off()
            A = operator(model, theirs, list(model.parameters()), [(x, target)], check_deterministic=False)
            v = torch.randn(1, 66, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
            exact = A @ v[0] / (1 if loss == "cross_entropy" else 2)          # torch's mean of squares has no half
            found = Curvature(point_from_network(deepnets.Centered(module, 1.0, "pairs"), u, (x, y), loss, "module"), part)(v)[0]
            assert float((found - exact).norm() / exact.norm()) < 1e-10
