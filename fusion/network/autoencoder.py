"""Stage 1: one auto-encoder per modality, whose encoder CrossFuse keeps."""

import torch.nn.functional as F
from torch import Tensor, nn

from fusion.network.blocks import Conv, DenseBlock, full_precision, pad_to, upsample


class Encoder(nn.Module):
    """Shallow features at full resolution and deep features at an eighth of it.

    shallow: channels of the shallow features. growth, outputs, leaky: of both dense blocks; the last outputs are the
    deep features' channels.
    """

    def __init__(
        self, shallow: int = 32, growth: tuple[int, int] = (64, 64), outputs: tuple[int, int] = (128, 128),
        leaky: bool = False,
    ):  # fmt: skip
        super().__init__()
        self.shallow = Conv(1, shallow)
        self.dense1 = DenseBlock(shallow, growth[0], outputs=outputs[0], leaky=leaky)
        self.dense2 = DenseBlock(outputs[0], growth[1], outputs=outputs[1], leaky=leaky)

    def shallow_features(self, image: Tensor) -> Tensor:
        """(B, 1, H, W) in [0, 1] to (B, shallow, H, W) fp32."""
        with full_precision(image):
            return self.shallow(image.float())

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 1, H, W) in [0, 1] to shallow (B, shallow, H, W) and deep (B, outputs[1], H//8, W//8) features."""
        shallow = self.shallow_features(image)
        x = self.dense1(F.max_pool2d(shallow, 2))
        x = self.dense2(F.max_pool2d(x, 2))
        return shallow, F.max_pool2d(x, 2)


class ReconstructionDecoder(nn.Module):
    """Rebuilds the image from both feature maps."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = Conv(128, 64)
        self.conv2 = Conv(64, 64)
        self.conv3 = Conv(64, 32)
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

    parts: tuple[type[Encoder], type[nn.Module]] = Encoder, ReconstructionDecoder

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.decoder = (part() for part in self.parts)

    def forward(self, image: Tensor) -> Tensor:
        """(B, 1, H, W) in [0, 255] to its reconstruction in the same range, not clipped."""
        return self.decoder(*self.encoder(image / 255)) * 255
