"""Observables of a portrait's best runs: their numbers, the choice of the runs, the cached file, the sentences and figures."""

import numpy as np
import pytest
import torch
import xarray as xr

import deepnets
from deepnets import tasks
from deepnets.curvature import trace
from deepnets.kernels import agreement, effective_rank, kernel_norm, layer_kernels, ntk, weight_movement
from deepnets.observation import request as requests
from deepnets.observation.best_rate_runs import check_request, find_best_rates, load_or_observe, observe_portrait
from deepnets.observation.detect import describe_phenomena, detect_phenomena
from deepnets.observation.scaling_laws import fit_laws, in_theta, predict_laws
from deepnets.observation.selection import NAMES, ObserveOptions, order_names, usual_steps
from deepnets.phenomena import measures, watch
from validation import Misuse
from validation.plotting.observables import DRAWN, draw_observables
from validation.storage.observations import open_observables, save_observables

DIGITS = tasks.digits()
GAMMA, ETA = np.array([1e-3, 1.0, 30.0]), np.array([3e-6, 1e33, 30.0])      # the second diverges


def few_pixels():
    """Eight pixels of the digits, in three classes, so that whole Hessians are small."""
    x, y = DIGITS.batch(0, 0, 400)
    return tasks.from_loader([(x[:300, 20:28], y[:300] % 3)], [(x[300:, 20:28], y[300:] % 3)])


FEW = few_pixels()


def request(e, eta=ETA, at=None, samples=None):
    return requests.Request.parse(e, GAMMA, eta, at, samples, requests.LARGEST)


def experiment(network=None, **how):
    return deepnets.DeepExperiment(network or deepnets.MLP(8, 6, 3, 3), how.pop("task", FEW), device="cpu",
                                   **{"steps": 30, "batch_size": 16} | how)


@pytest.fixture(scope="module")
def observed():
    """Every observable of three runs, with two seeds."""
    return deepnets.observe(experiment(seeds=(0, 5)), GAMMA, ETA, at=(0, 10, 30), names="all", samples=24, k=4)


# ---------------------------------------------------------------- the numbers

def test_every_name_is_measured_and_every_number_has_its_unit(observed):
    assert observed.attrs["names"].split(",") == list(NAMES)
    for name, variable in observed.data_vars.items():
        assert variable.attrs["long_name"], name
        assert variable.attrs["units"], name
        assert variable.dtype == np.float64
    assert dict(observed.hessian.sizes) == {"seed": 2, "step": 3, "run": 3, "eigenvalue": 4}
    assert observed.gamma.values.tolist() == GAMMA.tolist()
    assert observed.loss.sizes["time"] == 31


