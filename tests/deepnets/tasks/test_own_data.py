"""The user's own data: batches and held-out samples are those of the loaders; invalid data are refused."""

import pickle

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from deepnets.tasks import as_task, from_loader
from validation import Misuse

X, Y = torch.arange(30.0).reshape(10, 3), torch.arange(10) % 4


def loader(x=X, y=Y, size=4):
    return DataLoader(TensorDataset(x, y), size)


def test_each_epoch_uses_every_sample_once():
    task = as_task(from_loader(loader(), loader(X[:2] + 100, Y[:2])))
    assert (task.in_shape, task.out_features, task.classes) == ((3,), 4, 4)
    x, y = (torch.cat(parts) for parts in zip(*(task.batch(7, step, 5) for step in range(2)), strict=True))
    order = x[:, 0].argsort()
    assert torch.equal(x[order], X)
    assert torch.equal(y[order], Y)
    assert not torch.equal(x, X)
    assert torch.equal(task.batch(7, 3, 5)[0], task.batch(7, 3, 5)[0])
    assert not torch.equal(task.batch(7, 0, 10)[0], task.batch(8, 0, 10)[0])
    assert torch.equal(task.held_out()[0], X[:2] + 100)


def test_the_data_are_described_by_their_content():
    task, same = (from_loader(loader(size=s), loader()) for s in (3, 10))
    assert task == same == pickle.loads(pickle.dumps(task))
    assert task.describe() == same.describe()
    assert task.describe()["samples"] == 10
    assert from_loader(loader(X + 1), loader()).describe() != task.describe()
    assert from_loader(loader(), loader(X + 1)) != task


def test_numbers_as_targets_and_more_classes_than_are_seen():
    numbers = from_loader(loader(y=Y.double() / 2), loader(y=Y.double()))
    assert (numbers.out_features, numbers.classes) == (1, None)
    assert numbers.batch(0, 0, 4)[1].shape == (4, 1)
    assert from_loader(loader(), loader(), classes=6).out_features == 6
    tokens = from_loader(loader(X.long(), X.long()), loader(X.long(), X.long()))
    assert tokens.batch(0, 0, 2)[0].dtype == torch.int64
    assert tokens.classes == 30


@pytest.mark.parametrize("dtype", [torch.int64, torch.bool, torch.uint8])
def test_one_hot_rows_are_class_indices(dtype):
    rows = torch.nn.functional.one_hot(Y, 5).to(dtype)
    assert from_loader(loader(y=rows), loader(y=rows)) == from_loader(loader(), loader(), classes=5)
    with pytest.raises(Misuse, match="classes"):
        from_loader(loader(y=rows.float()), loader(y=rows.float()), classes=4)


def test_floating_rows_are_probabilities_where_there_are_classes():
    rows = torch.nn.functional.one_hot(Y, 5) * 0.5 + 0.1
    task = from_loader(loader(y=rows), loader(y=rows), classes=5)
    assert (task.out_features, task.classes) == (5, 5)
    assert torch.equal(task.held_out()[1], rows)
    assert from_loader(loader(y=rows), loader(y=rows)).classes is None
    with pytest.raises(Misuse, match="probabilities"):
        from_loader(loader(y=2 * rows), loader(y=2 * rows), classes=5)


@pytest.mark.parametrize(("words", "named"), [
    ((loader(y=Y / 0.0), loader(y=Y / 1.0)), "finite targets"),
    (((), loader()), "shown must give at least one batch"), ((loader(), 3), "held_out must give pairs"), (([X], loader()), "pairs"),
    ((loader(), loader(X[:, :2])), "held_out"), ((loader(X / 0), loader()), "finite"), ((loader(), loader(), 3), "between 0 and 2, not 3"),
    ((loader(y=Y - 1), loader()), "-1"), ((loader(y=Y * 1.0), loader(y=Y * 1.0), 4), "classes"), (([(X, Y[:3])], loader()), "as many"),
])
def test_misuse(words, named):
    with pytest.raises(Misuse, match=named):
        from_loader(*words)
