"""Tasks of images: the order of samples, scaling, descriptions, caches, augmentation."""

import json
import pickle

import pytest
import torch

from deepnets import tasks
from deepnets.tasks import image_task
from deepnets.tasks.image_task import crop_and_flip
from deepnets.tasks.task import generator
from tests.deepnets import datasets_on_disk as disk
from validation import Misuse

DATASETS = {
    "fashion_mnist": lambda at, patch: (disk.fashion_folder(at, patch), tasks.fashion_mnist(at)),
    "mnist": lambda at, patch: (disk.idx_folder(at, zipped=False), tasks.mnist(at)),
    "cifar10": lambda at, patch: (disk.small_cifar_folder(at, patch), tasks.cifar10(at)),
    "cifar5m": lambda at, patch: (disk.cifar5m_folder(at, [50, 70, 60]), tasks.cifar5m(at)),
    "cifar5m_compressed": lambda at, patch: (disk.cifar5m_folder(at, [50, 70, 60], compressed=True), tasks.cifar5m(at)),
    "mnist_1m": lambda at, patch: (disk.mnist1m_folder(at, [50, 70, 60]), tasks.mnist_1m(at)),
}


@pytest.fixture(params=DATASETS)
def dataset(request, tmp_path, monkeypatch):
    """The pixels (n, C, H, W) and labels of a tiny data set, and its task."""
    (x, y), task = DATASETS[request.param](tmp_path / "d", monkeypatch)
    x = x if x.ndim == 4 and x.shape[1] == 3 else x.transpose(0, 3, 1, 2) if x.ndim == 4 else x[:, None]
    return x, y, task


def test_each_epoch_uses_every_training_image_once(dataset):
    x, y, task = dataset
    held, held_labels = task.held_out()
    n = len(x) - len(held)
    assert len(held) == len(held_labels) >= 12
    label_of = {image.tobytes(): label for image, label in zip(x, y, strict=True)}
    size = 7
    batches = [task.batch(3, step, size) for step in range(-(-2 * n // size))]
    shown = disk.bytes_of(task, torch.cat([b[0] for b in batches]))[:2 * n]
    labels = torch.cat([b[1] for b in batches])[:2 * n]
    assert shown.shape[1:] == task.in_shape == x.shape[1:]
    keys = [image.tobytes() for image in shown]
    assert set(keys[:n]) == set(keys[n:])
    assert len(set(keys[:n])) == n
    assert keys[:n] != keys[n:]
    assert [label_of[k] for k in keys] == labels.tolist()
    unseen = [image.tobytes() for image in disk.bytes_of(task, held)]
    assert [label_of[k] for k in unseen] == held_labels.tolist()
    assert not set(unseen) & set(keys)
    assert set(unseen) | set(keys) == set(label_of)


def test_a_batch_is_a_function_of_seed_and_step(dataset):
    _, _, task = dataset
    x, y = task.batch(1, 5, 16)
    task.batch(2, 9, 30), task.held_out()
    image_task.load_source.cache_clear()
    again = task.batch(1, 5, 16)
    assert torch.equal(x, again[0])
    assert torch.equal(y, again[1])
    assert x.dtype == torch.float32
    assert y.dtype == torch.int64
    for other in ((2, 5), (1, 6)):
        assert not torch.equal(x, task.batch(*other, 16)[0])
    assert torch.equal(torch.cat([task.batch(1, s, 16)[0] for s in (10, 11)]), task.batch(1, 5, 32)[0])


def test_centred_and_of_unit_mean_square(dataset):
    _, _, task = dataset
    lengths = image_task.load_source(task.read, task.path)[0].lengths
    x, _ = task.batch(0, 0, sum(lengths))
    if len(lengths) == 1:
        assert float(x.square().mean()) == pytest.approx(1, abs=1e-4)
        assert float(x.mean(0).abs().max()) < 1e-4
    else:       # the scale is the first shard's: relative to a variance of n samples, that of others is (n + 1)/(n - 1) of it
        assert float(x.square().mean()) == pytest.approx(1 + 2 / lengths[0], abs=0.03)
        assert float(x.mean().abs()) < 0.02


def test_described_by_content_and_small_when_pickled(dataset, tmp_path):
    _, _, task = dataset
    assert json.loads(json.dumps(task.describe())) == task.describe()
    assert str(tmp_path) not in json.dumps(task.describe())
    sent = pickle.dumps(task)
    assert len(sent) < 2000
    back = pickle.loads(sent)
    assert back == task
    assert hash(back) == hash(task)
    assert torch.equal(back.batch(0, 3, 8)[0], task.batch(0, 3, 8)[0])


def test_the_same_data_elsewhere_are_the_same_task(tmp_path, monkeypatch):
    disk.fashion_folder(tmp_path / "a", monkeypatch)
    disk.fashion_folder(tmp_path / "b", monkeypatch, zipped=False)
    a, b = (tasks.fashion_mnist(tmp_path / place) for place in "ab")
    assert a == b
    assert a.describe() == b.describe()
    assert tasks.mnist(tmp_path / "a") != a
    disk.idx_folder(tmp_path / "c", seed=1)
    assert tasks.mnist(tmp_path / "c") != tasks.mnist(tmp_path / "a")


def test_data_that_have_changed_are_refused(tmp_path):
    disk.idx_folder(tmp_path / "a")
    task = tasks.mnist(tmp_path / "a")
    disk.idx_folder(tmp_path / "a", seed=1)
    task.batch(0, 0, 4)                        # cached by this process
    image_task.load_source.cache_clear()
    with pytest.raises(Misuse, match="has changed since this task was made"):
        task.batch(0, 0, 4)


def test_at_most_2048_are_held_out(tmp_path):
    disk.idx_folder(tmp_path, shown=50, held=2100)
    assert len(tasks.mnist(tmp_path).held_out()[0]) == 2048


def test_augmentation_shifts_and_mirrors(tmp_path):
    x = torch.arange(1, 1 + 200 * 3 * 8 * 8, dtype=torch.float32).reshape(200, 3, 8, 8)
    moved = crop_and_flip(x, generator(1))
    assert torch.equal(moved, crop_and_flip(x, generator(1)))
    found = set()
    padded = torch.nn.functional.pad(x, (4, 4, 4, 4))
    for i in range(200):
        ways = [(d, r, m) for d in range(9) for r in range(9) for m in (False, True)
                if torch.equal(moved[i], (lambda crop, m: crop.flip(2) if m else crop)(padded[i, :, d:d + 8, r:r + 8], m))]
        assert len(ways) == 1
        found.add(ways[0])
    assert {d for d, _, _ in found} == {r for _, r, _ in found} == set(range(9))
    assert {m for _, _, m in found} == {False, True}


def test_augment(tmp_path, monkeypatch):
    disk.small_cifar_folder(tmp_path, monkeypatch)
    plain, moved = tasks.cifar10(tmp_path), tasks.cifar10(tmp_path, augment=True)
    assert plain != moved
    assert plain.describe() != moved.describe()
    (x, y), (z, label) = plain.batch(0, 0, 30), moved.batch(0, 0, 30)
    assert torch.equal(y, label)
    assert not torch.equal(x, z)
    assert torch.equal(z, moved.batch(0, 0, 30)[0])
    assert torch.equal(plain.held_out()[0], moved.held_out()[0])
    with pytest.raises(Misuse, match="augment must be True or False"):
        tasks.cifar10(tmp_path, augment=1)
