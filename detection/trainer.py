"""Strict version of Ultralytics' detection trainer: no image dropped, no setting changed, no label cache."""

import math
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from fuse2task.runtime.errors import Fuse2TaskError, RequestError, listing
from fuse2task.runtime.packages import quiet_ultralytics

quiet_ultralytics()

from ultralytics.data import base  # noqa: E402
from ultralytics.data.dataset import YOLODataset  # noqa: E402
from ultralytics.models.rtdetr.train import RTDETRTrainer  # noqa: E402
from ultralytics.models.yolo.detect import DetectionTrainer  # noqa: E402
from ultralytics.utils import TQDM  # noqa: E402
from ultralytics.utils.torch_utils import unwrap_model  # noqa: E402

# The one bar of Ultralytics that is drawn whatever its log level, into logs too and with escape codes.
base.TQDM = lambda *arguments, **options: TQDM(*arguments, **{**options, "disable": True})


class StrictDataset(YOLODataset):
    """Ultralytics' dataset without its label cache (a pickle beside the labels) and without dropping."""

    def _load_or_scan_cache(self, cache_path: Path, cache_hash: str) -> tuple[dict[str, Any], bool]:
        with tempfile.TemporaryDirectory() as folder:
            scanned = self.cache_labels(Path(folder) / "labels.cache")
        _, missing, _, corrupt, _ = scanned["results"]
        if missing or corrupt:
            raise RequestError(
                f"{cache_path.with_suffix('')}: {missing} label files missing and {corrupt} images or label "
                f"files unusable; fuse the dataset again\n{listing(scanned['msgs'], 5)}"
            )
        return scanned, False


class StrictTrainer(DetectionTrainer):
    """Trains on exactly the images in `expected` (split folder -> file stems), from `initial` if given."""

    pads_to_rectangles = True  # images of a validation batch, instead of to squares

    def __init__(
        self, overrides: dict[str, Any], expected: Mapping[Path, Sequence[str]], initial: torch.nn.Module | None
    ):
        self._expected, self._initial = expected, initial
        super().__init__(overrides=overrides)

    def build_dataset(self, img_path: str, mode: str = "train", batch: int | None = None) -> StrictDataset:
        """The dataset of one split folder, checked to hold the expected images."""
        stride = max(int(unwrap_model(self.model).stride.max()), 32)
        dataset = StrictDataset(
            img_path=img_path, imgsz=self.args.imgsz, batch_size=batch, augment=mode == "train",
            hyp=self.args, rect=mode == "val" and self.pads_to_rectangles, cache=self.args.cache or None, stride=stride,
            pad=0.0 if mode == "train" else 0.5, prefix=f"{mode}: ", task="detect", data=self.data,
        )  # fmt: skip
        expected = self._expected[Path(img_path)]
        different = sorted({Path(file).stem for file in dataset.im_files} ^ set(expected))
        if different:
            reason = f"{len(different)} images do not correspond to the manifest; fuse the dataset again"
            raise RequestError(f"{img_path}: {reason}\n{listing(different, 5)}")
        return dataset

    def get_model(self, cfg: Any = None, weights: Any = None, verbose: bool = True) -> torch.nn.Module:
        """A new network, with the initial weights copied in where there are any."""
        model = super().get_model(cfg=cfg, weights=None, verbose=False)
        if self._initial is not None:
            own, given = model.state_dict(), self._initial.state_dict()
            head = f"model.{len(model.model) - 1}."  # class count and names may differ, all else may not
            unlike = [
                name for name in own.keys() | given.keys()
                if not name.startswith(head)
                and (name not in own or name not in given or own[name].shape != given[name].shape)
            ]  # fmt: skip
            if unlike:
                raise RequestError(
                    f"weights: their architecture is not that of model {self.args.model} ({len(unlike)} tensors "
                    "differ); give the model that they were trained as"
                )
            model.load(self._initial, verbose=False)
        return model

    def refuse_changes(self, batch: int) -> None:
        """Fuse2TaskError where Ultralytics would continue: smaller batch after out-of-memory, loss not finite."""
        if self.batch_size != batch:
            raise Fuse2TaskError(f"batch {batch} does not fit the device's memory; train with a smaller batch=N")
        bad = ", ".join(name for name, value in (self.tloss or {}).items() if not math.isfinite(float(value)))
        if bad:
            fix = "lower lr0 or train without amp"
            raise Fuse2TaskError(f"epoch {self.epoch + 1}: the loss is not finite ({bad}); {fix}")


class StrictRTDETRTrainer(StrictTrainer, RTDETRTrainer):
    """The same of RT-DETR, with its network and validator."""

    pads_to_rectangles = False
