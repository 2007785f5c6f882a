"""CrossFuse for users of Python: arrays in, array out; weights from a file, from the package, or from a hub."""

from pathlib import Path
from typing import Literal

import numpy as np

from fuse2task.data.images import luma, with_chroma_of
from fuse2task.runtime.device import Precision
from fuse2task.runtime.errors import RequestError
from fusion.methods.crossfuse import CrossFuseMethod
from fusion.network.crossfuse import MIN_SIDE
from fusion.shipped_weights import find_checkpoint


class CrossFuse:
    """A trained CrossFuse on one device.

    Args:
        checkpoint: a safetensors file, the name of shipped weights, or None for the default ones.
        device: auto, cpu, cuda, cuda:1, mps.
        precision: auto, fp32 or bf16.

    Raises:
        RequestError: no such weights, damaged or of another network; a device that is not there.
    """

    def __init__(self, checkpoint: str | Path | None = None, device: str = "auto", precision: Precision = "auto"):
        self.checkpoint = find_checkpoint(None if checkpoint is None else Path(checkpoint))
        self._method = CrossFuseMethod(self.checkpoint, device, precision)

    def fuse(self, infrared: np.ndarray, visible: np.ndarray, color: Literal["rgb", "gray"] = "rgb") -> np.ndarray:
        """Fuse one registered pair, as `fuse2task fusion pairs` does.

        Args:
            infrared: (H, W) uint8.
            visible: (H, W, 3) RGB or (H, W) grey, uint8.
            color: rgb adds the visible image's chroma, gray gives the fused luma alone.

        Returns:
            (H, W, 3) RGB or (H, W), uint8.

        Raises:
            RequestError: another dtype or shape, sizes that differ, a side below 16.
        """
        _check(infrared, visible)
        gray = self._method.fuse_luma(np.ascontiguousarray(infrared), luma(visible))
        return gray if color == "gray" else with_chroma_of(gray, visible)

    @classmethod
    def from_pretrained(cls, name: str | Path, device: str = "auto", precision: Precision = "auto") -> "CrossFuse":
        """Weights that `save_pretrained` or `push_to_hub` wrote: a local folder, or a model's name on the hub.

        Raises:
            RequestError: neither can be found, or a damaged file.
        """
        from fusion.hub import find_pretrained

        return cls(find_pretrained(name), device, precision)

    def save_pretrained(self, folder: str | Path) -> Path:
        """Write weights and model card into a folder that `from_pretrained` reads; returns the weights' file."""
        from fusion.hub import write_pretrained

        return write_pretrained(self.checkpoint, Path(folder))

    def push_to_hub(self, name: str, private: bool = True, token: str | None = None) -> str:
        """Upload weights and model card as `name` (owner/model) to the Hugging Face hub; returns the page's address.

        Raises:
            RequestError: huggingface_hub is missing.
            Fuse2TaskError: the hub cannot be reached, or refuses.
        """
        from fusion.hub import upload

        return upload(self.checkpoint, name, private, token)


def _check(infrared: np.ndarray, visible: np.ndarray) -> None:
    shapes = f"infrared {infrared.dtype} {infrared.shape}, visible {visible.dtype} {visible.shape}"
    if infrared.dtype != np.uint8 or visible.dtype != np.uint8:
        raise RequestError(f"{shapes}: images are uint8, 0 to 255")
    if infrared.ndim != 2 or not (visible.ndim == 2 or (visible.ndim == 3 and visible.shape[2] == 3)):
        raise RequestError(f"{shapes}: infrared is (H, W), visible (H, W, 3) RGB or (H, W)")
    if infrared.shape != visible.shape[:2] or min(infrared.shape) < MIN_SIDE:
        raise RequestError(f"{shapes}: a pair has one size, at least {MIN_SIDE}x{MIN_SIDE}; register it first")
