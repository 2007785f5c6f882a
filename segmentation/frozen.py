"""Frozen segmenters: checkpoints of SMP, ONNX, TorchScript and torch.export files, and class maps for masks."""

import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch.nn import functional as F

from fuse2task.data.class_maps import ClassMap, classes_left_out
from fuse2task.data.dataset import named_files
from fuse2task.data.images import SUFFIXES, read_mask, write_image
from fuse2task.judges import SegmentationJudge
from fuse2task.runtime.compute import pick_device
from fuse2task.runtime.errors import Fuse2TaskError, RequestError, listing
from fuse2task.runtime.files import file_digest, value_hash, weights_digest
from fuse2task.runtime.packages import go_offline, onnx_session
from fuse2task.runtime.progress import say
from fuse2task.runtime.reading import check_regular, one_line, refuse_untrusted
from segmentation.evaluation import class_names
from segmentation.model import Segmenter
from segmentation.samples import IMAGENET, Normalisation

MAX_BYTES = 2**32  # of a file of weights
EXPORTED, SCRIPTED = (".pt2",), (".pt", ".pth", ".ts", ".torchscript")
BACKGROUND = "background"

Forward = Callable[[np.ndarray], np.ndarray]
"""Output of (1, 3, H, W) float32: (1, classes, h, w) scores, or (1, h, w) class indices."""


