"""The diffusion model of MNIST-1M: noise against closed forms, training, and the images drawn."""

import hashlib
import math

import numpy as np
import pytest
import torch

from deepnets.diffusion import (
    Denoiser,
    Drawing,
    Training,
    TrainingImages,
    add_noise,
    draw_images,
    from_digits,
    from_idx,
    remove_noise,
    train,
    training_images,
)
from deepnets.diffusion.noise import guide
from deepnets.diffusion.training_images import as_bytes, as_numbers
from deepnets.tasks import mnist
from deepnets.tasks.mnist_files import FASHION_SHA256
from tests.deepnets.datasets_on_disk import idx_folder
from validation import Misuse

MEAN, SPREAD = 0.7, 0.4


def gaussian(z, phi):
    """v for pixels N(MEAN, SPREAD**2): E[x|z] and E[e|z] of two normal variables with a known sum."""
    c, s = math.cos(phi), math.sin(phi)
    off = (z - c * MEAN) / ((c * SPREAD) ** 2 + s**2)
    x, e = MEAN + c * SPREAD**2 * off, s * off
    return c * e - s * x


def constant(value, n=4, side=8):
    return np.full((n, side, side), value, np.uint8)


def test_an_exact_denoiser_turns_noise_into_its_data():
    noise = torch.from_numpy(np.random.default_rng(3).standard_normal((400, 1, 8, 8)))
    drawn = remove_noise(gaussian, noise, 400)
    assert drawn.mean().item() == pytest.approx(MEAN, abs=0.01)
    assert drawn.std().item() == pytest.approx(SPREAD, rel=0.01)


def test_the_error_of_the_sampler_is_of_first_order():
    """The flow takes the noise e to MEAN + SPREAD e."""
    noise = torch.linspace(-3, 3, 61, dtype=torch.float64)[:, None]
    steps = np.array([20, 40, 80, 160])
    errors = [(remove_noise(gaussian, noise, int(n)) - (MEAN + SPREAD * noise)).abs().max().item() for n in steps]
    assert np.polyfit(np.log(steps), np.log(errors), 1)[0] == pytest.approx(-1, abs=0.1)