def test_the_numbers_are_those_of_the_observables_themselves(observed):
    e = experiment()
    x, y = FEW.batch(0, 0, 24)
    at_ten, snapshots = observed.sel(seed=5, step=10), []
    watch(e, GAMMA, ETA, (10,), {"any": lambda s: snapshots.append(s) or np.ones(len(s.which))}, seed=5, samples=(x, y))
    [snapshot] = snapshots
    for i, p in enumerate(snapshot.which):
        u = {n: d[i] for n, d in snapshot.u.items()}
        centered = deepnets.Centered(snapshot.module, GAMMA[p], "pairs")
        for name, part in (("hessian", "hessian"), ("gauss_newton", "gauss_newton")):
            found = deepnets.spectrum(centered, u, (x, y), k=4, part=part, precision="float64", method="dense")
            np.testing.assert_allclose(at_ten[name][p], found.eigenvalues, rtol=1e-6, atol=1e-9 * float(found.eigenvalues[0]))
        ends = deepnets.spectrum(centered, u, (x, y), k=1, which="both", part="residual", precision="float64", method="dense")
        np.testing.assert_allclose(at_ten.residual_part[p], ends.eigenvalues, rtol=1e-6)
        least = deepnets.spectrum(centered, u, (x, y), k=1, which="smallest", precision="float64", method="dense")
        np.testing.assert_allclose(at_ten.hessian_smallest[p], least.eigenvalues[0], rtol=1e-6)
        total = trace(centered, u, (x, y), precision="float64", method="exact").trace
        np.testing.assert_allclose(at_ten.hessian_trace[p], total, rtol=1e-8)
        np.testing.assert_allclose(at_ten.sharpness[p], 6 * ETA[p] / GAMMA[p]**2 * at_ten.hessian[p, 0] / 2, rtol=1e-5)
    alive = snapshot.which.tolist()
    kernels = ntk(snapshot.runs, x, blocks="trace")
    start = ntk(deepnets.Centered(e.theta_0(5).double(), 1.0), x, blocks="trace")
    np.testing.assert_allclose(at_ten.kernel.values[alive, 1], kernel_norm(kernels, "frobenius") / 24, rtol=1e-10)
    change = kernel_norm(kernels - start, "frobenius") / kernel_norm(start, "frobenius")
    np.testing.assert_allclose(at_ten.kernel_change.values[alive], change, rtol=1e-6)
    last = layer_kernels(snapshot.runs, x).kernel.isel(layer=-1).values
    np.testing.assert_allclose(at_ten["rank"].values[alive, 0], effective_rank(last), rtol=1e-10)
    np.testing.assert_allclose(at_ten.alignment.values[alive, 0], measures.alignment()(snapshot), rtol=1e-10)
    np.testing.assert_allclose(at_ten.alignment_centred.values[alive, 2], measures.alignment("operator", True)(snapshot), rtol=1e-10)
    moved = weight_movement(snapshot.runs).absolute.sel(norm="operator").transpose("run", "parameter")
    np.testing.assert_allclose(at_ten.weights.sel(norm="operator").values[alive], moved, rtol=1e-10)
    f = snapshot.runs.outputs(x).numpy()
    np.testing.assert_allclose(at_ten.agreement.values[np.ix_(alive, alive)], agreement(f, y).correct, rtol=1e-10)


def test_numpy_integers_are_accepted():
    found = deepnets.observe(experiment(steps=2), [1.0], 0.1, at=np.array([0, 2]), names=("weights",), samples=np.int64(20))
    assert found.step.values.tolist() == [0, 2]
    assert found.attrs["samples"] == 20


def test_at_the_start_nothing_has_moved_and_what_diverged_is_nan(observed):
    start = observed.sel(step=0)
    assert (start.kernel_change == 0).all()
    assert (start.weights == 0).all()
    assert np.ptp(start.alignment.values, axis=1).max() < 1e-12
    lost = observed.isel(run=1, step=-1)
    assert all(np.isnan(lost[n]).all() for n in ("hessian", "hessian_trace", "sharpness", "kernel", "alignment", "rank", "weights"))
    others = observed.isel(run=[0, 2], step=-1)
    assert all(np.isfinite(others[n]).all() for n in ("hessian", "hessian_trace", "sharpness", "kernel", "alignment", "rank", "weights"))
    assert np.isnan(observed.agreement[:, -1, 1]).all()
    np.testing.assert_allclose(np.diagonal(observed.agreement[0, -1].values)[[0, 2]], 1)


def test_runs_in_pieces_are_the_same_runs(observed, monkeypatch):
    monkeypatch.setattr(requests, "ON_A_CORE", 1)
    names, counted = ("kernel", "alignment", "weights", "agreement"), []
    e = experiment(seeds=(0, 5))
    pieces = deepnets.observe(e, GAMMA, ETA, at=(0, 10, 30), names=names, samples=24, k=4, progress=lambda p: counted.append(p.done))
    assert counted[-1] >= 12      # of 18 snapshots; none is taken of the run that diverged
    for name in ("kernel", "alignment", "weights", "agreement", "loss"):
        np.testing.assert_allclose(pieces[name], observed[name], rtol=2e-3, atol=1e-6)
    assert pieces.attrs["digest"] == observed.attrs["digest"]


def test_too_little_memory_is_refused_before_training(monkeypatch):
    monkeypatch.setattr("deepnets.curvature.hessian.free_memory", lambda device: 1000)
    with pytest.raises(Misuse, match="out of memory"):
        deepnets.observe(experiment(), GAMMA, ETA, names="hessian")


