"""Class-conditional diffusion model that generates MNIST-1M."""

from deepnets.diffusion.denoiser import Denoiser
from deepnets.diffusion.generation import generate, load_sheet
from deepnets.diffusion.noise import add_noise, remove_noise
from deepnets.diffusion.sampling import Drawing, draw_images
from deepnets.diffusion.training import Training, train
from deepnets.diffusion.training_images import TrainingImages, from_digits, from_idx

__all__ = ["Denoiser", "Drawing", "Training", "TrainingImages", "add_noise", "draw_images", "from_digits", "from_idx", "generate",
           "load_sheet", "remove_noise", "train"]


def __dir__() -> list[str]:
    """Return the public names, for completion."""
    return list(__all__)
