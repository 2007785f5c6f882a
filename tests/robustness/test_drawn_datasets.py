"""Drawn datasets: layout x names x image format x truth x one damage, against plain NumPy and pycocotools code.

The slow test draws 2 000, about two minutes of a core; the environment variable FUSE2TASK_DRAWS sets another number.
"""

import contextlib
import io
import json
import os
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from detection.average_precision import evaluate as average_precision
from fuse2task.data import layouts
from fuse2task.data.check import count
from fuse2task.data.loading import scan_dataset
from fuse2task.data.truth.coco import coco_truth
from segmentation.evaluation import evaluate as intersection_over_union

W, H = 40, 32
CLASSES = ("person", "car", "bike")
SHAPES = ("plain", "nested", "linked", "named", "parts", "parts anew")
NAMES = ("{}", "{:05d}", "image {}", "Grün_{}", "a.b__{}")
FORMATS = ("png", "jpg", "JPEG", "bmp", "tif", "webp", "ppm")
TRUTHS = ("voc", "yolo", "coco", "masks")
HARMLESS = ("none", "copy of a box", "half a pixel outside", "one pixel outside", "other files", "hidden", "odd ids")
REFUSED = {
    "no partner": "missing-partner", "no truth": "missing-truth", "far outside": "box-outside",
    "unknown class": "unknown-class", "value of no class": "mask-value",
}  # fmt: skip
OPTION = {"voc": "annotations", "yolo": "boxes", "coco": "annotations", "masks": "masks"}
Rows = list[tuple[str, float, float, float, float]]


@dataclass
class Item:
    """A pair as it was drawn: its place below the folders, its split, its boxes or mask."""

    folder: str
    name: str
    split: str
    boxes: Rows = field(default_factory=list)
    mask: np.ndarray | None = None


