"""Fused datasets: reading the folder that `fuse2task fusion apply` writes, and checking it against its manifest."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from fuse2task.data.classes import check_names
from fuse2task.data.dataset import is_safe_id, is_split_name
from fuse2task.runtime.errors import RequestError, listing
from fuse2task.runtime.files import file_digest, read_json, refuse_links, value_hash

FORMAT, VERSION = "fuse2task.fused", 1
FIX = "put the files back, or fuse again into an empty folder"


@dataclass(frozen=True)
class FusedDataset:
    """A finished fused dataset on disk. What asks for a split that it has not, or for another truth: RequestError.

    truth: boxes (in labels/ and annotations/), masks (in masks/) or none. classes: names in id order, empty without.
    """

    root: Path
    manifest: dict[str, Any]
    truth: Literal["boxes", "masks", "none"]
    classes: tuple[str, ...]
    splits: tuple[str, ...]

    @property
    def parts(self) -> list[Path]:
        """The files and folders that it is made of."""
        names = ("images", "labels", "masks", "annotations", "manifest.json", "data.yaml")
        return [self.root / name for name in names if (self.root / name).exists()]

    def ids(self, split: str) -> list[str]:
        """Pair ids of one split, sorted."""
        return [row["id"] for row in self.rows(split)]

    def rows(self, split: str) -> list[dict[str, Any]]:
        """The manifest's rows of one split, in the order of `ids`."""
        if split not in self.splits:
            raise RequestError(f"{self.root}: no split {split!r}; it has {', '.join(self.splits)}")
        return sorted((row for row in self.manifest["files"] if row["split"] == split), key=lambda row: row["id"])

    def images(self, split: str) -> list[Path]:
        """Fused image files of one split, in the order of `ids`."""
        return [self.root / "images" / split / f"{name}.png" for name in self.ids(split)]

    def masks(self, split: str) -> list[Path]:
        """Mask files of one split, in the order of `ids`."""
        self._needs("masks", split)
        return [self.root / "masks" / split / f"{name}.png" for name in self.ids(split)]

    def annotations(self, split: str) -> Path:
        """The COCO truth file of one split."""
        self._needs("boxes", split)
        return self.root / "annotations" / f"{split}.json"

    def _needs(self, truth: str, split: str) -> None:
        if self.truth != truth:
            raise RequestError(
                f"{self.root}: fused with truth {self.truth!r}, but {truth} are needed; fuse it again with them"
            )
        self.rows(split)


def open_fused(root: Path) -> FusedDataset:
    """Open the fused dataset in `root`.

    RequestError: no manifest (not a fused dataset, or unfinished), one of another format, a damaged one, or a link that
    leads out of the folder.
    """
    refuse_links(root)
    path = Path(root) / "manifest.json"
    if not path.is_file():
        raise RequestError(
            f"{root}: not a finished fused dataset (no manifest.json); run `fuse2task fusion apply ... -o {root}` "
            "to make or finish it"
        )
    manifest = read_json(path, "manifest")
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise RequestError(f"{path}: not a manifest of a fused dataset")
    if manifest.get("version") != VERSION:
        reason = f"version {manifest.get('version')!r}, but this fuse2task reads {VERSION}"
        raise RequestError(f"{path}: {reason}; fuse again into an empty folder")
    truth: Any = manifest.get("truth")
    rows: Any = manifest.get("files")
    classes: Any = truth.get("classes") if isinstance(truth, dict) else None
    problem = ""
    if not isinstance(truth, dict) or truth.get("kind") not in ("boxes", "masks", "none"):
        problem = "truth"
    elif not isinstance(classes, list) or not all(isinstance(name, str) for name in classes):
        problem = "classes"
    elif not isinstance(rows, list) or not all(map(_is_row, rows)):
        problem = "a row of files that names no file of the dataset"
    elif len({(row["split"], row["id"]) for row in rows}) < len(rows) or len(set(classes)) < len(classes):
        problem = "a file or a class is there twice"
    if problem:
        raise RequestError(f"{path}: damaged manifest ({problem}); fuse again into an empty folder")
    check_names(path, classes)
    splits = tuple(dict.fromkeys(row["split"] for row in rows))
    return FusedDataset(Path(root), manifest, truth["kind"], tuple(classes), splits)


