"""How many times faster a plane is as stacks than as one centred two-copy network after the other; run it as a script.

The plain loop is float64 below gamma = 1e-2, where float32 copies keep no digit, and float32 above; eleven gammas, 1e-5 to 1e5.
Interleaved; the ratio is that of the least times. Prints run-steps per second and the ratio to the loop.

    python -m tests.deepnets.network_speed
"""

import time

import numpy as np
import torch

from deepnets import MLP
from deepnets.batched.stack import choose_stack
from deepnets.batched.state import zero_differences
from deepnets.experiment import ON_A_CORE
from deepnets.losses import MSE

LEAST = {(32, 32): 9, (64, 32): 4.5, (64, 128): 1.8, (256, 128): 1}      # (width, batch): the least ratio
GAMMAS = np.logspace(-5, 5, 11)
STEPS, ROUNDS = 10, 12


def loop(spec, batch):
    """Seconds a run-step, one network after the other, by autograd in theta."""
    spent = 0.0
    for gamma in GAMMAS:
        dtype = torch.float64 if gamma < 1e-2 else torch.float32
        module, frozen = spec.build(0).to(dtype), spec.build(0).to(dtype)
        x, y = torch.randn(batch, 64, dtype=dtype), torch.randn(batch, 10, dtype=dtype)
        optimizer = torch.optim.SGD(module.parameters(), lr=1e-9 * gamma)
        start = time.perf_counter()
        for _ in range(STEPS):
            with torch.no_grad():
                f0 = frozen(x)
            loss = ((module(x) - f0) / gamma - y).square().mean() / 2
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        spent += time.perf_counter() - start
    return spent / (STEPS * len(GAMMAS))


@torch.no_grad()
def stacked(spec, batch, runs=ON_A_CORE):
    """Seconds a run-step, a stack at a time."""
    module = spec.build(0)
    stack, u, gamma = choose_stack(module), zero_differences(module, runs), torch.logspace(-5, 5, runs)
    x, y = torch.randn(batch, 64), torch.randn(batch, 10)
    rate = (1e-9 / gamma).reshape(-1, 1, 1)
    start = time.perf_counter()
    for _ in range(STEPS):
        _, gradient = stack.gradients(u, gamma, x, y, MSE())
        for n, d in u.items():
            d.addcmul_(gradient[n], rate, value=-1)
    return (time.perf_counter() - start) / (STEPS * runs)


def main():
    """Print the table."""
    torch.set_num_threads(1)
    print(f"{'width':>6}{'batch':>6}{'run-steps/s':>13}{'ratio':>7}{'least':>7}")
    for (width, batch), least in LEAST.items():
        spec = MLP(64, width, 3, 10)
        times = np.array([(loop(spec, batch), stacked(spec, batch)) for _ in range(ROUNDS)]).min(0)
        print(f"{width:>6}{batch:>6}{1 / times[1]:>13.0f}{times[0] / times[1]:>7.1f}{least:>7}")


if __name__ == "__main__":
    main()
