"""NanoDet-plus-m (RangiLyu/nanodet) and YOLOX-nano (Megvii, arXiv 2107.08430) at 416 pixels, COCO, run by ncnn."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import ncnn
import numpy as np

from fuse2task.judges import DetectionJudge, Found
from fuse2task.runtime.errors import RequestError
from fuse2task.runtime.files import file_digest

SIDE = 416
# COCO's first ids, of the 80 that both networks score.
COCO = ("person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck")
CLASSES = COCO[:3]
SCORE, OVERLAP, MOST = 0.01, 0.65, 1000


class NcnnDetector(DetectionJudge):
    """A COCO detector in ncnn's two files: letterbox at the top left, scores above .01, NMS class by class.

    weights: the `.param` file; the `.bin` file lies beside it. classes: those to look for, out of `COCO`.
    """

    version = 2
    name: str
    image_size = str(SIDE)
    fill: int
    ends: tuple[str, str]  # input and output blob

    def __init__(self, weights: Path, classes: Sequence[str] = CLASSES):
        if unknown := [name for name in classes if name not in COCO]:
            raise RequestError(f"{self.name}: classes: {unknown[0]} is not among {', '.join(COCO)}")
        self.classes, self._columns = tuple(classes), [COCO.index(name) for name in classes]
        param = Path(weights)
        tensors = param.with_suffix(".bin")
        for path in (param, tensors):
            if not path.is_file():
                raise RequestError(f"{path}: no such file; {self.name} needs its .param and, beside it, its .bin")
        self._files = {path.suffix: file_digest(path) for path in (param, tensors)}
        self._net = ncnn.Net()
        self._net.opt.num_threads = 1
        text = self.rewritten(param.read_text("utf-8"))
        if self._net.load_param_mem(text) or self._net.load_model(str(tensors)):
            raise RequestError(f"{param}: ncnn cannot load it with {tensors.name}")

    def identity(self) -> dict[str, Any]:
        return {"name": self.name, "version": self.version, "ncnn": ncnn.__version__, "side": SIDE, "score": SCORE,
                "nms": OVERLAP, "boxes": MOST, "files": self._files}  # fmt: skip

    def detect(self, image: np.ndarray) -> Found:
        height, width = image.shape[:2]
        ratio = SIDE / max(height, width)
        size = (max(round(width * ratio), 1), max(round(height * ratio), 1))
        square = np.full((SIDE, SIDE, 3), self.fill, np.uint8)
        square[: size[1], : size[0]] = cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)
        boxes, scores = self.decoded(self._run(self.prepared(square)))
        boxes, scores, kinds = suppressed(boxes / ratio, scores[:, self._columns])
        boxes = np.clip(boxes, 0, [width, height, width, height])
        return boxes, scores, [self.classes[kind] for kind in kinds]

    def _run(self, planes: np.ndarray) -> np.ndarray:
        extractor = self._net.create_extractor()
        borrowed = np.ascontiguousarray(planes, np.float32)  # by the Mat, which keeps no reference
        extractor.input(self.ends[0], ncnn.Mat(borrowed).clone())
        status, output = extractor.extract(self.ends[1])
        if status:
            raise RequestError(f"{self.name}: ncnn gives no {self.ends[1]}; these are weights of another network")
        return np.array(output)

    def rewritten(self, param: str) -> str:
        """The text of the `.param` file as stock ncnn can load it."""
        return param

    def prepared(self, square: np.ndarray) -> np.ndarray:
        """The network's input (C, H, W) of an RGB square (SIDE, SIDE, 3) uint8."""
        raise NotImplementedError

    def decoded(self, output: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Boxes (N, 4) x1, y1, x2, y2 in pixels of the square, and scores (N, 80) of COCO's classes."""
        raise NotImplementedError


class NanoDet(NcnnDetector):
    """NanoDet-plus-m: distances to the four sides as expectations of a distribution over 0 to 7 (GFL)."""

    name, fill, ends = "nanodet-plus-m", 0, ("data", "output")
    strides = (8, 16, 32, 64)
    bins = 8

    def prepared(self, square: np.ndarray) -> np.ndarray:
        bgr = square[..., ::-1].astype(np.float32)
        return ((bgr - (103.53, 116.28, 123.675)) * (0.017429, 0.017507, 0.017125)).transpose(2, 0, 1)

    def decoded(self, output: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        points, strides = grid(self.strides)
        scores, logits = output[:, : -4 * self.bins], output[:, -4 * self.bins :].reshape(-1, 4, self.bins)
        powers = np.exp(logits - logits.max(axis=2, keepdims=True))
        sides = (powers / powers.sum(axis=2, keepdims=True)) @ np.arange(self.bins)
        centres = np.tile(points, 2)
        boxes = (centres + sides * (-1, -1, 1, 1)) * strides[:, None]
        return boxes, scores


class YoloX(NcnnDetector):
    """YOLOX-nano, whose first layer (space to depth) is done here: stock ncnn has none such."""

    name, fill, ends = "yolox-nano", 114, ("683", "output")
    strides = (8, 16, 32)

    def rewritten(self, param: str) -> str:
        magic, counts, *layers = param.splitlines()
        kept = [layer for layer in layers if not layer.startswith(("YoloV5Focus", "Input"))]
        if len(kept) != len(layers) - 2:
            raise RequestError(f"{self.name}: its .param has no Input and YoloV5Focus; get the ncnn files of YOLOX")
        blob = next(layer for layer in layers if layer.startswith("YoloV5Focus")).split()[-1]
        number, blobs = map(int, counts.split())
        return "\n".join([magic, f"{number - 1} {blobs - 1}", f"Input focused 0 1 {blob}", *kept, ""])

    def prepared(self, square: np.ndarray) -> np.ndarray:
        rgb = (square / 255 - (0.485, 0.456, 0.406)) / (0.229, 0.224, 0.225)
        quarters = [rgb[0::2, 0::2], rgb[1::2, 0::2], rgb[0::2, 1::2], rgb[1::2, 1::2]]
        return np.concatenate(quarters, axis=2).transpose(2, 0, 1)

    def decoded(self, output: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        points, strides = grid(self.strides)
        centres = (output[:, :2] + points) * strides[:, None]
        halves = np.exp(output[:, 2:4]) * strides[:, None] / 2
        scores = output[:, 4:5] * output[:, 5:]
        return np.concatenate([centres - halves, centres + halves], axis=1), scores


def grid(strides: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Points (N, 2) x, y of all maps of a square in units of their stride, and the strides (N,)."""
    points, scales = [], []
    for stride in strides:
        side = -(-SIDE // stride)
        y, x = np.mgrid[:side, :side]
        points.append(np.stack([x, y], axis=-1).reshape(-1, 2))
        scales.append(np.full(side * side, stride))
    return np.concatenate(points), np.concatenate(scales)


def suppressed(boxes: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Boxes (M, 4), scores (M,) and classes (M,) that non-maximum suppression leaves, best first.

    Args:
        boxes: (N, 4) x1, y1, x2, y2. scores: (N, C); every one above the threshold is a box of its class.
    """
    best = np.argsort(-scores, axis=0, kind="stable")[:MOST]  # of each class, whichever others are looked for
    columns = np.broadcast_to(np.arange(scores.shape[1]), best.shape)
    chosen = scores[best, columns] > SCORE
    points, kinds = best[chosen], columns[chosen]
    found, values = boxes[points].astype(np.float64), scores[points, kinds].astype(np.float64)
    rectangles = np.concatenate([found[:, :2], found[:, 2:] - found[:, :2]], axis=1)
    kept = cv2.dnn.NMSBoxesBatched(rectangles.tolist(), values.tolist(), kinds.tolist(), SCORE, OVERLAP)
    order = sorted(np.asarray(kept, int).reshape(-1), key=lambda index: -values[index])
    return found[order], values[order], kinds[order]
