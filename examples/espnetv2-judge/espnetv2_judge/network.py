"""ESPNetv2 for semantic segmentation (Mehta et al., CVPR 2019, arXiv 1811.11431) at width s = 2.0.

The decoder is that of the authors' later release (sacmehta/EdgeNets, MIT licence): pyramids of depthwise convolutions
from deep to shallow. Written from the paper and the names and shapes in the released state dicts, which load strictly.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

WIDTHS = (32, 128, 256, 512)
DECODER = (64, 48, 32)
BRANCHES = 4
REPEATS = (3, 7)  # units at strides 8 and 16
SCALES = (2.0, 1.5, 1.0, 0.5, 0.1)
MIN_SIDE = 5  # pixels; of a scaled map


class ConvNormAct(nn.Module):
    """Convolution, batch normalisation and, where asked for, PReLU."""

    def __init__(self, inputs: int, outputs: int, size: int, stride: int = 1, groups: int = 1, act: bool = True):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, size, stride, size // 2, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(outputs)
        self.act = nn.PReLU(outputs) if act else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.bn(self.conv(x)))


class NormAct(nn.Module):
    """Batch normalisation and PReLU."""

    def __init__(self, channels: int):
        super().__init__()
        self.bn, self.act = nn.BatchNorm2d(channels), nn.PReLU(channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.bn(x))


class Dilated(nn.Module):
    """Depthwise 3x3 convolution with holes."""

    def __init__(self, channels: int, stride: int, dilation: int):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride, dilation, dilation, groups=channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)


class PyramidUnit(nn.Module):
    """EESP, the paper's section 3.2: a grouped projection, dilated branches summed one into the next, an expansion.

    limit: largest receptive field of a branch in pixels; larger ones become 3. With stride 2 the merged map comes
    without activation, for `Downsampling`.
    """

    def __init__(self, inputs: int, outputs: int, stride: int, limit: int):
        super().__init__()
        width = outputs // BRANCHES
        fields = sorted(size if size <= limit else 3 for size in range(3, 3 + 2 * BRANCHES, 2))
        self.stride = stride
        self.proj_1x1 = ConvNormAct(inputs, width, 1, groups=BRANCHES)
        self.spp_dw = nn.ModuleList(Dilated(width, stride, (field - 1) // 2) for field in fields)
        self.conv_1x1_exp = ConvNormAct(outputs, outputs, 1, groups=BRANCHES, act=False)
        self.br_after_cat = NormAct(outputs)
        self.module_act = nn.PReLU(outputs)

    def forward(self, x: Tensor) -> Tensor:
        projected = self.proj_1x1(x)
        maps = [self.spp_dw[0](projected)]
        for branch in list(self.spp_dw)[1:]:
            maps.append(branch(projected) + maps[-1])
        merged = self.conv_1x1_exp(self.br_after_cat(torch.cat(maps, 1)))
        return merged if self.stride == 2 else self.module_act(merged + x)


class Downsampling(nn.Module):
    """A strided unit beside average pooling, reinforced by the image itself at that size (section 3.3)."""

    def __init__(self, inputs: int, outputs: int, limit: int):
        super().__init__()
        self.eesp = PyramidUnit(inputs, outputs - inputs, 2, limit)
        self.inp_reinf = nn.Sequential(ConvNormAct(3, 3, 3), ConvNormAct(3, outputs, 1, act=False))
        self.act = nn.PReLU(outputs)

    def forward(self, x: Tensor, image: Tensor) -> Tensor:
        joined = torch.cat([_halved(x), self.eesp(x)], 1)
        while image.shape[2] > joined.shape[2]:
            image = _halved(image)
        return self.act(joined + self.inp_reinf(image))


class Encoder(nn.Module):
    """Maps at strides 2, 4, 8 and 16."""

    def __init__(self) -> None:
        super().__init__()
        first, second, third, fourth = WIDTHS
        self.level1 = ConvNormAct(3, first, 3, 2)
        self.level2_0 = Downsampling(first, second, 13)
        self.level3_0 = Downsampling(second, third, 11)
        self.level3 = nn.ModuleList(PyramidUnit(third, third, 1, 9) for _ in range(REPEATS[0]))
        self.level4_0 = Downsampling(third, fourth, 9)
        self.level4 = nn.ModuleList(PyramidUnit(fourth, fourth, 1, 7) for _ in range(REPEATS[1]))

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        half = self.level1(image)
        quarter = self.level2_0(half, image)
        eighth = self.level3_0(quarter, image)
        for unit in self.level3:
            eighth = unit(eighth)
        deepest = self.level4_0(eighth, image)
        for unit in self.level4:
            deepest = unit(deepest)
        return half, quarter, eighth, deepest


class _Named(nn.Module):
    """Layers under the name that they have in the released state dicts."""

    def __init__(self, name: str, *layers: nn.Module):
        super().__init__()
        self.add_module(name, nn.Sequential(*layers))

    def forward(self, x: Tensor) -> Tensor:
        (layers,) = self.children()
        return layers(x)


def _convolved(inputs: int, outputs: int, size: int, groups: int = 1) -> nn.Module:
    conv = nn.Conv2d(inputs, outputs, size, padding=size // 2, groups=groups, bias=False)
    return _Named("cbr", conv, nn.BatchNorm2d(outputs), nn.PReLU(outputs))


def _normed(channels: int) -> nn.Module:
    return _Named("br", nn.BatchNorm2d(channels), nn.PReLU(channels))


class PyramidPooling(nn.Module):
    """Depthwise convolutions of the projected map at several scales, shuffled and merged. last: gives the logits."""

    def __init__(self, inputs: int, width: int, outputs: int, last: bool = False):
        super().__init__()
        joined = width * len(SCALES)
        self.projection_layer = _convolved(inputs, width, 1)
        self.stages = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1, groups=width, bias=False) for _ in SCALES)
        self.merge_layer = nn.Sequential(
            _normed(joined), nn.ChannelShuffle(len(SCALES)), _convolved(joined, width, 3, groups=width),
            nn.Conv2d(width, outputs, 1, bias=last),
        )  # fmt: skip
        self.br = nn.Identity() if last else _normed(outputs)

    def forward(self, x: Tensor) -> Tensor:
        x = self.projection_layer(x)
        size = x.shape[2:]
        maps = []
        for scale, stage in zip(SCALES, self.stages, strict=True):
            scaled = [max(math.ceil(side * scale), MIN_SIDE) for side in size]
            if scale > 1:
                maps.append(F.adaptive_avg_pool2d(stage(_resized(x, scaled)), size))
            elif scale < 1:
                maps.append(_resized(stage(F.adaptive_avg_pool2d(x, scaled)), size))
            else:
                maps.append(stage(x))
        return self.br(self.merge_layer(torch.cat(maps, 1)))


class Bridge(nn.Module):
    """An encoder map in the decoder's width, its channels weighted by their means over the map."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.wt_layer = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(inputs, outputs, 1, bias=False), nn.Sigmoid())
        self.expansion_layer = _convolved(inputs, outputs, 3, groups=math.gcd(inputs, outputs))

    def forward(self, x: Tensor) -> Tensor:
        return self.expansion_layer(x) * self.wt_layer(x)