def _is_row(row: Any) -> bool:
    # Ids and splits become paths: a manifest of others must lead nowhere else.
    name, split = (row.get("id"), row.get("split")) if isinstance(row, dict) else (None, None)
    return isinstance(name, str) and isinstance(split, str) and is_safe_id(name) and is_split_name(split)


def verify_images(dataset: FusedDataset, splits: Iterable[str]) -> None:
    """Compare every fused image of `splits` with its sha256 in the manifest.

    RequestError: files that are missing or differ, or a manifest without hashes; they are listed.
    """
    _refuse(dataset, splits, "image", "images", ".png")


def verify_truth(dataset: FusedDataset, splits: Iterable[str]) -> None:
    """Compare masks or YOLO labels of `splits` and COCO files of all splits with the manifest, as `verify_images`."""
    if dataset.truth == "masks":
        _refuse(dataset, splits, "label", "masks", ".png")
    elif dataset.truth == "boxes":
        _refuse(dataset, splits, "label", "labels", ".txt")
        verify_annotations(dataset)


def verify_annotations(dataset: FusedDataset) -> None:
    """Compare the COCO files of all splits with the manifest's hash of the truth. RequestError: they differ."""
    content = {split: read_json(dataset.annotations(split), "annotations") for split in dataset.splits}
    try:
        agrees = value_hash(content) == dataset.manifest["truth"].get("hash")
    except ValueError:  # NaN, which is in no truth of ours
        agrees = False
    if not agrees:
        raise RequestError(f"{dataset.root / 'annotations'}: not the truth that manifest.json names; {FIX}")


def verify_truth_at(path: Path) -> None:
    """Compare `annotations/<split>.json` or `masks/<split>` of a fused dataset with its manifest; skip other paths.

    RequestError: as `verify_images`, or a damaged manifest.
    """
    path = Path(path).resolve()
    root, kind = path.parent.parent, {"annotations": "boxes", "masks": "masks"}.get(path.parent.name)
    if kind is None or not (root / "manifest.json").is_file():
        return
    dataset = open_fused(root)
    if dataset.truth == kind == "boxes":
        verify_annotations(dataset)
    elif dataset.truth == kind and path.name in dataset.splits:
        verify_truth(dataset, [path.name])


def classes_at(path: Path) -> tuple[str, ...]:
    """The class names of the fused dataset that `masks/<split>` at `path` is part of; empty for other paths.

    RequestError: a damaged manifest.
    """
    path = Path(path).resolve()
    root = path.parent.parent
    if path.parent.name != "masks" or not (root / "manifest.json").is_file():
        return ()
    return open_fused(root).classes


def _refuse(dataset: FusedDataset, splits: Iterable[str], key: str, folder: str, suffix: str) -> None:
    problems = []
    for split in splits:
        place, rows = dataset.root / folder / split, {f"{row['id']}{suffix}": row for row in dataset.rows(split)}
        for name, row in rows.items():
            path = place / name
            if key not in row:
                problems.append(f"{path}: manifest.json has no hash of it")
            elif path.is_symlink():
                problems.append(f"{path}: a link")
            elif not path.is_file():
                problems.append(f"{path}: missing")
            elif file_digest(path) != row[key]:
                problems.append(f"{path}: altered")
        # Ultralytics takes an .npy beside an image for its pixels.
        found = sorted(path.name for path in place.iterdir()) if place.is_dir() else []
        problems += [f"{place / name}: manifest.json does not name it" for name in found if name not in rows]
    if problems:
        count = f"{len(problems)} files are not as manifest.json says"
        raise RequestError(f"{dataset.root}: {count}; {FIX}\n{listing(problems)}")