def test_full_batch_training_is_measured_on_its_own_batch():
    full = experiment(task=tasks.full_batch(FEW), batch_size=20, steps=2)
    assert request(full).same_batch
    assert torch.equal(request(full).batch[0], full.task.batch(3, 7, 20)[0])
    online = request(experiment())
    assert not online.same_batch
    assert [len(t) for t in online.batch] == [128, 128]
    assert len(request(experiment(batch_size=200)).batch[0]) == 200


def test_what_an_experiment_does_not_have_is_left_out_or_refused(tmp_path):
    adam = experiment(optimizer="adam", steps=1)
    found = deepnets.observe(adam, [1.0], 1e-3, at=(0,), names="all", samples=6, k=2)
    assert "sharpness" not in found
    assert "hessian" in found
    assert request(adam, samples=6).select(None) == ("hessian", "alignment", "weights")
    with pytest.raises(Misuse, match="adam"):
        deepnets.observe(adam, [1.0], 1e-3, names=("hessian", "sharpness", "alignment", "weights"))
    with pytest.raises(Misuse, match="adam"):
        deepnets.observe(adam, [1.0], 1e-3, names=("sharpness",))
    (tmp_path / "text").write_text("it was the best of times, it was the worst of times. " * 40)
    text = tasks.text(tmp_path / "text")
    e = experiment(deepnets.Transformer(text.out_features, int(np.prod(text.in_shape)), 4, blocks=1, heads=2), task=text,
                   loss="cross_entropy", steps=1, batch_size=2)
    assert {"hessian", "rank", "weights"} <= set(request(e, samples=2).select("all"))
    with pytest.raises(Misuse, match="alignment out"):
        request(e, samples=2).select(["alignment"])
    found = deepnets.observe(e, [1.0], 1e-3, at=(0, 1), names=("rank", "weights", "activations"), samples=2)
    assert np.isfinite(found.weights).all()


@pytest.mark.parametrize(("wrong", "match"), [
    ({"gamma": [2.0, 1.0]}, "gamma"), ({"eta": [1.0, 2.0, 3.0]}, "eta"), ({"names": "hessain"}, "observe must be one of"),
    ({"names": ()}, "at least one"), ({"at": (0, 31)}, "at must"), ({"samples": 1}, "samples"), ({"k": 0}, "k must"),
    ({"at": 5}, "at must"), ({"experiment": 3}, "experiment"), ({"samples": torch.ones(3)}, "task must return"),
])
def test_misuse(wrong, match):
    with pytest.raises(Misuse, match=match):
        deepnets.observe(**{"experiment": experiment(), "gamma": [1.0, 2.0], "eta": 0.1, "names": ("weights",)} | wrong)


# ---------------------------------------------------------------- which runs, and which snapshots

def test_the_best_rates_without_a_catapult(tmp_path):
    gamma, eta = np.logspace(-3, 0, 13), np.logspace(-4, 0, 5)
    final = np.tile([0.9, 0.4, 0.2, 0.1, np.inf], (2, 13, 1))
    outcome = np.tile([1, 2, 2, 3, 6], (2, 13, 1))           # the least is catapulted
    outcome[:, 8] = 1                                        # at gamma = 0.1 nothing trains
    final[1, 0, 2] = 0.7                                     # one of two seeds: the median decides
    final[1, 2, 2], outcome[1, 2, 2] = np.nan, -1            # a seed without this run reports nothing about the rate
    portrait = xr.Dataset({n: (("seed", "gamma", "eta"), v) for n, v in (("final_excess", final), ("outcome", outcome))},
                          {"seed": [0, 1], "gamma": gamma, "eta": eta}, {"rho": 0.5})
    found, rates = find_best_rates(portrait)
    np.testing.assert_allclose(np.log10(found), [-3, -2.5, -2, -1.5, -0.5, 0], atol=1e-9)
    np.testing.assert_allclose(rates, [1e-3, *[1e-2] * 5])
    assert len(find_best_rates(portrait, 4)[0]) == 12
    untrained = portrait.assign(outcome=portrait.outcome * 0)
    found, [sentence] = observe_portrait(untrained, experiment(), ObserveOptions("rank"), tmp_path / "o.nc", False)
    assert found is None
    assert "no run of the portrait trains" in sentence


