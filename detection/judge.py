"""Loaded detectors (judges) and their predictions on fused datasets."""

import ast
import contextlib
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from detection.coco import read_truth
from detection.weights import TORCHVISION_FORMAT, load_network
from fuse2task.data.class_maps import ClassMap, Matching, match_classes
from fuse2task.data.fused import FusedDataset, verify_images
from fuse2task.data.images import as_rgb, read_ahead, read_visible
from fuse2task.runtime.checkpoints import peek_format
from fuse2task.runtime.compute import pick_device
from fuse2task.runtime.errors import Fuse2TaskError, RequestError, listing
from fuse2task.runtime.files import weights_digest
from fuse2task.runtime.packages import onnx_session, quiet_ultralytics
from fuse2task.runtime.progress import Meter
from fuse2task.runtime.reading import NOT_FETCHED, check_regular, one_line

CONFIDENCE = 0.001  # Ultralytics' own for validation: AP needs the whole precision-recall curve
NMS_IOU = 0.7
MAX_BOXES = 300
MAX_BYTES = 2**30  # of a weights file
SIDES = (32, 4096)  # pixels; of the square that a judge may ask for
TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16}  # of an ONNX network's input
# Raw YOLO output, (1, 4 + classes, boxes) or end to end (1, boxes, 6), of (1, 3, S, S) float32 RGB in [0, 1].
Forward = Callable[[torch.Tensor], torch.Tensor]


class LoadedDetector:
    """Detector weights with what prediction needs. names: classes in index order. image_size: side of the square
    letterbox in pixels. digest: sha256 of the weights file; hash: its first 12 hex digits. source: what messages call
    it, its file."""

    batch_size = 1
    nms: float | None = NMS_IOU  # None: the network's own

    def __init__(
        self, forward: Forward, names: Sequence[str], image_size: int, digest: str, device: torch.device,
        source: object = "the judge",
    ):  # fmt: skip
        quiet_ultralytics()
        from ultralytics.data.augment import LetterBox

        least, most = SIDES
        if not least <= image_size <= most:
            raise RequestError(f"{source}: made for images of {image_size} pixels; a judge takes {least} to {most}")
        self._forward, self._device, self._source = forward, device, source
        self.names, self.image_size, self.digest, self.hash = tuple(names), image_size, digest, digest[:12]
        self._letterbox = LetterBox((image_size, image_size), auto=False)

    def predict(self, image: np.ndarray, classes: Sequence[int]) -> np.ndarray:
        """Boxes in one image, best first.

        Equal to Ultralytics' predictor with rect off, conf 0.001, iou 0.7, max_det 300: square letterbox, one
        class a box, other classes removed before suppression, boxes clipped to the image.

        image: (H, W, 3) uint8 BGR. classes: judge class indices to keep. Returns (N, 6) float32 with x1, y1, x2, y2 in
        pixels of `image`, score, class index; N <= 300. Fuse2TaskError: the network gave NaN or infinite values.
        """
        from ultralytics.utils.ops import scale_boxes

        square = self._letterbox(image=image)
        tensor = torch.from_numpy(np.ascontiguousarray(square[..., ::-1].transpose(2, 0, 1))[None])
        with torch.inference_mode():
            raw = self._forward(tensor.to(self._device).float() / 255)
            if not bool(torch.isfinite(raw).all()):  # suppression would drop such boxes without a word
                reason = "gave values that are not finite; the weights are damaged or overflow"
                raise Fuse2TaskError(f"{self._source}: {reason}")
            found = self._chosen(raw, classes)
            found[:, :4] = scale_boxes(square.shape[:2], found[:, :4], image.shape[:2])
        return found.cpu().numpy()

    def _chosen(self, raw: torch.Tensor, classes: Sequence[int]) -> torch.Tensor:
        """(N, 6) of the raw output: boxes of `classes` in the letterbox, best first."""
        from ultralytics.utils.nms import non_max_suppression

        return non_max_suppression(raw, CONFIDENCE, NMS_IOU, classes=list(classes), max_det=MAX_BOXES)[0]

    def predict_batch(self, images: Sequence[np.ndarray], classes: Sequence[int]) -> list[np.ndarray]:
        """`predict` of each image."""
        return [self.predict(image, classes) for image in images]


