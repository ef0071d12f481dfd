"""A failed run is isolated: it has an outcome and a traceback, and no other run is lost; errors that are no run's fault are raised."""

import json

import numpy as np
import pytest
import torch

from deepnets import MLP, DeepExperiment, experiment, tasks
from deepnets.failed_runs import BrokenDevice, Failure, isolate_failures
from validation import Misuse, Outcome, Plane, conform, locate, sweep

DEEP = DeepExperiment(MLP(64, 8, 2, 10), tasks.digits(), steps=40, batch_size=8, device="cpu", precision="float64", curves=3)
GAMMA, ETA = np.array([1e-3, 1e-2]), np.geomspace(1e-7, 1e-3, 9)


def test_runs_that_fail_together_are_trained_one_by_one():
    calls = []

    def train(which):
        calls.append(which.tolist())
        if 2 in which:
            raise ZeroDivisionError("two")
        return which * 10

    found = list(isolate_failures(train, np.arange(4)))
    assert calls == [[0, 1, 2, 3], [0], [1], [2], [3]]
    assert [(w.tolist(), r.tolist()) for w, r in found if not isinstance(r, Failure)] == [([0], [0]), ([1], [10]), ([3], [30])]
    ((which, failure),) = [(w, r) for w, r in found if isinstance(r, Failure)]
    assert which.tolist() == [2]
    assert failure.traceback.strip().endswith("ZeroDivisionError: two")
    assert "in train" in failure.traceback


@pytest.mark.parametrize("error", [Misuse, KeyboardInterrupt, MemoryError, torch.OutOfMemoryError])
def test_what_is_no_fault_of_a_run_is_raised(error):
    def train(which):
        raise error("no")

    with pytest.raises(error):
        list(isolate_failures(train, np.arange(3)))


@pytest.mark.parametrize("text", ["CUDA error: an illegal memory access was encountered", "CUDA error: device-side assert triggered",
                                  "CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasSgemm`"])
def test_an_error_of_the_accelerator_is_no_failed_run(text):
    calls = []

    def train(which):
        calls.append(which)
        raise RuntimeError(text)

    with pytest.raises(BrokenDevice, match="this process must end"):
        list(isolate_failures(train, np.arange(3)))
    assert len(calls) == 1
    assert not issubclass(BrokenDevice, Exception)      # whoever records exceptions does not record this one


@pytest.mark.parametrize("text", ["CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
                                  "cuDNN error: CUDNN_STATUS_ALLOC_FAILED", "CUDA error: out of memory"])
def test_an_allocation_that_fails_in_a_library_is_a_lack_of_memory(text):
    def train(which):
        raise RuntimeError(text)

    with pytest.raises(torch.OutOfMemoryError):
        list(isolate_failures(train, np.arange(3)))


@pytest.fixture
def cursed(monkeypatch):
    """Make every training raise that has a run at gamma = 1e-2 and a rate in a certain range."""
    whole = experiment.train

    def train(module, stack, recipe, gamma, eta, seed):
        if ((gamma == 1e-2) & (eta > 2e-6) & (eta < 5e-5)).any():
            raise RuntimeError("cursed")
        return whole(module, stack, recipe, gamma, eta, seed)

    monkeypatch.setattr(experiment, "train", train)


@pytest.mark.usefixtures("cursed")
def test_a_portrait_with_failed_runs(monkeypatch):
    with pytest.warns(UserWarning, match="3 of 18 runs failed, the first with RuntimeError: cursed"):
        portrait = conform(DEEP.measure(GAMMA, ETA))
    monkeypatch.undo()
    whole = DEEP.measure(GAMMA, ETA)
    failed = (portrait["outcome"] == Outcome.FAILED).values
    assert failed.sum() == 3
    assert failed[0, 1, 3:6].all()
    for name in ("final_excess", "tail_excess", "peak_excess", "final_accuracy"):
        assert np.isnan(portrait[name].values[failed]).all()
        assert portrait[name].values[~failed] == pytest.approx(whole[name].values[~failed], rel=1e-9, nan_ok=True)
    assert np.isnan(portrait["train_loss"].values[0, :, 1, 3:6]).all()
    failures = json.loads(portrait.attrs["failures"])
    assert [(t["seed"], t["gamma"], t["eta"]) for t in failures] == [(0, 1e-2, e) for e in ETA[3:6]]
    assert all(t["traceback"].strip().endswith("RuntimeError: cursed") for t in failures)
    assert "failures" not in whole.attrs
    # its edges are read as if the failed runs were not part of the plane
    without = locate(whole.isel(gamma=[1], eta=[0, 1, 2, 6, 7, 8]))["eta"]
    np.testing.assert_array_equal(locate(portrait)["eta"].isel(gamma=[1]), without)


@pytest.mark.usefixtures("cursed")
@pytest.mark.filterwarnings("ignore:.*runs failed")
def test_a_sweep_keeps_the_tracebacks_of_all_its_tiles(monkeypatch):
    monkeypatch.setattr(DeepExperiment, "tile", (2, 4))
    portrait = sweep(DEEP, Plane(GAMMA, ETA))
    assert sorted(t["eta"] for t in json.loads(portrait.attrs["failures"])) == ETA[3:6].tolist()
