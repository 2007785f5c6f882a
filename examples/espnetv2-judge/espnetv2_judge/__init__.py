"""ESPNetv2 with the weights of its authors, Cityscapes or PASCAL VOC, as a frozen segmenter."""

import pickle
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch.nn import functional as F

from espnetv2_judge.network import ESPNetv2
from fuse2task.data.classes import CITYSCAPES, VOC
from fuse2task.judges import SegmentationJudge
from fuse2task.runtime.compute import pick_device
from fuse2task.runtime.errors import RequestError
from fuse2task.runtime.files import file_digest

CLASSES = (*CITYSCAPES, "other")  # the last is what the authors' training gave to all other pixels
MEAN, STD = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])


class FrozenESPNetv2(SegmentationJudge):
    """Images are resized to the size of the training, logits back to the image's.

    weights: a state dict of the release (`.pth`). size: width and height in pixels, multiples of 16.
    """

    version = 1

    def __init__(self, weights: Path, classes: tuple[str, ...], size: tuple[int, int], device: str = "auto"):
        self.classes, self.size, self.image_size = classes, size, "x".join(map(str, size))
        self._hash, self._device = file_digest(Path(weights)), pick_device(device)
        try:
            state = torch.load(weights, map_location="cpu", weights_only=True)
            self._network = ESPNetv2(len(classes))
            self._network.load_state_dict(state)
        except (RuntimeError, pickle.UnpicklingError, TypeError, AttributeError) as error:
            said = str(error).splitlines()[0]
            raise RequestError(f"{weights}: not ESPNetv2 (s = 2.0) with {len(classes)} classes ({said})") from None
        self._network.to(self._device).eval()

    def identity(self) -> dict[str, Any]:
        return {"name": "espnetv2", "version": self.version, "weights": self._hash, "size": list(self.size)}

    @torch.inference_mode()
    def segment(self, image: np.ndarray) -> np.ndarray:
        pixels = cv2.resize(image, self.size, interpolation=cv2.INTER_LINEAR).astype(np.float32) / 255
        planes = torch.from_numpy(((pixels - MEAN) / STD).transpose(2, 0, 1)[None].copy())
        logits = self._network(planes.to(self._device))
        return F.interpolate(logits, image.shape[:2], mode="bilinear", align_corners=False)[0].cpu().numpy()


def cityscapes(weights: Path, device: str = "auto") -> FrozenESPNetv2:
    """`espnetv2_s_2.0_city_1024x512.pth`, on images of 1024x768."""
    return FrozenESPNetv2(weights, CLASSES, (1024, 768), device)


def voc(weights: Path, device: str = "auto") -> FrozenESPNetv2:
    """`espnetv2_s_2.0_pascal_384x384.pth`, on images of 512x384."""
    return FrozenESPNetv2(weights, VOC, (512, 384), device)