class TorchvisionDetector(LoadedDetector):
    """A network of torchvision as a judge, in eval mode when it is used. Letterbox, least score and most boxes are as
    for all others, suppression is the network's own."""

    nms = None

    def __init__(
        self, module: torch.nn.Module, names: Sequence[str], image_size: int, digest: str, device: torch.device,
        source: object = "the judge",
    ):  # fmt: skip
        heads: Any = getattr(module, "roi_heads", module)
        heads.score_thresh, heads.detections_per_img = CONFIDENCE, MAX_BOXES

        def forward(images: torch.Tensor) -> torch.Tensor:
            (found,) = module(list(images))
            classes = found["labels"].to(images.dtype) - 1  # 0 is torchvision's background
            return torch.cat([found["boxes"], found["scores"][:, None], classes[:, None]], dim=1)

        super().__init__(forward, names, image_size, digest, device, source)

    def _chosen(self, raw: torch.Tensor, classes: Sequence[int]) -> torch.Tensor:
        chosen = raw[torch.isin(raw[:, 5], torch.tensor(list(classes), dtype=raw.dtype, device=raw.device))]
        return chosen[chosen[:, 4].argsort(descending=True, stable=True)]


class Detector(Protocol):
    """What `predict` needs of a judge; `predict_batch` as that of `LoadedDetector`."""

    names: tuple[str, ...]
    batch_size: int

    def predict_batch(self, images: Sequence[np.ndarray], classes: Sequence[int]) -> list[np.ndarray]: ...


def load_judge(path: Path, device: str = "auto") -> LoadedDetector:
    """The judge in a weights file: `.onnx` (which runs on the CPU), `.pt`, or `.safetensors` of a training run. device:
    as in `pick_device`. RequestError: no such file, unreadable, not a detector, a pickle that the user has not said to
    trust, or an ONNX judge without onnxruntime."""
    path = Path(path)
    if path.suffix not in (".onnx", ".pt", ".safetensors"):
        known = ".onnx, .pt or .safetensors (RUN/best.safetensors of a training run)"
        raise RequestError(f"{path}: judge weights are {known}")
    check_regular(path, "weights file", MAX_BYTES, NOT_FETCHED)
    digest = weights_digest(path)
    if path.suffix == ".onnx":
        if device not in ("auto", "cpu"):
            raise RequestError(f"{path}: an ONNX judge runs on the CPU, not on {device!r}; use --device cpu")
        return LoadedDetector(*_load_onnx(path), digest, torch.device("cpu"), path)
    where = pick_device(device)
    if path.suffix == ".safetensors" and peek_format(path) == TORCHVISION_FORMAT:
        from detection.torchvision_networks import load_torchvision

        found = load_torchvision(path)
        return TorchvisionDetector(found.module.to(where), found.names, found.image_size, digest, where, path)
    network = load_network(path)
    module = network.module.fuse(verbose=False).to(where)  # type: ignore[operator]

    def forward(image: torch.Tensor) -> torch.Tensor:
        output = module(image)
        output = output[0] if isinstance(output, list | tuple) else output
        if network.is_rtdetr:
            centre, half, rest = output[..., :2], output[..., 2:4] / 2, output[..., 4:]
            output = torch.cat([torch.cat([centre - half, centre + half], -1) * image.shape[-1], rest], -1)
        return output

    return LoadedDetector(forward, network.names, network.image_size, digest, where, path)


