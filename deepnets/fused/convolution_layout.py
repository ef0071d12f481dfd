"""Where the kernels keep the parameters and the activations of a CNN.

Images are stored position by position, the channels of each padded to whole vectors. A convolution is a product with patches: rows are the
positions of all images of a group, columns the k x k channels that its kernel reads, in the order (row, column, channel); of the first
layer (channel, row, column), and the patches of the inputs are made once for all runs. Samples go through the network in groups whose
activations stay in the cache; gradients are summed over the groups.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from deepnets.batched.state import Parameters
from deepnets.fused import convolution_kernels as columns
from deepnets.fused.layout import allocate, pad, pad_targets, separate
from deepnets.fused.stream import BLOCK
from deepnets.fused.units import GELU, LINEAR, RELU, TANH, has_slopes
from deepnets.networks.cnn import ConvolutionsThenDense

AT_ONCE = 2**24    # numbers of the patches and the values at theta_0 that are in memory at once
GROUP = 2**18      # numbers of the activations of a group of samples, about: a megabyte


class ConvolutionLayout:
    """The places of a CNN's parameters and activations, and theta_0 in its place.

    Attributes
    ----------
    sizes : numbers of an input, and of an output.
    lead : numbers of an input's patches, and of an output, padded.
    names : of the weight tensors, without ``.weight``.
    shape : (L, columns.COUNT), each layer's sizes and places; see `deepnets.fused.convolution_kernels`.
    unit : its code, as of `deepnets.fused.units.UNITS`.
    m : (L,), the multipliers.
    theta_0 : (size,), all but the first layer's weights times their multiplier.
    """

    kernels: Any = columns

    def __init__(self, module: ConvolutionsThenDense) -> None:
        convolutions, dense = list(module.convolutions), list(module.dense)
        layers: list[Any] = [*convolutions, *dense]
        self.in_shape, self.count = module.in_shape, len(convolutions)
        self.names = [f"convolutions.{i}" for i in range(len(convolutions))] + [f"dense.{i}" for i in range(len(dense))]
        self.unit = {nn.Identity: LINEAR, nn.ReLU: RELU, nn.Tanh: TANH, nn.GELU: GELU}[type(module.activation)]
        self.m = np.array([layer.multiplier for layer in layers], np.float32)
        self.weights = [tuple(layer.weight.shape) for layer in layers]
        self.sizes = [int(np.prod(self.in_shape)), self.weights[-1][0]]
        self.shape = np.zeros((len(layers), columns.COUNT), np.int64)
        self.activations = self._place_parameters()
        self.lead = [self.in_shape[1] * self.in_shape[2] * int(self.shape[0, columns.PATCH]), int(self.shape[-1, columns.LEAD])]
        self.theta_0 = allocate(self.size)
        for l, layer in enumerate(layers):
            place = self._view(self.theta_0[None], l)[0]
            place[...] = self._arrange(layer.weight.detach().numpy(), l) * (self.m[l] if l else 1)      # type: ignore[index]
        self.places = cache(self._place_activations)

    def _place_parameters(self) -> int:
        """Fill in sizes and the places of weights; return the numbers of one sample's activations before their units."""
        channels, height, wide = self.in_shape
        stride, first, activation = channels, 0, 0
        for l, weight in enumerate(self.weights):
            row, out = self.shape[l], weight[0]
            if l < self.count:
                side = weight[2]
                rows, padded = side**2 * stride, pad(side**2 * stride)
                row[[columns.HEIGHT, columns.WIDE, columns.STRIDE, columns.SIDE]] = height, wide, stride, side
                lead, positions = pad(out), height * wide
                height, wide, stride = height // 2, wide // 2, lead
                row[[columns.HALF, columns.HALF_WIDE]] = height, wide
                row[columns.MARGIN] = self.weights[l + 1][2] // 2 if l + 1 < self.count else 0
                row[columns.PATCH] = separate(padded)
            else:
                rows = height * wide * stride if l == self.count else weight[1]
                padded, lead, positions = pad(rows), separate(pad(out)), 1
                row[columns.PATCH] = rows if l == self.count else self.shape[l - 1, columns.LEAD]
            row[[columns.ROWS, columns.PADDED_ROWS, columns.OUT, columns.PADDED, columns.LEAD]] = rows, padded, out, pad(out), lead
            row[[columns.WEIGHT, columns.FROZEN, columns.POSITIONS]] = first, activation, positions
            first += padded * lead
            activation += positions * lead
        self.size = first
        return activation

    def _place_activations(self, batch: int) -> tuple[np.ndarray, int, int]:
        """Return the table with the places in a scratch for batches of so many samples, the samples of a group, and the scratch's size."""
        shape = self.shape.copy()

        def list_sizes(l: int, group: int) -> dict[int, int]:
            row = self.shape[l]
            positions, lead, margin = row[columns.POSITIONS], row[columns.LEAD], row[columns.MARGIN]
            image = (row[columns.HALF] + 2 * margin) * (row[columns.HALF_WIDE] + 2 * margin) * lead if l < self.count else 0
            patches = positions * row[columns.PATCH] if 0 < l < self.count else 0
            wide = row[columns.PADDED] * row[columns.PATCH] if l else 0
            return {columns.D: group * positions * lead, columns.H: group * positions * lead, columns.IMAGE_D: group * image,
                    columns.IMAGE_H: group * image, columns.IMAGE_S: group * image, columns.PATCHES: group * patches,
                    columns.SLOPES: group * positions * lead * has_slopes(self.unit),
                    columns.BACK: wide}

        L = range(len(shape))
        spare = [int(row[columns.POSITIONS] * row[columns.PATCH]) if 0 < l < self.count else 0 for l, row in enumerate(self.shape)]
        each = sum(sum(n for at, n in list_sizes(l, 1).items() if at != columns.BACK) for l in L) + max(spare)
        groups = -(-batch // max(1, min(batch, GROUP // each)))
        group, at = -(-batch // groups), 0
        for l in L:
            for column, n in list_sizes(l, group).items():
                shape[l, column] = at
                at += pad(int(n))
        for column, n in ((columns.SPARE, group * max(spare)), (columns.GRADIENT, self.size), (columns.SUMS, self.lead[-1])):
            shape[:, column] = at
            at += pad(n)
        return shape, group, at

    def tables(self, batch: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, int, int]:
        """Return what the kernels take of a layout for batches of so many samples."""
        shape, group, _ = self.places(batch)
        return shape, self.m, self.theta_0, group, self.count

    def _view(self, flat: np.ndarray, l: int) -> np.ndarray:
        """Return the padded matrices of layer l, (P, rows, leading dimension), of parameters (P, size)."""
        n, ld, first = (int(self.shape[l, c]) for c in (columns.PADDED_ROWS, columns.LEAD, columns.WEIGHT))
        return flat[:, first:first + n * ld].reshape(len(flat), n, ld)

    def _arrange(self, weight: np.ndarray, l: int) -> np.ndarray:
        """Return a weight tensor as the padded matrix of layer l."""
        row = self.shape[l]
        matrix = np.zeros((row[columns.PADDED_ROWS], row[columns.LEAD]), np.float32)
        if l < self.count and l > 0:
            out, channels, side, _ = weight.shape
            stride = row[columns.STRIDE]
            view = matrix[:row[columns.ROWS]].reshape(side, side, stride, -1)
            view[:, :, :channels, :out] = weight.transpose(2, 3, 1, 0)
        elif l == self.count:
            height, wide, stride, channels = self._last_image()
            view = matrix[:row[columns.ROWS]].reshape(height, wide, stride, -1)
            view[:, :, :channels, :len(weight)] = weight.reshape(len(weight), channels, height, wide).transpose(2, 3, 1, 0)
        else:
            flat = weight.reshape(len(weight), -1)
            matrix[:flat.shape[1], :len(weight)] = flat.T
        return matrix

    def _last_image(self) -> tuple[int, int, int, int]:
        """Return height, width, padded channels and channels of what the dense layers read."""
        row = self.shape[self.count - 1]
        return tuple(int(row[c]) for c in (columns.HALF, columns.HALF_WIDE, columns.LEAD, columns.OUT))      # type: ignore[return-value]

    def read(self, u: np.ndarray) -> Parameters:
        """Return the parameters (P, size) as tensors by name, as stacks have them."""
        found: Parameters = {}
        for l, (name, weight) in enumerate(zip(self.names, self.weights, strict=True)):
            row, out = self.shape[l], weight[0]
            place = self._view(u, l)[:, :row[columns.ROWS], :out]
            if 0 < l < self.count:
                place = place.reshape(len(u), weight[2], weight[3], row[columns.STRIDE], out)[:, :, :, :weight[1]].transpose(0, 4, 3, 1, 2)
            elif l == self.count:
                height, wide, stride, channels = self._last_image()
                place = place.reshape(len(u), height, wide, stride, out)[:, :, :, :channels].transpose(0, 4, 3, 1, 2)
            else:
                place = place.transpose(0, 2, 1)
            found[f"{name}.weight"] = torch.from_numpy(np.ascontiguousarray(place).reshape(len(u), *weight))
        return found

    def count_scratch(self, batch: int) -> int:
        """Return the numbers of one thread's scratch."""
        return self.places(batch)[2]

    def make_scratch(self, batch: int) -> np.ndarray:
        """Return one thread's scratch; the margins of its images are zero."""
        return allocate(self.count_scratch(batch))

    def pad_inputs(self, x: np.ndarray) -> np.ndarray:
        """Return the patches of inputs (T, B, D) times the first multiplier, (T, B, positions times the patch's padded length)."""
        T, B, _ = x.shape
        side, ld = int(self.shape[0, columns.SIDE]), int(self.shape[0, columns.PATCH])
        images = torch.from_numpy(np.ascontiguousarray(x)).reshape(T * B, *self.in_shape) * float(self.m[0])
        patches = F.unfold(images, side, padding=side // 2)      # (T B, c k k, positions)
        padded = allocate(T, B, self.lead[0])
        padded.reshape(T * B, -1, ld)[:, :, :patches.shape[1]] = patches.numpy().transpose(0, 2, 1)
        return padded

    def pad_targets(self, y: np.ndarray) -> np.ndarray:
        """Return targets (T, B, K), padded."""
        return pad_targets(y, self.lead[-1])

    def count_steps(self, batch: int) -> int:
        """Return how many steps' patches and values at theta_0 are in memory at once."""
        return max(1, min(BLOCK, AT_ONCE // (batch * (self.lead[0] + self.activations))))

    def count_operations(self, batch: int) -> tuple[int, int]:
        """Return the operations of a step of one run, and of the values at theta_0, which all runs share."""
        frozen = step = 0
        for l, row in enumerate(self.shape.tolist()):
            one = 2 * batch * row[columns.POSITIONS] * row[columns.ROWS] * row[columns.PADDED]
            frozen += one * (l < len(self.shape) - 1)
            step += one * (4 if l else 2)
        return step, frozen
