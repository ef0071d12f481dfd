"""Convolutional networks of the zoo, as image models are written."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from tests.deepnets.zoo.entry import add, register

FAMILY = "convolutions"


class BasicBlock(nn.Module):
    """The block of a ResNet, with in-place operations."""

    def __init__(self, ins: int, outs: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(ins, outs, 3, stride, 1, bias=False), nn.BatchNorm2d(outs)
        self.conv2, self.bn2 = nn.Conv2d(outs, outs, 3, 1, 1, bias=False), nn.BatchNorm2d(outs)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = nn.Sequential(nn.Conv2d(ins, outs, 1, stride, bias=False), nn.BatchNorm2d(outs)) if ins != outs else None

    def forward(self, x):
        identity = x if self.downsample is None else self.downsample(x)
        out = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        out += identity
        return self.relu(out)


def resnet() -> nn.Module:
    net = nn.Sequential(nn.Conv2d(1, 4, 3, 1, 1, bias=False), nn.BatchNorm2d(4), nn.ReLU(inplace=True), BasicBlock(4, 4),
                        BasicBlock(4, 8, 2), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4))
    for m in net.modules():
        if isinstance(m, nn.Conv2d):
            nn.init.kaiming_normal_(m.weight, mode="fan_out", nonlinearity="relu")
    return net


add("ResNet, BatchNorm in training", FAMILY, "images", resnet)
add("ResNet, BatchNorm in evaluation", FAMILY, "images", lambda: resnet().eval())


@register("MobileNet-like, squeeze and excitation", FAMILY, "images")
class InvertedResidual(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(1, 4, 3, 2, 1)
        self.expand = nn.Sequential(nn.Conv2d(4, 12, 1, bias=False), nn.BatchNorm2d(12), nn.Hardswish(inplace=True))
        self.depthwise = nn.Sequential(nn.Conv2d(12, 12, 3, 1, 1, groups=12, bias=False), nn.BatchNorm2d(12), nn.ReLU6(inplace=True))
        self.squeeze, self.excite = nn.Conv2d(12, 4, 1), nn.Conv2d(4, 12, 1)
        self.project = nn.Sequential(nn.Conv2d(12, 4, 1, bias=False), nn.BatchNorm2d(4))
        self.head = nn.Linear(4, 4)

    def forward(self, x):
        x = self.stem(x)
        h = self.depthwise(self.expand(x))
        s = F.hardsigmoid(self.excite(F.relu(self.squeeze(F.adaptive_avg_pool2d(h, 1)), inplace=True)))
        return self.head((x + self.project(s * h)).mean([2, 3]))


class LayerNorm2d(nn.LayerNorm):
    def forward(self, x):
        return F.layer_norm(x.permute(0, 2, 3, 1), self.normalized_shape, self.weight, self.bias, self.eps).permute(0, 3, 1, 2)


@register("ConvNeXt-like", FAMILY, "images")
class ConvNeXt(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 6, 2, 2), LayerNorm2d(6))
        self.depthwise, self.norm = nn.Conv2d(6, 6, 5, padding=2, groups=6), nn.LayerNorm(6)
        self.up, self.down, self.scale = nn.Linear(6, 24), nn.Linear(24, 6), nn.Parameter(0.1 * torch.ones(6))
        self.head = nn.Sequential(nn.LayerNorm(6), nn.Linear(6, 4))

    def forward(self, x):
        x = self.stem(x)
        h = self.norm(self.depthwise(x).permute(0, 2, 3, 1))
        h = self.scale * self.down(F.gelu(self.up(h)))
        return self.head((x + h.permute(0, 3, 1, 2)).mean([-2, -1]))


@register("U-Net", FAMILY, "pictures")
class UNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.down1 = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.GroupNorm(2, 4), nn.SiLU())
        self.down2 = nn.Sequential(nn.MaxPool2d(2), nn.Conv2d(4, 8, 3, padding=1), nn.GroupNorm(2, 8), nn.SiLU())
        self.up = nn.ConvTranspose2d(8, 4, 2, 2)
        self.merge = nn.Sequential(nn.Conv2d(8, 4, 3, padding=1), nn.SiLU(), nn.Conv2d(4, 1, 1))

    def forward(self, x):
        skip = self.down1(x)
        return self.merge(torch.cat([skip, self.up(self.down2(skip))], dim=1)).flatten(1)


@register("DenseNet-like", FAMILY, "images")
class DenseNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(nn.Sequential(nn.BatchNorm2d(c), nn.ReLU(), nn.Conv2d(c, 3, 3, padding=1)) for c in (1, 4, 7))
        self.head = nn.Linear(10, 4)

    def forward(self, x):
        features = [x]
        for layer in self.layers:
            features.append(layer(torch.cat(features, 1)))
        return self.head(F.avg_pool2d(torch.cat(features, 1), 8).flatten(1))


@register("Inception-like branches", FAMILY, "images")
class Branches(nn.Module):
    def __init__(self):
        super().__init__()
        self.one, self.three, self.dilated = nn.Conv2d(1, 3, 1), nn.Conv2d(1, 3, 3, padding=1), nn.Conv2d(1, 3, 3, padding=2, dilation=2)
        self.norm, self.head = nn.InstanceNorm2d(9, affine=True), nn.Linear(9 * 4, 4)

    def forward(self, x):
        h = torch.cat([self.one(x), self.three(x), self.dilated(x)], 1)
        return self.head(F.adaptive_max_pool2d(F.elu(self.norm(h)), 2).flatten(1))


add("convolutional autoencoder", FAMILY, "pictures", lambda: nn.Sequential(
    nn.Conv2d(1, 6, 3, 2, 1), nn.Softplus(), nn.Conv2d(6, 4, 3, 2, 1), nn.Tanh(), nn.ConvTranspose2d(4, 6, 4, 2, 1), nn.Softplus(),
    nn.ConvTranspose2d(6, 1, 4, 2, 1), nn.Flatten()))
add("VGG-like with dropout", FAMILY, "images", lambda: nn.Sequential(
    nn.Conv2d(1, 6, 3, padding=1), nn.ReLU(inplace=True), nn.MaxPool2d(2, 2), nn.Conv2d(6, 8, 3, padding=1), nn.ReLU(inplace=True),
    nn.MaxPool2d(2, 2), nn.Flatten(), nn.Dropout(0.2), nn.Linear(32, 4)))
add("GroupNorm and reflections at the border", FAMILY, "images", lambda: nn.Sequential(
    nn.Conv2d(1, 6, 3, padding=1, padding_mode="reflect"), nn.GroupNorm(3, 6), nn.Mish(), nn.Conv2d(6, 4, 3, padding=1,
    padding_mode="circular"), nn.LPPool2d(2, 4), nn.Flatten(), nn.Linear(16, 4)))
add("InstanceNorm with running statistics", FAMILY, "images", lambda: nn.Sequential(
    nn.Conv2d(1, 6, 3, padding=1), nn.InstanceNorm2d(6, track_running_stats=True), nn.ReLU(), nn.AvgPool2d(4), nn.Flatten(),
    nn.Linear(24, 4)))
add("LocalResponseNorm", FAMILY, "images", lambda: nn.Sequential(
    nn.Conv2d(1, 6, 3, padding=1), nn.ReLU(), nn.LocalResponseNorm(3, alpha=0.1), nn.AvgPool2d(4), nn.Flatten(), nn.Linear(24, 4)))
add("three-dimensional convolutions", FAMILY, "images", lambda: nn.Sequential(
    nn.Unflatten(2, (2, 4)), nn.Conv3d(1, 4, 2), nn.BatchNorm3d(4), nn.GELU(), nn.AdaptiveAvgPool3d((1, 1, 3)), nn.Flatten(),
    nn.Linear(12, 4)))
add("pixel shuffle and unshuffle", FAMILY, "images", lambda: nn.Sequential(
    nn.PixelUnshuffle(2), nn.Conv2d(4, 8, 3, padding=1), nn.ELU(), nn.PixelShuffle(2), nn.AvgPool2d(4), nn.Flatten(), nn.Linear(8, 4)))


@register("super-resolution by interpolation", FAMILY, "pictures")
class Interpolation(nn.Module):
    def __init__(self):
        super().__init__()
        self.small, self.large = nn.Conv2d(1, 4, 3, 2, 1), nn.Conv2d(4, 1, 3, padding=1)

    def forward(self, x):
        h = F.leaky_relu(self.small(x), 0.1)
        return self.large(F.interpolate(h, scale_factor=2, mode="bilinear", align_corners=False)).flatten(1)


@register("unfold and fold", FAMILY, "images")
class Patches(nn.Module):
    def __init__(self):
        super().__init__()
        self.mix, self.head = nn.Linear(16, 16), nn.Linear(64, 4)

    def forward(self, x):
        patches = F.unfold(x, 4, stride=2)                                          # (batch, 16, 9)
        return self.head(F.fold(torch.tanh(self.mix(patches.transpose(1, 2))).transpose(1, 2), (8, 8), 4, stride=2).flatten(1))


@register("spatial transformer (grid_sample)", FAMILY, "images")
class SpatialTransformer(nn.Module):
    def __init__(self):
        super().__init__()
        self.locate, self.net = nn.Linear(64, 6), nn.Sequential(nn.Conv2d(1, 4, 3, 2, 1), nn.Tanh(), nn.Flatten(), nn.Linear(64, 4))
        with torch.no_grad():
            self.locate.weight.mul_(0.1)
            self.locate.bias.copy_(torch.tensor([1.0, 0, 0.05, 0, 1.0, -0.05]))

    def forward(self, x):
        grid = F.affine_grid(self.locate(x.flatten(1)).view(-1, 2, 3), x.shape, align_corners=False)
        return self.net(F.grid_sample(x, grid, align_corners=False))


@register("temporal convolutions", FAMILY, "sequences")
class Temporal(nn.Module):
    def __init__(self):
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv1d(8, 8, 2, dilation=d) for d in (1, 2, 4))
        self.head = nn.Linear(8, 4)

    def forward(self, x):
        x = x.transpose(1, 2)
        for conv in self.convs:
            x = x + F.gelu(conv(F.pad(x, (conv.dilation[0], 0))))
        return self.head(x[:, :, -1])


@register("sort pooling", FAMILY, "images")
class SortPooling(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.head = nn.Conv2d(1, 4, 3), nn.Linear(12, 4)

    def forward(self, x):
        h = torch.tanh(self.conv(x)).flatten(2)
        return self.head(h.sort(-1, descending=True).values[..., :3].flatten(1))


@register("top-k pooling", FAMILY, "images")
class TopPooling(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.head = nn.Conv2d(1, 4, 3), nn.Linear(4, 4)

    def forward(self, x):
        return self.head(torch.sigmoid(self.conv(x)).flatten(2).topk(5, -1).values.mean(-1))
