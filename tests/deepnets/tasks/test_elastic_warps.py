"""Warps of images: exact on ramps, where the warped value is the displacement, and smooth."""

import numpy as np
import pytest
import torch

from deepnets import tasks
from deepnets.tasks.elastic_warps import warp_images
from deepnets.tasks.task import generator
from tests.deepnets import datasets_on_disk as disk
from validation import Misuse

SIDE = 33


def displacements(displacement, points, n=400):
    """The displacements of n warps in pixels, (n, 2, SIDE, SIDE), rows first, read from ramps along each axis."""
    ramp = torch.arange(SIDE, dtype=torch.float32).expand(n, 1, SIDE, SIDE)
    along = [warp_images(x, generator(5), displacement, points) - x for x in (ramp.mT, ramp)]
    return torch.cat(along, 1).numpy()


def test_a_lattice_point_moves_by_the_drawn_displacement():
    moved = displacements(0.7, 5)
    drawn = generator(5).normal(0.0, 0.7, (400, 2, 5, 5)).astype(np.float32)
    inner = np.ix_(range(400), range(2), [8, 16, 24], [8, 16, 24])             # lattice points beside the border
    assert moved[inner][:, 1] == pytest.approx(drawn[:, 0, 1:4, 1:4], abs=1e-4)      # along the columns first, as grid_sample has it
    assert moved[inner][:, 0] == pytest.approx(drawn[:, 1, 1:4, 1:4], abs=1e-4)
    assert moved[inner].std() == pytest.approx(0.7, rel=0.02)


def test_a_warp_is_smooth_between_the_points_of_its_lattice():
    moved = displacements(0.7, 5)[..., 8:25, 8:25]
    assert 0.05 < np.abs(np.diff(moved, axis=-1)).std() < 0.2                   # 0.7 sqrt(2) over eight pixels is 0.12


def test_no_displacement_is_no_warp():
    x = torch.rand(3, 2, 28, 28)
    assert torch.allclose(warp_images(x, generator(0), 0.0), x, atol=1e-5)


@pytest.fixture
def folder(tmp_path):
    """MNIST's four files with bright squares in place of digits."""
    x = np.zeros((80, 28, 28), np.uint8)
    for i in range(80):
        x[i, 4 + i // 10:12 + i // 10, 4 + i % 10:12 + i % 10] = 200 + i % 7
    y = np.arange(80) % 10
    for name, array in zip(disk.IDX_NAMES, (x[:60], y[:60], x[60:], y[60:]), strict=True):
        (tmp_path / name).write_bytes(disk.idx(array))
    return tmp_path


def test_elastic_images_are_new_and_alike(folder):
    plain, warped = tasks.mnist(folder), tasks.mnist(folder, elastic=True)
    (x, y), (z, label) = plain.batch(0, 3, 120), warped.batch(0, 3, 120)
    assert torch.equal(y, label)
    assert len({tuple(row) for row in z.flatten(1).tolist()}) == 120 > len({tuple(row) for row in x.flatten(1).tolist()})
    shape = torch.nn.functional.cosine_similarity(x.flatten(1), z.flatten(1))
    other = torch.nn.functional.cosine_similarity(x.flatten(1), z.roll(1, 0).flatten(1))
    assert 0.7 < float(shape.mean()) < 0.98
    assert float(other.mean()) < 0.5
    assert torch.equal(z, warped.batch(0, 3, 120)[0])
    assert not torch.equal(z, warped.batch(1, 3, 120)[0])
    assert all(map(torch.equal, plain.held_out(), warped.held_out()))


def test_a_description_says_whether_images_are_warped(folder):
    plain, warped = tasks.mnist(folder), tasks.mnist(folder, elastic=True)
    assert "elastic" not in plain.describe()                                   # the digests of stored portraits stay
    assert warped.describe() == plain.describe() | {"elastic": True}
    assert plain != warped
    with pytest.raises(Misuse, match="elastic must be True or False, not 'yes'"):
        tasks.mnist(folder, elastic="yes")