def _load_onnx(path: Path) -> tuple[Forward, tuple[str, ...], int]:
    """Network, classes and image size. RequestError: no onnxruntime, or no Ultralytics detector with a square input."""
    session = onnx_session(path)
    about = session.get_modelmeta().custom_metadata_map
    try:
        names, size = ast.literal_eval(about["names"]), ast.literal_eval(about["imgsz"])
        (entry,) = session.get_inputs()
        sides = zip(entry.shape, (1, 3, *size), strict=True)
        shape = [given if isinstance(given, int) else usual for given, usual in sides]
        kind, ordered = TYPES[entry.type], tuple(str(names[index]) for index in sorted(names))
    except Exception as error:  # metadata of others may be anything
        reason = f"no usable {one_line(error, 80)} in its metadata"
        raise RequestError(f"{path}: not a YOLO detector exported by Ultralytics ({reason})") from None
    if about.get("task") != "detect" or shape[:2] != [1, 3] or shape[2] != shape[3]:
        raise RequestError(
            f"{path}: task {about.get('task')!r}, input {entry.shape}; a judge is a detector with one "
            "square 3-channel input, export it with batch=1 and a square imgsz"
        )

    def forward(image: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(session.run(None, {entry.name: image.numpy().astype(kind)})[0]).float()

    return forward, ordered, shape[2]


def predict(
    dataset: FusedDataset, split: str, judge: Detector, class_map: ClassMap | None = None,
    source: str = "the class map",
) -> tuple[list[dict[str, Any]], tuple[str, ...]]:  # fmt: skip
    """Run `judge` over every image of `split` of a fused dataset with boxes.

    class_map: judge class name -> truth class name (`fuse2task.data.class_maps`); `source` names it in messages.

    Returns COCO results (image_id and category_id of the truth file, bbox x, y, w, h in pixels, score; floats as the
    judge gave them), images in id order, boxes best first; and the truth classes the judge lacks. RequestError: no such
    split, no boxes, images or truth that are not as the manifest says or do not correspond, unmatched classes.
    """
    truth_file = dataset.annotations(split)
    verify_images(dataset, [split])
    truth = read_truth(truth_file)
    matching = match_classes(judge.names, {item["name"]: item["id"] for item in truth["categories"]}, class_map, source)
    image_ids = _image_ids(truth, dataset.ids(split), truth_file)
    results: list[dict[str, Any]] = []
    paths, size = dataset.images(split), max(judge.batch_size, 1)
    with Meter(f"predict {split}", len(paths)) as meter, contextlib.closing(read_ahead(paths)) as images:
        for batch in (paths[start : start + size] for start in range(0, len(paths), size)):
            shown = list(islice(images, len(batch)))
            results += predict_images(judge, matching, shown, [image_ids[path.stem] for path in batch])
            meter.advance(len(batch))
    return results, matching.left_out


def predict_images(
    judge: Detector, matching: Matching, images: Sequence[np.ndarray], image_ids: Sequence[int]
) -> list[dict[str, Any]]:
    """COCO results of images (H, W, 3) uint8 RGB in one call."""
    found = judge.predict_batch([np.ascontiguousarray(image[..., ::-1]) for image in images], sorted(matching.category))
    return [
        {
            "image_id": image_id,
            "category_id": matching.category[int(index)],
            "bbox": [float(x1), float(y1), float(x2) - float(x1), float(y2) - float(y1)],
            "score": float(score),
        }
        for image_id, boxes in zip(image_ids, found, strict=True)
        for x1, y1, x2, y2, score, index in boxes
    ]


def predict_image(judge: Detector, matching: Matching, path: Path, image_id: int) -> list[dict[str, Any]]:
    """`predict_images` of one image file (a grey one is shown to the judge in three equal channels)."""
    return predict_images(judge, matching, [as_rgb(read_visible(path))], [image_id])


def _image_ids(truth: dict[str, Any], ids: Sequence[str], truth_file: Path) -> dict[str, int]:
    found = {Path(str(image.get("file_name", ""))).stem: image["id"] for image in truth["images"]}
    different = sorted(found.keys() ^ set(ids))
    if different or len(found) < len(truth["images"]):
        count = f"{len(different)} images are only in the truth or only in the dataset"
        raise RequestError(f"{truth_file}: {count}; fuse it again\n{listing(different, 5)}")
    return found