def test_options_of_the_command_line():
    assert usual_steps(1000) == (0, 1, 3, 10, 32, 100, 316, 1000)
    assert usual_steps(300)[-1] == 300
    assert usual_steps(1) == (0, 1)
    assert ObserveOptions("weights", "0,10,T").at(50) == (0, 10, 50)
    assert ObserveOptions(" weights, hessian ").names == ["weights", "hessian"]
    assert order_names(["weights", "hessian", "weights"]) == ("hessian", "weights")
    assert ObserveOptions().names == []
    for wrong in ({"observe": "x"}, {"observe": ","}, {"observe": "rank", "observe_at": "1,x"}, {"observe_at": "3"},
                  {"observe": "rank", "observe_samples": 1}):
        with pytest.raises(Misuse, match="observe"):
            ObserveOptions(**wrong)
    with pytest.raises(Misuse, match="at most T = 50"):
        ObserveOptions("rank", "51").at(50)


# ---------------------------------------------------------------- the file

def test_a_file_is_extended_and_its_observables_are_not_measured_again(tmp_path, monkeypatch):
    path, e, at = tmp_path / "a-observed.nc", experiment(steps=6), {"at": (0, 3, 6), "samples": 24}
    first = load_or_observe(path, request(e, **at), ["weights"], False)
    more = load_or_observe(path, request(e, **at), ["alignment"], False)
    assert more.attrs["names"] == "alignment,weights"
    before = path.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr("deepnets.observation.observe_runs.record", None)
        again = load_or_observe(path, request(e, **at), ["weights", "alignment"], False)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    for name in ("weights", "loss", "catapult_peak"):
        np.testing.assert_array_equal(again[name], first[name])
        assert again[name].attrs == first[name].attrs
    assert again.norm.values.tolist() == ["nuclear", "frobenius", "operator"]
    for other, difference in ((request(experiment(steps=7), **at), "steps"), (request(e, ETA / 2, **at), "observed.eta"),
                              (request(experiment(steps=6, seeds=(1,)), **at), "of_seeds")):
        with pytest.raises(Misuse, match=difference):
            load_or_observe(path, other, ["weights"], False)
    assert path.read_bytes() == before
    halved = load_or_observe(path, request(e, ETA / 2, **at), ["weights"], False, overwrite=True)
    assert halved.eta.values.tolist() == (ETA / 2).tolist()


def test_a_file_with_former_variable_names_is_opened_and_extended(tmp_path):
    path, e, at = tmp_path / "a-observed.nc", experiment(steps=6), {"at": (0, 3, 6), "samples": 24}
    first = load_or_observe(path, request(e, **at), ["weights"], False)
    save_observables(first.rename(zero_output_loss="at_rest"), path)
    opened = open_observables(path, request(e, **at).describe())
    xr.testing.assert_equal(opened.zero_output_loss, first.zero_output_loss)
    more = load_or_observe(path, request(e, **at), ["alignment"], False)
    assert "at_rest" not in more
    np.testing.assert_array_equal(more.zero_output_loss, first.zero_output_loss)
    with xr.open_dataset(path, engine="scipy") as stored:
        assert {"zero_output_loss", "weights", "alignment"} < set(stored) - {"at_rest"} == set(stored)


@pytest.mark.parametrize("content", [b"mine", b"CDF\x01mine"])
def test_a_foreign_file_is_left_as_it_is(tmp_path, content):
    path = tmp_path / "x-observed.nc"
    path.write_bytes(content)
    with pytest.raises(Misuse, match="left as it is"):
        check_request(experiment(), ObserveOptions("weights"), path)
    with pytest.raises(Misuse, match="left as it is"):
        open_observables(path, {}, overwrite=True)
    assert path.read_bytes() == content


