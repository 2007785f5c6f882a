"""CrossFuse as a method: a checkpoint applied to pairs of any size."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fuse2task.data.dataset import Pair
from fuse2task.data.images import luma, with_chroma_of
from fuse2task.runtime.compute import Precision, pick_device
from fuse2task.runtime.errors import Fuse2TaskError, RequestError
from fusion.checkpoint import load_crossfuse, network_name
from fusion.methods.base import Fused, LumaMethod
from fusion.network.crossfuse import MIN_SIDE
from fusion.network.inference import InferenceNetwork, pick_inference_precision

VERSIONS = {"fp32": 3, "bf16": 4}  # of the bytes that come out
BATCH_PIXELS = 1 << 22  # thirteen pairs of 640x480, in about 2 GiB of a GPU's memory


class CrossFuseMethod(LumaMethod):
    """Fuses luma with the network; files get the floor of its output, as the release writes them.

    name: `crossfuse` for the paper's network, `crossfuse-plus` or `crossfuse-task` for ours; None: by the checkpoint.
    memory: as for `InferenceNetwork`.

    Raises RequestError: unreadable weights, or a name that belongs to the other network.
    """

    def __init__(
        self, checkpoint: Path, device: str = "auto", precision: Precision = "auto", name: str | None = None,
        memory: float | None = None,
    ):  # fmt: skip
        self.device = pick_device(device)
        self.precision = pick_inference_precision(precision, self.device)
        self.network, self.tensor_hash = load_crossfuse(checkpoint)  # as trained: what costs are counted from
        own = network_name(self.network)
        self.name = name or own
        if (self.name == "crossfuse") != (own == "crossfuse"):
            raise RequestError(f"{checkpoint}: holds the network {own}; the method {self.name} is another, give {own}")
        self.batch_pixels = BATCH_PIXELS if self.device.type == "cuda" else 0  # nothing is saved by it on a CPU
        self.fast_network = InferenceNetwork(self.network, self.device, self.precision, memory)

    def identity(self) -> dict[str, Any]:
        version, checkpoint = VERSIONS[self.precision], self.tensor_hash
        return {"name": self.name, "version": version, "checkpoint": checkpoint, "precision": self.precision}

    def check(self, pairs: Sequence[Pair]) -> None:
        if small := [pair.id for pair in pairs if min(pair.size) < MIN_SIDE]:
            raise RequestError(f"{small[0]}: smaller than {MIN_SIDE}x{MIN_SIDE}, the least that CrossFuse can fuse")

    def fuse_batch(self, pairs: Sequence[Pair], images: Sequence[tuple[np.ndarray, np.ndarray]]) -> list[Fused]:
        grays = self._fuse_lumas([infrared for infrared, _ in images], [luma(visible) for _, visible in images])
        return [Fused(with_chroma_of(gray, visible), gray) for gray, (_, visible) in zip(grays, images, strict=True)]

    def fuse_luma(self, infrared: np.ndarray, visible: np.ndarray) -> np.ndarray:
        return self._fuse_lumas([infrared], [visible])[0]

    @torch.inference_mode()
    def _fuse_lumas(self, infrared: Sequence[np.ndarray], visible: Sequence[np.ndarray]) -> np.ndarray:
        ir, vi = (torch.from_numpy(np.stack(images)).to(self.device).float()[:, None] for images in (infrared, visible))
        fused = self.fast_network(ir, vi)[:, 0]
        if not bool(torch.isfinite(fused).all()):
            raise Fuse2TaskError(
                f"{self.name} gave values that are not finite; check the checkpoint, or use --precision fp32"
            )
        return fused.floor().clamp(0, 255).byte().cpu().numpy()
