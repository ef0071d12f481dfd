"""Images without end: a class-conditional diffusion model and the files of MNIST-1M it draws; knows no network of the plane."""

from deepnets.diffusion.denoiser import Denoiser
from deepnets.diffusion.generation import make, sheet
from deepnets.diffusion.noise import denoised, noised
from deepnets.diffusion.sampling import Drawing, draw
from deepnets.diffusion.training import Training, train
from deepnets.diffusion.training_images import Originals, from_digits, from_idx

__all__ = ["Denoiser", "Drawing", "Originals", "Training", "denoised", "draw", "from_digits", "from_idx", "make", "noised", "sheet",
           "train"]
