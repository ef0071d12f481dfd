"""Images without end: a class-conditional diffusion model and the files of MNIST-1M it draws; knows no network of the plane."""

from deepnets.diffusion.denoiser import Denoiser
from deepnets.diffusion.drawing import Drawing, draw
from deepnets.diffusion.making import make, sheet
from deepnets.diffusion.noise import denoised, noised
from deepnets.diffusion.originals import Originals, from_digits, from_idx
from deepnets.diffusion.training import Training, train

__all__ = ["Denoiser", "Drawing", "Originals", "Training", "denoised", "draw", "from_digits", "from_idx", "make", "noised", "sheet",
           "train"]
