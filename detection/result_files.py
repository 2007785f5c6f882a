"""Files of predictions, with a file beside each that says which images they were made for."""

from pathlib import Path
from typing import Any

from fuse2task.runtime.errors import RequestError
from fuse2task.runtime.files import read_json, write_json
from fuse2task.runtime.hashing import file_digest, value_hash

FORMAT = "fuse2task.predictions"


def write_results(path: Path, results: list[dict[str, Any]], truth: dict[str, Any]) -> None:
    """Write COCO results, and `<stem>.about.json` beside them with the hashes of the results and of `images_hash`.

    A list of results says by itself nothing but image numbers, which other datasets have as well.
    """
    write_json(path, results)
    about = {"format": FORMAT, "predictions": file_digest(path), "images": images_hash(truth)}
    write_json(_beside(path), about)


def refuse_foreign(path: Path, truth: dict[str, Any]) -> None:
    """Refuse results that were made for other images or classes than those of `truth`.

    Without a file beside them, or with one that is of another state of the results, nothing is known.

    Raises:
        RequestError: they were; or the file beside them is damaged.
    """
    if not _beside(path).is_file():
        return
    about = read_json(_beside(path), "description of predictions")
    if not isinstance(about, dict) or about.get("format") != FORMAT:
        raise RequestError(f"{_beside(path)}: not a description of predictions; remove it, or predict again")
    if about.get("predictions") == file_digest(path) and about.get("images") != images_hash(truth):
        raise RequestError(
            f"{path}: predicted for other images or classes than this truth has ({_beside(path).name} names them); "
            "give the truth of the dataset and split that was predicted"
        )


def images_hash(truth: dict[str, Any]) -> str:
    """Hash of the images (id, name, size) and classes of a COCO truth, whatever its boxes are."""
    images = sorted(
        [str(image.get(key)) for key in ("id", "file_name", "width", "height")] for image in truth["images"]
    )
    return value_hash([images, sorted([item["id"], item["name"]] for item in truth["categories"])])


def _beside(path: Path) -> Path:
    return Path(path).with_suffix(".about.json")