def test_any_netcdf_reader_reads_the_file(observed, tmp_path):
    save_observables(observed, tmp_path / "o.nc")
    with xr.open_dataset(tmp_path / "o.nc", engine="scipy") as stored:
        for name in observed.data_vars:
            np.testing.assert_array_equal(stored[name].transpose(*observed[name].dims), observed[name])
        assert stored.layer.values.tolist() == observed.layer.values.tolist()
        assert stored.hessian.attrs == observed.hessian.attrs


# ---------------------------------------------------------------- phenomena, laws, figures

def test_a_catapult_is_detected_and_noise_makes_no_stairs():
    e = experiment(deepnets.MLP(64, 64, 3, 10), task=tasks.full_batch(DIGITS), batch_size=256, steps=60)
    found = deepnets.observe(e, [1e-2, 10.0], [8.9e-3, 100.0], at=(0, 20, 40, 60), names=("alignment",))
    assert found.catapult.values.tolist() == [[1.0, 0.0]]
    assert float(found.catapult_peak[0, 0]) > 20
    assert found.stairs_count.values[0, 1] == 1
    lines = describe_phenomena(found)
    assert lines[0] == "catapults: in 1 of 2 runs, gamma 0.01"
    assert lines[-1] == "silent alignment: in 0 of 2 runs"
    online = detect_phenomena(found.drop_vars(["stairs", "stairs_count"]).assign_attrs(same_batch=0))
    assert "stairs" not in online


def planted(lazy, rich):
    """Curvature and movement that follow power laws."""
    gamma = np.logspace(-5, 3, 17)
    law = np.where(gamma < 1, gamma**lazy, gamma**rich)
    return xr.Dataset({"hessian": (("seed", "step", "run", "eigenvalue"), (law * gamma**2)[None, None, :, None] * [1.0, 0.5]),
                       "weights": (("seed", "step", "run", "parameter", "norm"),
                                   np.where(gamma < 1, gamma, gamma**0.5)[None, None, :, None, None] * np.ones((2, 3)))},
                      {"seed": [0], "step": [9], "gamma": ("run", gamma), "norm": ["nuclear", "frobenius", "operator"],
                       "parameter": ["a", "b"], "eigenvalue": [1, 2]}, {"rho": 0.5})


def test_laws_and_their_fits():
    laws = predict_laws(experiment())
    assert [law[0] for law in laws["hessian"]] == pytest.approx([-2, -2 / 3])
    assert [law[0] for law in laws["weights"]] == pytest.approx([1, 1 / 3])
    adam = predict_laws(experiment(optimizer="adam"))
    assert adam["hessian"] == []
    assert [law[0] for law in adam["weights"]] == pytest.approx([1, 1 / 3])
    vit = predict_laws(experiment(deepnets.ViT((1, 8, 8), 8, 10, blocks=1, heads=2, patch=4), task=DIGITS))
    assert [law[0] for law in vit["hessian"]] == [-2]
    found = fit_laws(planted(-2, -0.9), laws)
    assert [f.exponent for f in found] == pytest.approx([-2, -0.9, 1, 0.5], abs=1e-6)
    assert [f.n for f in found] == [5, 5, 5, 5]
    assert in_theta(planted(-2, -1)).attrs["units"] == "loss per theta^2"


def test_a_figure_of_each_observable(observed):
    from validation.plotting.figures import image

    figures = draw_observables(observed, predict_laws(experiment()))
    assert list(figures) == list(DRAWN)
    for figure, words in figures.values():
        assert words
        assert image(figure, dpi=40).startswith(b"\x89PNG")
    alone = observed.isel(run=[0], other=[0])
    assert image(draw_observables(alone.assign(agreement=alone.agreement * np.nan))["agreement"][0], dpi=40).startswith(b"\x89PNG")
    only = draw_observables(planted(-2, -2 / 3), predict_laws(experiment()))
    assert list(only) == ["hessian", "weights"]
    lines = {line.get_label(): line for line in only["hessian"][0].axes[0].get_lines()}
    x, y = lines["slope -0.667"].get_data()
    assert np.log(y[1] / y[0]) / np.log(x[1] / x[0]) == pytest.approx(-2 / 3)
    assert x.tolist() == pytest.approx([10, 1000])
