"""Tasks: batches are functions of (seed, step); their scales and held-out samples."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from deepnets import tasks
from deepnets.tasks import scikit_digits
from validation import Misuse


@pytest.mark.parametrize("task", [tasks.single_index(6, 3), tasks.digits(), tasks.digits(elastic=True)],
                         ids=["single_index", "digits", "elastic"])
def test_streams_depend_on_seed_and_step_alone(task):
    x, y = task.batch(1, 7, 16)
    torch.manual_seed(123)
    np.random.seed(5)       # noqa: NPY002  what others draw must not matter
    task.batch(2, 3, 8)
    again = task.batch(1, 7, 16)
    assert torch.equal(x, again[0])
    assert torch.equal(y, again[1])
    for other in ((1, 8), (2, 7), (7, 1)):
        assert not torch.equal(x, task.batch(*other, 16)[0])
    assert x.shape == (16, *task.in_shape)
    assert x.dtype == torch.float32


@pytest.mark.parametrize("degree", [1, 2, 3])
def test_single_index(degree):
    task = tasks.single_index(3, degree)
    x, y = task.batch(0, 0, 200_000)
    assert y.shape == (200_000, 1)
    assert float(y.square().mean()) == pytest.approx(1, abs=0.1)
    # y is a function of one direction: that of the mean of y x |w.x| ..., found here from the largest outputs
    ray = x[y[:, 0].abs().argmax()]
    w = ray / ray.norm()
    along = (x @ w).abs()
    corr = np.corrcoef(along**degree, y[:, 0].abs())[0, 1]
    assert corr > 0.9
    assert task.classes is None


def test_digits():
    task = tasks.digits()
    shown = torch.cat([task.batch(0, step, 256)[0] for step in range(60)])
    assert float(shown.square().mean()) == pytest.approx(1, abs=0.02)
    assert float(shown.mean(0).abs().max()) < 0.1
    x, y = task.held_out()
    assert len(x) == len(y) == 297
    assert set(y.tolist()) == set(range(10))
    # no held-out digit is ever shown (two of scikit-learn's digits could be equal; none of these are)
    seen = {tuple(row) for row in shown.tolist()}
    assert len(seen) > 1400
    assert not any(tuple(row) in seen for row in x.tolist())


def test_elastic_digits_are_new_and_alike():
    plain, warped = tasks.digits(), tasks.digits(elastic=True)
    (x, y), (z, label) = plain.batch(0, 0, 400), warped.batch(0, 0, 400)
    assert torch.equal(y, label)
    assert len({tuple(row) for row in z.tolist()}) == 400 > len({tuple(row) for row in x.tolist()})
    shape = torch.nn.functional.cosine_similarity(x, z, dim=1)
    other = torch.nn.functional.cosine_similarity(x, z.roll(1, 0), dim=1)
    assert 0.6 < float(shape.mean()) < 0.98          # another image of the same digit
    assert float(other.mean()) < 0.2
    assert all(map(torch.equal, plain.held_out(), warped.held_out()))
    assert plain.describe() != warped.describe()


def test_digits_are_read_without_an_import_of_scikit_learn_which_is_named_where_it_is_missing():
    code = ("import sys; from deepnets import tasks; from deepnets.tasks import scikit_digits\n"
            "tasks.digits().batch(0, 0, 1); print('sklearn' in sys.modules)\n"
            "scikit_digits._load_and_scale.cache_clear(); sys.modules['sklearn'] = None\n"
            "try: tasks.digits().batch(0, 0, 1)\nexcept ValueError as e: print(e)")
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert output.startswith("False\n")
    assert "pip install 'lazyrich[deep]'" in output


@pytest.mark.parametrize("stored", [True, False])
def test_digits_are_scikit_learns(stored, monkeypatch):
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    if not stored:          # a version that stores them otherwise
        monkeypatch.setattr("deepnets.tasks.scikit_digits.Path.is_file", lambda path: False)
    read = scikit_digits._read_digits()
    assert (np.array_equal(x, read[0]), np.array_equal(y, read[1])) == (True, True)
    assert [part.dtype for part in read] == [x.dtype, y.dtype]


@pytest.mark.parametrize("arguments", [(0, 1), (3, 0), (2.5, 1)])
def test_misuse(arguments):
    with pytest.raises(Misuse, match=r"dim|degree"):
        tasks.single_index(*arguments)


def test_an_object_that_is_not_a_task_is_refused():
    with pytest.raises(Misuse, match="held_out"):
        tasks.as_task([1, 2])