class ESPNetv2(nn.Module):
    """(N, 3, H, W) normalised RGB, H and W multiples of 16 -> (N, classes, H, W) logits."""

    def __init__(self, classes: int):
        super().__init__()
        width = min(classes // 2, 16)
        half, quarter, eighth, deepest = WIDTHS
        self.base_net = Encoder()
        self.bu_dec_l1 = PyramidPooling(deepest, width, DECODER[0])
        self.bu_dec_l2 = PyramidPooling(DECODER[0], width, DECODER[1])
        self.bu_dec_l3 = PyramidPooling(DECODER[1], width, DECODER[2])
        self.bu_dec_l4 = PyramidPooling(DECODER[2], width, classes, last=True)
        self.merge_enc_dec_l2 = Bridge(eighth, DECODER[0])
        self.merge_enc_dec_l3 = Bridge(quarter, DECODER[1])
        self.merge_enc_dec_l4 = Bridge(half, DECODER[2])
        for level, channels in enumerate(DECODER, 2):
            self.add_module(f"bu_br_l{level}", nn.Sequential(nn.BatchNorm2d(channels), nn.PReLU(channels)))

    def forward(self, image: Tensor) -> Tensor:
        half, quarter, eighth, deepest = self.base_net(image)
        x = self.bu_dec_l1(deepest)
        x = self.bu_dec_l2(self.bu_br_l2(self.merge_enc_dec_l2(eighth) + _doubled(x)))
        x = self.bu_dec_l3(self.bu_br_l3(self.merge_enc_dec_l3(quarter) + _doubled(x)))
        x = self.bu_dec_l4(self.bu_br_l4(self.merge_enc_dec_l4(half) + _doubled(x)))
        return _resized(x, image.shape[2:])


def _halved(x: Tensor) -> Tensor:
    return F.avg_pool2d(x, 3, 2, 1)


def _doubled(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)


def _resized(x: Tensor, size: list[int] | torch.Size) -> Tensor:
    return F.interpolate(x, list(size), mode="bilinear", align_corners=True)
