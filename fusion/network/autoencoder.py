"""Stage 1: one auto-encoder per modality, whose encoder CrossFuse keeps."""

import torch.nn.functional as F
from torch import Tensor, nn

from fusion.network.blocks import Conv, DenseBlock, full_precision, pad_to, upsample


class Encoder(nn.Module):
    """Shallow features at full resolution and deep features at an eighth of it."""

    def __init__(self) -> None:
        super().__init__()
        self.shallow = Conv(1, 32, 3)
        self.dense1 = DenseBlock(32)
        self.dense2 = DenseBlock(128)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 1, H, W) in [0, 1] to shallow (B, 32, H, W) and deep (B, 128, H//8, W//8) features."""
        with full_precision(image):
            shallow = self.shallow(image.float())
        x = self.dense1(F.max_pool2d(shallow, 2))
        x = self.dense2(F.max_pool2d(x, 2))
        return shallow, F.max_pool2d(x, 2)


class ReconstructionDecoder(nn.Module):
    """Rebuilds the image from both feature maps."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = Conv(128, 64, 3)
        self.conv2 = Conv(64, 64, 3)
        self.conv3 = Conv(64, 32, 3)
        self.last = Conv(32, 1, 1)

    def forward(self, shallow: Tensor, deep: Tensor) -> Tensor:
        """Features of `Encoder` to (B, 1, H, W), nominally in [0, 1] but not clipped."""
        x = upsample(self.conv1(deep))
        x = upsample(self.conv2(x))
        x = upsample(self.conv3(x))
        with full_precision(x):
            return self.last(pad_to(x.float(), *shallow.shape[-2:]) + shallow)


class AutoEncoder(nn.Module):
    """Encoder and reconstruction decoder of one modality (1.25 M parameters)."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = Encoder()
        self.decoder = ReconstructionDecoder()

    def forward(self, image: Tensor) -> Tensor:
        """(B, 1, H, W) in [0, 255] to its reconstruction in the same range, not clipped."""
        return self.decoder(*self.encoder(image / 255)) * 255