def test_image_and_noise_are_recovered_from_z_and_v():
    x, e = torch.randn(2, 5, 1, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    phi = torch.linspace(0, math.pi / 2, 5, dtype=torch.float64)
    z, v = add_noise(x, e, phi)
    c, s = phi.cos().reshape(-1, 1, 1, 1), phi.sin().reshape(-1, 1, 1, 1)
    torch.testing.assert_close(c * z - s * v, x)
    torch.testing.assert_close(s * z + c * v, e)
    torch.testing.assert_close(z[0], x[0])
    torch.testing.assert_close(z[-1], e[-1])


def test_bounds_clip_and_guidance_extrapolates():
    noise = torch.randn(50, 1, 4, 4, generator=torch.Generator().manual_seed(2))
    assert remove_noise(gaussian, noise, 5, (-0.2, 0.9)).aminmax() == pytest.approx((-0.2, 0.9))

    def by_class(z, phi, y):
        return y.reshape(-1, 1, 1, 1) * torch.ones_like(z)

    velocity = guide(by_class, torch.tensor([2, 3]), 10, 0.5)
    assert velocity(torch.zeros(2, 1, 4, 4), 0.3)[:, 0, 0, 0].tolist() == [1.5 * 2 - 0.5 * 10, 1.5 * 3 - 0.5 * 10]


def test_the_denoiser_is_zero_at_initialization_and_memorises_a_few_images():
    """Four classes with one image each: the class determines the image."""
    rng = np.random.default_rng(5)
    four = TrainingImages("four", "0", rng.integers(0, 2, (4, 4, 4)).astype(np.uint8) * 255, np.arange(4))
    few = Training(steps=200, batch_size=16, width=16, rate=5e-3)
    z, phi = torch.randn(3, 1, 4, 4), torch.rand(3)
    assert not few.build_denoiser(4)(z, phi, torch.tensor([0, 1, 10])).any()
    drawn = draw_images(train(four, few), np.array([0, 1, 2, 3, 3]), Drawing(steps=10), side=4)
    assert ((drawn > 127) == (four.x[[0, 1, 2, 3, 3]] > 127)).mean() > 0.98


@pytest.fixture(scope="module")
def learnt():
    return train(from_digits(), Training(steps=200, batch_size=32, width=16, rate=3e-3))


def test_drawn_digits_have_the_requested_labels(learnt):
    from sklearn.svm import SVC

    real, labels = from_digits(), np.repeat(np.arange(10), 20)
    judge = SVC(C=10, gamma=0.05).fit(real.x.reshape(-1, 64) / 255, real.y)
    drawn = draw_images(learnt, labels, Drawing(steps=12), side=8)
    right = judge.predict(drawn.reshape(-1, 64) / 255) == labels
    assert right.mean() > 0.85
    assert len(np.unique(drawn.reshape(200, -1), axis=0)) == 200
    again = draw_images(learnt, np.roll(labels, 20), Drawing(steps=12), side=8)
    assert (judge.predict(again.reshape(-1, 64) / 255) == np.roll(labels, 20)).mean() > 0.85


def test_images_do_not_depend_on_the_number_drawn_at_once(learnt):
    labels = np.arange(12) % 10
    one, other = (draw_images(learnt, labels, Drawing(steps=5, at_once=n), side=28) for n in (12, 5))
    assert one.shape == (12, 28, 28)
    assert np.abs(one.astype(int) - other).max() <= 1


def test_bytes_to_numbers_and_back():
    x = np.random.default_rng(0).integers(0, 256, (7, 8, 8), dtype=np.uint8)
    numbers = as_numbers(x)
    assert -1 <= numbers.min() < numbers.max() <= 1
    assert (as_bytes(numbers, 8) == x).all()
    assert (as_bytes(as_numbers(constant(77)), 28) == 77).all()
    assert (as_bytes(torch.tensor([[[[-1.5, 1.5]]]]).expand(1, 1, 2, 2), 2)[0] == [[0, 255]] * 2).all()


def test_training_images_are_those_of_the_files(tmp_path):
    x, y = idx_folder(tmp_path / "mnist", shown=50, held=20)
    found = from_idx(tmp_path / "mnist")
    assert (found.x == x[:50]).all()
    assert (found.y == y[:50]).all()
    assert found.describe() == {"name": "mnist", "content": mnist(tmp_path / "mnist").content, "images": 50, "side": 28}
    with pytest.raises(Misuse, match="not found in"):
        from_idx(tmp_path)


def test_fashion_mnist_is_distinguished_from_mnist(tmp_path, monkeypatch):
    """By the checksums of its four files, here replaced by those of made-up files."""
    idx_folder(tmp_path, shown=50, held=20, zipped=False)
    assert from_idx(tmp_path).name == "mnist"
    sums = " ".join(hashlib.sha256((tmp_path / name).read_bytes()).hexdigest() for name in FASHION_SHA256)
    monkeypatch.setattr(training_images, "_FASHION", hashlib.sha256(sums.encode()).hexdigest())
    assert from_idx(tmp_path).name == "fashion_mnist"


def test_held_out_digits_are_not_among_the_training_images():
    from deepnets.tasks import digits

    held = digits(raw=True).held_out()[0].numpy()
    shown = from_digits().x.reshape(-1, 64).astype(float)
    unit = held.max() / 16
    rounded = np.rint(held / unit * (255 / 16)).astype(int)
    seen = {tuple(row) for row in shown.astype(int)}
    assert not [row for row in rounded if tuple(row) in seen]
    assert len(shown) == 1500


@pytest.mark.parametrize(("make", "words"), [
    (lambda: Denoiser(10, 16), "side must be a multiple of 4, not 10"), (lambda: Denoiser(8, 12), "width must be a multiple of 8, not 12"),
    (lambda: Training(steps=0), "steps must be"), (lambda: Training(rate=2.0), "rate must be"), (lambda: Training(seed=-1), "seed must be"),
    (lambda: Training(width=12), "width must be"), (lambda: Drawing(guidance=-1), "guidance must be"),
    (lambda: Drawing(shard=0), "shard must be"), (lambda: Drawing(steps=2.5), "steps must be"),
])
def test_misuse_is_named(make, words):
    with pytest.raises(Misuse, match=words):
        make()
