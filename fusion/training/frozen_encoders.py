"""Deep features of frozen encoders: without a graph, and once only where a pair's sample never changes."""

from functools import partial

import torch
from torch import Tensor

from fusion.network.crossfuse import CrossFuseNetwork
from fusion.network.inference import InferenceEncoder
from fusion.training.kept_tensors import KeptTensors


class FrozenEncoders:
    """The encoders of a network that is trained on its device; on a CPU in fp32 those made for inference.

    kept: takes the features of every pair for its next turn; None where each turn shows another sample.
    """

    def __init__(self, network: CrossFuseNetwork, kept: KeptTensors | None):
        self.network, self.kept = network, kept
        self._fast: tuple[InferenceEncoder, InferenceEncoder] | None = None
        if next(network.parameters()).device.type == "cpu" and not torch.is_autocast_enabled("cpu"):
            self._fast = InferenceEncoder(network.encoder_ir), InferenceEncoder(network.encoder_vi)

    @torch.no_grad()
    def __call__(self, infrared: Tensor, visible: Tensor, numbers: Tensor) -> tuple[Tensor, Tensor]:
        """Deep features (B, 128, h, w) of infrared and visible samples (B, 1, H, W) of the pairs `numbers` (B,)."""
        if self.kept is None:
            return self._deep(infrared, visible)
        # One by one, so that they do not depend on which others a resumed run lacks.
        each = zip(numbers.tolist(), infrared.split(1), visible.split(1), strict=True)
        features = [self.kept.get(number, partial(self._of_a_pair, *pair)) for number, *pair in each]
        infrared_deep, visible_deep = torch.stack(features).to(infrared.device).unbind(1)
        return infrared_deep, visible_deep

    def _of_a_pair(self, infrared: Tensor, visible: Tensor) -> Tensor:
        # (2, 128, h, w), laid out as files will give it back
        return torch.cat(self._deep(infrared, visible)).cpu().contiguous()

    def _deep(self, infrared: Tensor, visible: Tensor) -> tuple[Tensor, Tensor]:
        if self._fast is None:
            features = self.network.features(infrared, visible)
            return features[0][1], features[1][1]
        return self._fast[0](infrared / 255)[1], self._fast[1](visible / 255)[1]
