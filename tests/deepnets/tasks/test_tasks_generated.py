"""Tasks without files: scales from closed forms, teachers, whitened inputs, full batches, crops of photographs."""

import itertools
import json
import pickle
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from deepnets import tasks
from deepnets.tasks import photograph_crops
from deepnets.tasks.task import generator
from deepnets.tasks.teachers import _apply, _draw_weights
from validation import Misuse

EVERY = {
    "single_index": lambda: tasks.single_index(6, 2), "multi_index": lambda: tasks.multi_index(6),
    "teacher": lambda: tasks.teacher(5, 4, 3, 2),
    "linear": lambda: tasks.linear(dim=6), "white": lambda: tasks.linear((2.0, 1.0), 5, 3, samples=20),
    "full_batch": lambda: tasks.full_batch(tasks.digits(), 3), "raw": lambda: tasks.digits(raw=True),
}


@pytest.mark.parametrize("name", EVERY)
def test_every_task_has_the_interface_of_a_task(name):
    task = EVERY[name]()
    assert tasks.as_task(task) is task
    x, y = task.batch(2, 3, 12)
    assert x.shape == (12, *task.in_shape)
    assert x.dtype == torch.float32
    assert y.shape == (12, task.out_features) if task.classes is None else (y.shape == (12,) and int(y.max()) < task.classes)
    again = task.batch(2, 3, 12)
    assert torch.equal(x, again[0])
    assert torch.equal(y, again[1])
    changes = name != "full_batch"
    assert all(torch.equal(x, task.batch(*other, 12)[0]) is not changes for other in ((2, 4), (3, 3)))
    held, targets = task.held_out()
    assert len(held) == len(targets) >= 200
    assert not {tuple(row) for row in x.tolist()} & {tuple(row) for row in held.tolist()}
    assert json.loads(json.dumps(task.describe())) == task.describe()
    back = pickle.loads(pickle.dumps(task))
    assert back == task == EVERY[name]()
    assert hash(back) == hash(task)
    assert len(pickle.dumps(task)) < 1000
    assert all(other == name or task.describe() != EVERY[other]().describe() for other in EVERY)


powers = st.lists(st.integers(0, 3), min_size=2, max_size=2)


@settings(max_examples=25)
@given(st.lists(powers, min_size=1, max_size=3).filter(lambda rows: any(map(any, rows))))
def test_multi_index_has_unit_mean_square(terms):
    task = tasks.multi_index(4, terms)
    nodes, weights = np.polynomial.hermite_e.hermegauss(12)          # exact for polynomials of degree 23
    weights = weights / weights.sum()
    exact = sum(a * b * sum(p**i * q**j for i, j in terms)**2
                for (p, a), (q, b) in itertools.product(zip(nodes, weights, strict=True), repeat=2))
    assert task.mean_square() == pytest.approx(exact, rel=1e-9)
    x, y = (t.double().numpy() for t in task.batch(0, 0, 500))
    w = np.linalg.qr(generator(4, 0).standard_normal((4, 2)))[0]
    z = x @ w
    assert np.allclose(y[:, 0] * np.sqrt(task.mean_square()), sum(z[:, 0]**i * z[:, 1]**j for i, j in terms), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("width", "depth", "out"), [(8, 3, 1), (16, 2, 3)])
def test_teacher(width, depth, out):
    task = tasks.teacher(7, width, depth, out)
    x, y = task.batch(0, 0, 50_000)
    assert float(y.square().mean()) == pytest.approx(1, abs=0.05)
    # no bias: homogeneous of degree 1, and not linear
    few = x[:200].double().numpy()
    f = _apply(_draw_weights(task), few)
    assert np.allclose(_apply(_draw_weights(task), 3.5 * few), 3.5 * f)
    assert np.allclose(f, y[:200], atol=1e-5)
    assert np.abs(_apply(_draw_weights(task), -few) + f).max() > 0.1


def test_linear():
    task = tasks.linear((1.0, 0.4, 0.16), dim=6, out_features=4)
    A = task.matrix()
    assert np.linalg.svd(A, compute_uv=False)[:4] == pytest.approx([1, 0.4, 0.16, 0], abs=1e-12)
    x, y = task.batch(1, 2, 50)
    found = np.linalg.lstsq(x.double().numpy(), y.double().numpy(), rcond=None)[0].T
    assert found == pytest.approx(A, abs=1e-6)


def test_white_full_batches():
    task = tasks.linear(dim=5, samples=32)
    x, y = task.batch(4, 9, 32)
    assert torch.allclose(x.T @ x / 32, torch.eye(5), atol=1e-6)
    again = task.batch(8, 1, 32)[0]
    assert sorted(map(tuple, again.tolist())) == sorted(map(tuple, x.tolist()))
    assert float(y.square().mean()) == pytest.approx((1 + 0.4**2 + 0.16**2 + 0.064**2) / 4, rel=1e-5)
    halves = [task.batch(4, step, 16)[0] for step in (0, 1)]
    assert sorted(map(tuple, torch.cat(halves).tolist())) == sorted(map(tuple, x.tolist()))