class SegmenterFile(SegmentationJudge):
    """A segmenter of another library in a file, or in the folder that SMP's `save_pretrained` writes.

    Args:
        weights: `.onnx`, `.pt2` of torch.export, TorchScript (`.pt`, `.ts`), or an SMP folder.
        classes: names in index order: msrs, fmb, cityscapes, voc, or a text file.
        size: (width, height) that images are resized to; without it they are given as they are (SMP: padded by
            reflection to a multiple of 32).
        mean, std: RGB statistics on [0, 1], ImageNet's by default.

    Raises:
        RequestError: unreadable, or a file that can run code and is not trusted (`--trust-pickle`).
    """

    version = 1

    def __init__(
        self, weights: Path, classes: str, size: Sequence[int] | None = None,
        mean: Sequence[float] = IMAGENET.mean, std: Sequence[float] = IMAGENET.std, device: str = "auto",
    ):  # fmt: skip
        self.classes, self._source = class_names(classes), weights
        sides = list(size or ())
        if sides and (len(sides) != 2 or not all(type(side) is int and 0 < side <= 8192 for side in sides)):
            raise RequestError(f"{weights}: size {size}: give [width, height] in pixels")
        if not (len(mean) == len(std) == 3 and all(float(value) > 0 for value in std)):
            raise RequestError(f"{weights}: mean and std are three numbers each, std above 0")
        self._size, self.image_size = tuple(sides), "x".join(map(str, sides))
        self._normalisation = Normalisation(tuple(map(float, mean)), tuple(map(float, std)))
        self._digest, self._stride = _digest(weights), 32 if weights.is_dir() else 1
        self._forward = _forward(weights, pick_device(device))

    def identity(self) -> dict[str, Any]:
        return {"name": "segmenter file", "version": self.version, "weights": self._digest, "size": list(self._size),
                "mean": list(self._normalisation.mean), "std": list(self._normalisation.std)}  # fmt: skip

    def segment(self, image: np.ndarray) -> np.ndarray:
        height, width = image.shape[:2]
        if self._size:
            image = cv2.resize(image, self._size, interpolation=cv2.INTER_LINEAR)
        down, right = -image.shape[0] % self._stride, -image.shape[1] % self._stride
        edges = ((down // 2, down - down // 2), (right // 2, right - right // 2), (0, 0))
        output = self._forward(self._normalisation(np.pad(image, edges, mode="reflect"))[None].numpy())
        if output.ndim == 4 and output.shape[1] == 1:
            output = output[:, 0]
        scores = np.issubdtype(output.dtype, np.floating)
        if output.ndim != (4 if scores else 3) or len(output) != 1 or (scores and output.shape[1] != len(self.classes)):
            raise RequestError(
                f"{self._source}: gives {output.dtype} of shape {output.shape} for one image; needed are scores "
                f"(1, {len(self.classes)}, h, w) of the {len(self.classes)} classes, or indices (1, h, w)"
            )
        if down or right:  # such a network gives a map of its input's size
            output = output[..., edges[0][0] :, edges[1][0] :][..., : image.shape[0], : image.shape[1]]
        if not scores:
            return cv2.resize(output[0].astype(np.int32), (width, height), interpolation=cv2.INTER_NEAREST)
        tensor = torch.from_numpy(np.ascontiguousarray(output, np.float32))
        return F.interpolate(tensor, (height, width), mode="bilinear", align_corners=False)[0].numpy()


@dataclass
class MappedSegmenter:
    """A segmenter whose masks are of the truth's classes; with the surface of `model.Segmenter`.

    table: (judge classes,) uint8, the truth's index of each. left_out: truth classes that the judge lacks.
    """

    judge: SegmentationJudge | Segmenter
    classes: tuple[str, ...]
    table: np.ndarray
    left_out: tuple[str, ...]

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """(H, W) uint8 indices of an (H, W, 3) uint8 RGB image.

        Raises:
            Fuse2TaskError: the judge gave another shape, an index outside its classes, or scores that are not finite.
        """
        found = np.asarray(self.judge.segment(image))
        if found.ndim == 3 and len(found) == len(self.table):
            if not np.isfinite(found).all():  # argmax would name a class all the same
                raise Fuse2TaskError("the segmenter gave values that are not finite; look at its weights")
            found = found.argmax(axis=0)
        if found.shape != image.shape[:2] or not np.issubdtype(found.dtype, np.integer):
            raise Fuse2TaskError(f"the segmenter gave {found.dtype} of shape {found.shape} for an image of "
                                 f"{image.shape[1]}x{image.shape[0]} and {len(self.table)} classes")  # fmt: skip
        if found.min() < 0 or found.max() >= len(self.table):
            raise Fuse2TaskError(f"the segmenter gave the index {int(found.max())}; it has {len(self.table)} classes")
        return self.table[found]


def match_masks(
    judge: Sequence[str], truth: Sequence[str], class_map: ClassMap | None, source: str = "the class map"
) -> tuple[np.ndarray, tuple[str, ...]]:
    """The truth's index of every judge class, (judge classes,) uint8, and the truth classes that the judge lacks.

    Without a map the two lists must be equal. With one, several judge classes may map to one, those that it does not
    name are background, and truth classes are left out as `masks_left_out` says.

    Raises:
        RequestError: names that do not match; no map where one is needed.
    """
    sides = f"the judge has {', '.join(judge)}; the truth has {', '.join(truth)}"
    if class_map is None:
        if tuple(judge) != tuple(truth):
            raise RequestError(f"the judge's classes are not the truth's; give a class_map ({sides})")
        return np.arange(len(truth), dtype=np.uint8), ()
    mapped = {key: value for key, value in class_map.items() if value is not None}
    if unknown := [key for key in mapped if key not in judge]:
        raise RequestError(f"{source}: {', '.join(unknown)}: not among the judge's classes ({sides})")
    left_out = masks_left_out(truth, class_map, source)
    rest = [name for name in judge if name not in mapped]
    if rest and (BACKGROUND not in truth or BACKGROUND in left_out):
        raise RequestError(f"{source}: maps {', '.join(rest)} to nothing, and the truth has no class {BACKGROUND}")
    return np.array([truth.index(mapped.get(name) or BACKGROUND) for name in judge], np.uint8), left_out


def masks_left_out(truth: Sequence[str], class_map: ClassMap, source: str = "the class map") -> tuple[str, ...]:
    """Truth classes to which the map maps no judge class; background only where the map says so, by null.

    Raises:
        RequestError: as `classes_left_out`.
    """
    found = classes_left_out(truth, class_map, source)
    return tuple(name for name in found if name != BACKGROUND or BACKGROUND in class_map)


def map_masks(folder: Path, names: Mapping[str, tuple[int, int]], table: np.ndarray, out: Path) -> None:
    """Write the masks that others predicted, of the truth's classes, to `out`/<id>.png.

    Args:
        folder: masks of indices below the table's length, named by pair id. names: id -> (width, height).
        table: as of `match_masks`.

    Raises:
        RequestError: missing masks, other sizes, indices outside the classes; all of them are listed.
    """
    files = named_files(folder, SUFFIXES, "masks")
    problems = [f"{name}: no mask" for name in names if name not in files]
    for name, size in names.items():
        if name not in files:
            continue
        mask = read_mask(files[name])
        if mask.shape != size[::-1]:
            problems.append(f"{files[name]}: {mask.shape[1]}x{mask.shape[0]}, but the image is {size[0]}x{size[1]}")
        elif mask.max() >= len(table):
            problems.append(f"{files[name]}: value {int(mask.max())} is not among {len(table)} classes")
        else:
            write_image(out / f"{name}.png", table[mask])
    if problems:
        raise RequestError(f"{folder}: masks that cannot be evaluated\n{listing(problems)}")
    if others := len(files.keys() - names.keys()):
        say(f"{folder}: {others} masks belong to no image that is evaluated; not used")


def _digest(path: Path) -> str:
    if not path.is_dir():
        check_regular(path, "weights file", MAX_BYTES)
        return weights_digest(path)
    return value_hash({name: file_digest(path / name) for name in ("config.json", "model.safetensors")})


def _forward(path: Path, device: torch.device) -> Forward:
    try:
        if path.suffix == ".onnx":
            return _onnx(path)
        if path.is_dir():
            module = _smp(path)
        elif path.suffix in EXPORTED + SCRIPTED:
            refuse_untrusted(path)  # both hold programs
            module = (torch.export.load(path).module() if path.suffix in EXPORTED
                      else torch.jit.load(path, map_location="cpu").eval())  # fmt: skip
        else:
            raise RequestError(f"{path}: segmenters are .onnx, .pt2, TorchScript (.pt, .ts) or a folder of SMP")
        module = module.to(device)
    except RequestError:
        raise
    except (RuntimeError, ValueError, KeyError, TypeError, AttributeError, OSError, zipfile.BadZipFile) as error:
        raise RequestError(f"{path}: not readable as a segmenter ({one_line(error)})") from None

    def forward(image: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            output = module(torch.from_numpy(image).to(device))
        if isinstance(output, Mapping):  # torchvision's
            output = output["out"]
        first = output[0] if isinstance(output, list | tuple) else output
        found: np.ndarray = first.cpu().numpy()
        return found

    return forward


def _onnx(path: Path) -> Forward:
    session = onnx_session(path)
    entries = session.get_inputs()
    if len(entries) != 1:
        raise RequestError(f"{path}: not readable as ONNX with one input (it has {len(entries)})")
    (entry,) = entries
    kind = np.float16 if entry.type == "tensor(float16)" else np.float32

    def forward(image: np.ndarray) -> np.ndarray:
        try:
            found: np.ndarray = session.run(None, {entry.name: image.astype(kind)})[0]
        except Exception as error:
            raise RequestError(f"{path}: does not take an image of {image.shape} ({one_line(error)}); its input is "
                               f"{entry.shape}: give size") from None  # fmt: skip
        return found

    return forward


def _smp(folder: Path) -> Any:
    go_offline()
    import segmentation_models_pytorch as smp

    return smp.from_pretrained(str(folder)).eval()
