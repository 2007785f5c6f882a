"""Reading a fused dataset: the folder that `fuse2task fusion apply` writes."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from fuse2task.data.classes import check_names
from fuse2task.data.ids import is_safe_id, is_split_name
from fuse2task.runtime.errors import RequestError
from fuse2task.runtime.files import read_json

FORMAT = "fuse2task.fused"
_AGAIN = "fuse again into an empty folder"


@dataclass(frozen=True)
class FusedDataset:
    """A finished fused dataset on disk.

    truth: boxes (labels/ and annotations/ are there), masks (masks/ is there) or none.
    classes: names in id order; empty without truth.
    """

    root: Path
    manifest: dict[str, Any]
    truth: Literal["boxes", "masks", "none"]
    classes: tuple[str, ...]
    splits: tuple[str, ...]

    def ids(self, split: str) -> list[str]:
        """Pair ids of one split, sorted.

        Raises:
            RequestError: the dataset has no such split.
        """
        return [row["id"] for row in self.rows(split)]

    def rows(self, split: str) -> list[dict[str, Any]]:
        """The manifest's rows of one split, in the order of `ids`.

        Raises:
            RequestError: the dataset has no such split.
        """
        if split not in self.splits:
            raise RequestError(f"{self.root}: no split {split!r}; it has {', '.join(self.splits)}")
        return sorted((row for row in self.manifest["files"] if row["split"] == split), key=lambda row: row["id"])

    def images(self, split: str) -> list[Path]:
        """Fused image files of one split, in the order of `ids`."""
        return [self.root / "images" / split / f"{name}.png" for name in self.ids(split)]

    def masks(self, split: str) -> list[Path]:
        """Mask files of one split, in the order of `ids`."""
        self._needs("masks")
        return [self.root / "masks" / split / f"{name}.png" for name in self.ids(split)]

    def annotations(self, split: str) -> Path:
        """The COCO truth file of one split."""
        self._needs("boxes")
        self.ids(split)
        return self.root / "annotations" / f"{split}.json"

    def _needs(self, truth: str) -> None:
        if self.truth != truth:
            raise RequestError(
                f"{self.root}: fused with truth {self.truth!r}, but {truth} are needed; fuse it again with them"
            )


def open_fused(root: Path) -> FusedDataset:
    """Open the fused dataset in `root`.

    Raises:
        RequestError: there is no manifest (not a fused dataset, or not finished), it is of another format, or it
            names something that cannot be a file of the dataset.
    """
    path = Path(root) / "manifest.json"
    if not path.is_file():
        raise RequestError(
            f"{root}: not a finished fused dataset (no manifest.json); run `fuse2task fusion apply ... -o {root}` "
            "to make or finish it"
        )
    manifest = read_json(path, "manifest")
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise RequestError(f"{path}: not a manifest of a fused dataset")
    truth, rows = manifest.get("truth"), manifest.get("files")
    if not isinstance(truth, dict) or truth.get("kind") not in ("boxes", "masks", "none"):
        raise RequestError(f"{path}: damaged manifest (truth); {_AGAIN}")
    classes = truth.get("classes")
    if not isinstance(classes, list) or not all(isinstance(name, str) for name in classes):
        raise RequestError(f"{path}: damaged manifest (classes); {_AGAIN}")
    check_names(path, classes)
    if not isinstance(rows, list) or not all(map(_is_row, rows)):
        raise RequestError(f"{path}: damaged manifest (a row of files that names no file of the dataset); {_AGAIN}")
    if len({(row["split"], row["id"]) for row in rows}) < len(rows) or len(set(classes)) < len(classes):
        raise RequestError(f"{path}: damaged manifest (a file or a class is there twice); {_AGAIN}")
    splits = tuple(dict.fromkeys(row["split"] for row in rows))
    return FusedDataset(Path(root), manifest, truth["kind"], tuple(classes), splits)


def _is_row(row: Any) -> bool:
    # Ids and splits become paths: a manifest of others must lead nowhere else.
    return (
        isinstance(row, dict)
        and isinstance(row.get("id"), str)
        and is_safe_id(row["id"])
        and isinstance(row.get("split"), str)
        and is_split_name(row["split"])
    )
