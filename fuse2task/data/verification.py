"""Whether a fused dataset is still what its manifest says: the guard before every training and evaluation."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from fuse2task.data.fused import FusedDataset, open_fused
from fuse2task.runtime.errors import RequestError, listing
from fuse2task.runtime.files import read_json
from fuse2task.runtime.hashing import file_digest, value_hash

MEND = "put the files back, or fuse again into an empty folder"


def verify_images(dataset: FusedDataset, splits: Iterable[str]) -> None:
    """Compare every fused image of `splits` with its sha256 in the manifest.

    Raises:
        RequestError: files that are missing or differ, or a manifest without hashes; they are listed.
    """
    _refuse(dataset, splits, "image", "images", ".png")


def verify_truth(dataset: FusedDataset, splits: Iterable[str]) -> None:
    """Compare the truth with the manifest: masks or YOLO labels of `splits` by sha256, COCO files of all splits by
    the hash of their content.

    Raises:
        RequestError: as `verify_images`.
    """
    if dataset.truth == "none":
        return
    folder, suffix = ("masks", ".png") if dataset.truth == "masks" else ("labels", ".txt")
    _refuse(dataset, splits, "label", folder, suffix)
    if dataset.truth == "boxes":
        verify_annotations(dataset)


def verify_annotations(dataset: FusedDataset) -> None:
    """Compare the COCO files of all splits with the manifest's hash of the truth.

    Raises:
        RequestError: as `verify_images`.
    """
    content = {split: read_json(dataset.annotations(split), "annotations") for split in dataset.splits}
    try:
        agrees = value_hash(content) == dataset.manifest["truth"].get("hash")
    except ValueError:  # NaN, which is in no truth of ours
        agrees = False
    if not agrees:
        raise RequestError(f"{dataset.root / 'annotations'}: not the truth that manifest.json names; {MEND}")


def verify_truth_at(path: Path) -> None:
    """Compare `annotations/<split>.json` or `masks/<split>` of a fused dataset with its manifest; any other path is
    taken as it is.

    Raises:
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


def _refuse(dataset: FusedDataset, splits: Iterable[str], key: str, folder: str, suffix: str) -> None:
    problems = [text for split in splits for text in _problems(dataset, split, key, folder, suffix)]
    if problems:
        raise RequestError(
            f"{dataset.root}: {len(problems)} files are not as manifest.json says; {MEND}\n{listing(problems)}"
        )


def _problems(dataset: FusedDataset, split: str, key: str, folder: str, suffix: str) -> Iterator[str]:
    for row in dataset.rows(split):
        path = dataset.root / folder / split / f"{row['id']}{suffix}"
        if key not in row:
            yield f"{path}: manifest.json has no hash of it"
        elif not path.is_file():
            yield f"{path}: missing"
        elif file_digest(path) != row[key]:
            yield f"{path}: altered"