class Drawn:
    """A dataset on disk, and what it holds."""

    def __init__(self, seed: int, root: Path):
        self.root, self.random = root, Random(seed)
        self.noise = np.random.default_rng(seed)
        self.shape, self.truth = self.random.choice(SHAPES), self.random.choice(TRUTHS)
        fitting = [*HARMLESS, *REFUSED]
        only_boxes = ("copy of a box", "half a pixel outside", "one pixel outside", "far outside", "unknown class")
        other = ("value of no class",) if self.truth != "masks" else (*only_boxes, "odd ids")
        never = ("unknown class",) if self.truth == "voc" else ()  # its classes are those of the files
        self.damage = self.random.choice([item for item in fitting if item not in (*other, *never)])
        self.layout, form = f"drawn{seed}", self.random.choice(NAMES)
        places = {"nested": ("day/", "night/"), "linked": ("day/", "night/")}.get(self.shape, ("", ""))
        self.items = []
        for number in range(self.random.randint(2, 4)):
            second = number % 2
            split = ("train", "test")[second] if self.shape.startswith("parts") else "test"
            name = form.format(number // 2 if self.shape == "parts anew" else number)
            self.items.append(Item(places[second], name, split))
        self._draw_truth()
        self._write_images()
        (self._write_masks if self.truth == "masks" else self._write_boxes)()
        self._describe()

    def _draw_truth(self) -> None:
        for item in self.items:
            if self.truth == "masks":
                item.mask = self.noise.choice([0, 1, 2, 255], (H, W), p=[0.5, 0.3, 0.15, 0.05]).astype(np.uint8)
                continue
            for _ in range(self.random.randint(1, 3)):
                x, y = self.random.randrange(1, W - 12), self.random.randrange(1, H - 12)
                size = self.random.randrange(3, 12), self.random.randrange(3, 12)
                item.boxes.append((self.random.choice(CLASSES), x, y, *size))
            item.boxes = list(dict.fromkeys(item.boxes))

    def _files(self, camera: str, item: Item) -> Path:
        if self.shape == "named":
            return self.root / "all" / f"{item.name}_{camera}"
        if self.shape.startswith("parts"):
            return self.root / item.split / camera / item.name
        return self.root / camera / item.folder / item.name

    def _write_images(self) -> None:
        for number, item in enumerate(self.items):
            for camera in ("ir", "vi"):
                path = self._files(camera, item)
                if self.damage == "no partner" and (number, camera) == (0, "vi"):
                    continue
                if self.shape == "linked" and item.folder == "night/" and not path.parent.is_dir():
                    store = self.root / "store" / camera
                    store.mkdir(parents=True)
                    path.parent.parent.mkdir(parents=True, exist_ok=True)
                    os.symlink(store, self.root / camera / "night")
                path.parent.mkdir(parents=True, exist_ok=True)
                channels = (3,) if camera == "vi" or self.random.random() < 0.3 else ()
                pixels = self.noise.integers(0, 256, (H, W, *channels), dtype=np.uint8)
                Image.fromarray(pixels).save(f"{path}.{self.random.choice(FORMATS)}")
        place = self._files("ir", self.items[0]).parent
        if self.damage == "other files":
            (place / "Thumbs.db").write_bytes(b"x")
            (place / "README").write_text("x")
        if self.damage == "hidden":
            (place / "._a.png").write_bytes(b"x")

    def _truth_name(self, item: Item) -> str:
        part = f"{item.split}/" if self.shape.startswith("parts") else item.folder
        camera = self.random.choice(("", "_ir", "_vi")) if self.shape == "named" else ""
        return f"{part}{item.name}{camera}"

    def _write_masks(self) -> None:
        (self.root / "truth").mkdir()
        (self.root / "truth" / "classes.txt").write_text("".join(f"{name}\n" for name in CLASSES))
        for number, item in enumerate(self.items):
            if number or self.damage != "no truth":
                path = self.root / "truth" / f"{self._truth_name(item)}.png"
                path.parent.mkdir(exist_ok=True)
                assert item.mask is not None
                pixels = item.mask.copy()
                if self.damage == "value of no class" and not number:
                    pixels[0, 0] = 77
                Image.fromarray(pixels).save(path)

    def _written(self, number: int) -> Rows:
        """The boxes that the files hold for an item, the damage among them."""
        rows = list(self.items[number].boxes)
        more: dict[str, Rows] = {
            "copy of a box": rows[:1] * 2, "half a pixel outside": [("car", -0.4, 3, 10, 10)],
            "one pixel outside": [("car", 3, H - 9, 10, 10)], "far outside": [("car", -3, 3, 10, 10)],
            "unknown class": [("tree", 3, 3, 10, 10)],
        }  # fmt: skip
        return rows + more.get(self.damage, []) if number == 0 else rows

    def expected(self, number: int) -> Rows:
        """The boxes that count: inside the image, each once."""
        rows = []
        for name, x, y, w, h in self._written(number):
            left, top, right, bottom = max(x, 0), max(y, 0), min(x + w, W), min(y + h, H)
            rows.append((name, left, top, right - left, bottom - top))
        return list(dict.fromkeys(rows))

    def _write_boxes(self) -> None:
        (self.root / "truth").mkdir()
        present = [n for n in range(len(self.items)) if n or self.damage != "no truth"]
        if self.truth == "coco":
            odd = self.damage == "odd ids"
            images = [
                {"id": f"id {n}" if odd else n, "file_name": f"{self._truth_name(self.items[n])}.jpg"} for n in present
            ]
            categories = [{"id": (n + 1) * (7 if odd else 1), "name": name} for n, name in enumerate(CLASSES)]
            ids = {item["name"]: item["id"] for item in categories} | {"tree": 999}
            boxes = [(image["id"], row) for n, image in zip(present, images, strict=True) for row in self._written(n)]
            annotations = [
                {"id": n, "image_id": image, "category_id": ids[name], "bbox": box, "area": box[2] * box[3]}
                for n, (image, (name, *box)) in enumerate(boxes)
            ]
            content = {"images": images, "annotations": annotations, "categories": categories}
            (self.root / "truth" / "a.json").write_text(json.dumps(content))
            return
        if self.truth == "yolo":
            (self.root / "truth" / "classes.txt").write_text("".join(f"{name}\n" for name in CLASSES))
        for n in present:
            path = self.root / "truth" / f"{self._truth_name(self.items[n])}.{'xml' if self.truth == 'voc' else 'txt'}"
            path.parent.mkdir(exist_ok=True)
            path.write_text(self._voc(n) if self.truth == "voc" else self._yolo(n))

    def _voc(self, number: int) -> str:
        rows = "".join(
            f"<object><name>{name}</name><bndbox><xmin>{x}</xmin><ymin>{y}</ymin><xmax>{x + w}</xmax>"
            f"<ymax>{y + h}</ymax></bndbox></object>"
            for name, x, y, w, h in self._written(number)
        )
        return f"<annotation>{rows}</annotation>"

    def _yolo(self, number: int) -> str:
        form = "{:.1f}" if self.damage == "odd ids" else "{}"
        known = {name: at for at, name in enumerate((*CLASSES, "tree"))}
        return "".join(
            f"{form.format(known[name])} {(x + w / 2) / W!r} {(y + h / 2) / H!r} {w / W!r} {h / H!r}\n"
            for name, x, y, w, h in self._written(number)
        )

    def _describe(self) -> None:
        folders = '[{infrared: ir, visible: vi, template: "{}"}]'
        names = ""
        if self.shape == "named":
            folders, names = "[{infrared: all, visible: all}]", 'names: {infrared: "{}_ir", visible: "{}_vi"}\n'
        elif self.shape.startswith("parts"):
            parts = (
                f'{{infrared: ir, visible: vi, template: "{part}/{{}}", split: {part}}}' for part in ("train", "test")
            )
            folders = f"[{', '.join(parts)}]"
        (self.root / f"{self.layout}.yaml").write_text(f"folders: {folders}\n{names}")


def plain_ap(drawn: Drawn, perfect: bool) -> float:
    """AP by pycocotools, from what was drawn."""
    ids = {name: at for at, name in enumerate(CLASSES, 1)}
    rows = [(n, ids[name], box) for n in range(len(drawn.items)) for name, *box in drawn.expected(n)]
    truth, found = COCO(), COCO()
    common = {"images": [{"id": n} for n in range(len(drawn.items))], "categories": [{"id": n} for n in ids.values()]}
    boxes = [
        {
            "id": n,
            "image_id": image,
            "category_id": kind,
            "bbox": box,
            "area": box[2] * box[3],
            "iscrowd": 0,
            "score": 1,
        }
        for n, (image, kind, box) in enumerate(rows, 1)
    ]
    truth.dataset = {**common, "annotations": [dict(item) for item in boxes]}
    found.dataset = {**common, "annotations": boxes if perfect else []}
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        found.createIndex()
        run = COCOeval(truth, found, "bbox")
        run.evaluate()
        run.accumulate()
    precision = run.eval["precision"][..., 0, -1]
    return float(precision[precision > -1].mean())


def plain_miou(pairs: list[tuple[np.ndarray, np.ndarray]]) -> float:
    """Mean IoU over the classes that truth or prediction has, pixels of 255 left out."""
    truth, found = (np.concatenate([both[side].ravel() for both in pairs]) for side in (0, 1))
    truth, found = truth[truth != 255], found[truth != 255]
    ious = []
    for value in range(len(CLASSES)):
        union = ((truth == value) | (found == value)).sum()
        if union:
            ious.append(((truth == value) & (found == value)).sum() / union)
    return float(np.mean(ious))


def check_boxes(drawn: Drawn, dataset) -> None:
    plain = Counter((item.split, row[0]) for n, item in enumerate(drawn.items) for row in drawn.expected(n))
    found = {(split, name): n for split, row in count(dataset)["boxes"].items() for name, n in row.items() if n}
    assert found == plain
    truth = coco_truth(dataset.pairs, dataset.boxes)
    perfect = [
        {"image_id": item["image_id"], "category_id": item["category_id"], "bbox": item["bbox"], "score": 1.0}
        for item in truth["annotations"]
    ]
    for predictions in (perfect, []):
        assert average_precision(truth, predictions)["AP"] == pytest.approx(plain_ap(drawn, bool(predictions)))


def check_masks(drawn: Drawn, dataset) -> None:
    masks = [item.mask for item in drawn.items if item.mask is not None]
    plain = np.bincount(np.concatenate([mask.ravel() for mask in masks]), minlength=256)
    expected = {name: int(plain[at]) for at, name in enumerate(CLASSES)} | {"ignored": int(plain[255])}
    assert {"ignored": 0, **count(dataset)["pixels"]} == expected
    for perfect in (True, False):
        out = drawn.root / f"predictions{perfect}"
        predicted = []
        for path in sorted((drawn.root / "truth").rglob("*.png")):
            mask = np.asarray(Image.open(path))
            predicted.append((mask, np.where(mask == 255, 0, mask) if perfect else np.zeros_like(mask)))
            target = out / path.relative_to(drawn.root / "truth")
            target.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(predicted[-1][1]).save(target)
        scores = intersection_over_union(drawn.root / "truth", out, CLASSES)
        assert scores["mIoU"] == pytest.approx(plain_miou(predicted))


def check(seed: int) -> str:
    """Draw a dataset and compare; returns what was drawn."""
    with tempfile.TemporaryDirectory() as folder:
        drawn = Drawn(seed, Path(folder))
        try:
            layout = str(drawn.root / f"{drawn.layout}.yaml")
            dataset, findings = scan_dataset(drawn.root, layout, **{OPTION[drawn.truth]: drawn.root / "truth"})
            what = f"{seed}: {drawn.shape}, {drawn.truth}, {drawn.damage}"
            kinds = {finding.kind for finding in findings}
            # What is refused may take others with it: without a partner, a whole part may be gone.
            refused = drawn.damage in REFUSED
            assert REFUSED[drawn.damage] in kinds if refused else not kinds, (what, findings)
            if drawn.damage not in REFUSED:
                assert Counter(pair.split for pair in dataset.pairs) == Counter(item.split for item in drawn.items), (
                    what
                )
                unused = {"other files": 2, "hidden": 1}.get(drawn.damage, 0)
                assert sum("not used" in note for note in dataset.notes) == bool(unused), (what, dataset.notes)
                try:
                    (check_masks if drawn.truth == "masks" else check_boxes)(drawn, dataset)
                except AssertionError as error:
                    raise AssertionError(f"{what}: {error}") from error
        finally:
            layouts.LAYOUTS.pop(drawn.layout, None)
        return f"{drawn.shape}, {drawn.truth}, {drawn.damage}"


def test_drawn_datasets_have_the_counts_and_scores_of_plain_code():
    assert len({check(seed) for seed in range(50)}) > 30


@pytest.mark.slow
def test_many_drawn_datasets_have_the_counts_and_scores_of_plain_code():
    for seed in range(1000, 1000 + int(os.environ.get("FUSE2TASK_DRAWS", "2000"))):
        check(seed)
