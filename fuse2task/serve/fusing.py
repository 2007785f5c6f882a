"""One pair fused by a method, judged by a detector and scored: what the page shows."""

import base64
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fuse2task.data.dataset import Pair
from fuse2task.data.images import encode_png
from fuse2task.runtime.compute import pick_device
from fuse2task.runtime.errors import RequestError
from fuse2task.runtime.packages import plugin_names
from fuse2task.runtime.progress import say
from fusion.methods import METHODS, Method, make_method
from fusion.methods.registry import PLUGINS
from fusion.quality.definitions import definition
from fusion.quality.profiles import find_profile
from fusion.quality.scorer import score

if TYPE_CHECKING:
    from detection.judge import LoadedDetector

PROFILE = "standard"
SCORES = ("EN", "SD", "AG", "MI", "VIF", "Qabf", "SSIM")
LEAST_CONFIDENCE = 0.05  # boxes below are of no use to the eye; the page's slider begins here


class PairFuser:
    """Methods and a judge, loaded once."""

    def __init__(self, methods: Mapping[str, Method], judge: "LoadedDetector | None" = None):
        self.methods, self.judge = dict(methods), judge

    def options(self) -> dict[str, Any]:
        """What can be chosen: methods, the judge's classes (null without one), the scores' meaning."""
        profile = find_profile(PROFILE)
        scores = {item.name: definition(profile, item) for item in profile.chosen(SCORES)}
        return {"methods": list(self.methods), "classes": self.judge and list(self.judge.names), "scores": scores}

    def answer(self, method: str, infrared: np.ndarray, visible: np.ndarray) -> dict[str, Any]:
        """Fuse, judge and score one pair.

        method: one of `options()["methods"]`. infrared: (H, W) uint8. visible: (H, W, 3) RGB or (H, W) uint8.

        Returns JSON values: width, height, image (PNG as a data address), seconds (fusing alone), boxes (best first:
        x, y, w, h in pixels, class, score; null without a judge) and scores (null where not defined). RequestError: an
        unknown method, or one that cannot fuse an image of this size.
        """
        if method not in self.methods:
            raise RequestError(f"no method {method!r} here; there are {', '.join(self.methods)}")
        fuser, (height, width) = self.methods[method], infrared.shape
        pair = Pair("the pair", "test", Path(), Path(), (width, height))
        fuser.check([pair])
        started = time.perf_counter()
        fused = fuser.fuse(pair, infrared, visible)
        seconds = time.perf_counter() - started
        values = score(infrared, visible, fused.rgb, PROFILE, SCORES)
        image = "data:image/png;base64," + base64.b64encode(encode_png(fused.rgb)).decode("ascii")
        return {
            "method": method,
            "width": width,
            "height": height,
            "image": image,
            "seconds": seconds,
            "boxes": self._boxes(fused.rgb),
            "scores": {name: value if math.isfinite(value) else None for name, value in values.items()},
        }

    def _boxes(self, rgb: np.ndarray) -> list[dict[str, Any]] | None:
        if self.judge is None:
            return None
        found = self.judge.predict(np.ascontiguousarray(rgb[..., ::-1]), range(len(self.judge.names)))
        return [
            {
                "x": float(x1), "y": float(y1), "w": float(x2 - x1), "h": float(y2 - y1),
                "class": self.judge.names[int(index)], "score": float(confidence),
            }
            for x1, y1, x2, y2, confidence, index in found
            if confidence >= LEAST_CONFIDENCE
        ]  # fmt: skip


def load_fuser(checkpoint: Path | None = None, judge: Path | None = None, device: str = "auto") -> PairFuser:
    """Every method that can be made here (not one whose weights are missing, or a broken plug-in), and the judge.
    checkpoint: weights of crossfuse or crossfuse-plus, a file or the name of shipped ones, offered first. judge:
    weights, as `detection.judge.load_judge` takes them. RequestError: unreadable weights, an unknown device."""
    pick_device(device)  # refuses an unknown one before any method does
    given = [make_method(None, checkpoint, device)] if checkpoint else []
    methods: dict[str, Method] = {method.name: method for method in given}
    for name in (*METHODS, *plugin_names(PLUGINS)):
        if name in methods or name == "crossfuse":  # the paper's network, which has no weights but given ones
            continue
        try:
            methods[name] = make_method(name, None, device)
        except RequestError as error:
            say(f"{name} is not offered: {error}")
    if judge is None:
        return PairFuser(methods)
    from detection.judge import load_judge

    return PairFuser(methods, load_judge(judge, "auto" if judge.suffix == ".onnx" else device))