def test_full_batch_is_the_tasks_own_first():
    inner = tasks.digits()
    task = tasks.full_batch(inner, sample=5)
    for seed, step in ((0, 0), (3, 100)):
        assert all(map(torch.equal, task.batch(seed, step, 64), inner.batch(5, 0, 64)))
    assert (task.in_shape, task.out_features, task.classes) == ((64,), 10, 10)


def test_raw_digits_keep_their_mean():
    raw, centred = tasks.digits(raw=True), tasks.digits()
    x, y = raw.batch(0, 0, 1000)
    z, label = centred.batch(0, 0, 1000)
    assert torch.equal(y, label)
    assert float(x.min()) == 0
    assert float(x.square().mean()) == pytest.approx(1, abs=0.02)
    slope = ((x - x.mean(0)) * (z - z.mean(0))).sum() / (z - z.mean(0)).square().sum()
    assert torch.allclose(x - x.mean(0), slope * (z - z.mean(0)), atol=1e-5)       # equal up to one factor and the mean


@pytest.mark.parametrize(("make", "message"), [
    (lambda: tasks.digits(raw=1), "raw must be True or False"),
    (lambda: tasks.multi_index(2), "from 1 to dim=2"), (lambda: tasks.multi_index(3, ()), "terms must be"),
    (lambda: tasks.multi_index(3, ((1, 0), (1,))), "of one length"), (lambda: tasks.multi_index(3, ((0, 0),)), "a power above 0"),
    (lambda: tasks.multi_index(3, ((1, -1),)), "terms must be a whole number"), (lambda: tasks.multi_index(3, "12"), "terms must be"),
    (lambda: tasks.multi_index(3, 2), "terms must be"),
    (lambda: tasks.teacher(3, depth=1), "depth must be .* at least 2"), (lambda: tasks.teacher(0), "dim must be"),
    (lambda: tasks.linear((1.0, -1.0)), "singular_values must be finite and above zero"), (lambda: tasks.linear(()), "singular_values"),
    (lambda: tasks.linear((1.0, 0.5), dim=1), "dim must be a whole number of at least 2"),
    (lambda: tasks.linear(dim=8, samples=7), "samples must be a whole number of at least 8"),
    (lambda: tasks.linear(1.0), "singular_values"), (lambda: tasks.full_batch(3), "task must have"),
    (lambda: tasks.full_batch(tasks.digits(), -1), "sample must be"),
])
def test_misuse(make, message):
    with pytest.raises(Misuse, match=message):
        make()


def test_held_out_crops_are_from_a_separate_strip():
    rows, columns = np.meshgrid(np.arange(60), np.arange(250), indexing="ij")
    pictures = (np.stack([rows, columns, np.full((60, 250), 1)], 2).astype(np.uint8),
                np.stack([rows, columns, np.full((60, 250), 2)], 2)[:50, :200].astype(np.uint8))
    for held_out, low, high in ((False, (0, 0), (199, 159)), (True, (200, 160), (249, 199))):
        x, y = photograph_crops.draw_crops(pictures, generator(1), 4000, held_out)
        assert x.shape == (4000, 3, 32, 32)
        assert ((x[:, 2] == 1 + y[:, None, None]).all())
        assert (np.diff(x[:, 1].astype(int), axis=2) == 1).all()         # neighbouring pixels of the picture
        assert (np.diff(x[:, 0].astype(int), axis=1) == 1).all()
        for label in (0, 1):
            of = x[y == label]
            assert (of[:, 1].min(), of[:, 1].max()) == (low[label], high[label])      # the ends are reached, but not passed
            assert (of[:, 0].min(), of[:, 0].max()) == (0, (59, 49)[label])
        assert 0.45 < y.mean() < 0.55


def test_photographs_without_scikit_image(monkeypatch):
    photograph_crops._read.cache_clear(), photograph_crops._content.cache_clear()
    monkeypatch.setitem(sys.modules, "skimage", None)
    monkeypatch.setitem(sys.modules, "skimage.data", None)
    with pytest.raises(Misuse, match=r"needs scikit-image.*pip install scikit-image"):
        tasks.photographs()


def test_photographs():
    pytest.importorskip("skimage")
    task = tasks.photographs()
    x, y = task.batch(0, 0, 500)
    assert x.shape == (500, 3, 32, 32)
    assert y.unique().tolist() == list(range(10))
    assert float(x.square().mean()) == pytest.approx(1, abs=0.1)
    assert len(task.held_out()[1]) == 1024
    assert len(pickle.dumps(task)) < 1000
    assert pickle.loads(pickle.dumps(task)) == task
    moved = tasks.photographs(augment=True)
    assert moved.describe() != task.describe()
    assert torch.equal(moved.batch(0, 0, 500)[1], y)
    assert not torch.equal(moved.batch(0, 0, 500)[0], x)
    # a linear classifier on the crops' mean colour does better than chance, and not perfectly
    colour, label = x.mean((2, 3)), y
    centre = torch.stack([colour[label == k].mean(0) for k in range(10)])
    held, held_labels = task.held_out()
    share = (torch.cdist(held.mean((2, 3)), centre).argmin(1) == held_labels).double().mean()
    assert 0.2 < float(share) < 0.95
