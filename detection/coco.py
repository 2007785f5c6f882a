"""COCO truth and results, read strictly: what pycocotools would crash on or ignore is refused."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from fuse2task.data.classes import check_names
from fuse2task.data.fused import verify_truth_at
from fuse2task.runtime.errors import RequestError, listing
from fuse2task.runtime.files import file_digest, read_json, value_hash, write_json

FORMAT = "fuse2task.predictions"
LARGEST = 1e12  # no coordinate, area or score of an image is larger


def read_truth(truth: dict[str, Any] | Path) -> dict[str, Any]:
    """COCO ground truth with keys images, categories and annotations, checked.

    Every annotation of the returned copy has id, area (w * h where the file has none) and iscrowd (0 where
    the file has none), as pycocotools needs them. RequestError: unreadable, not COCO ground truth, no images or
    classes, ids or names that are repeated or of a wrong type, an annotation of an unknown image or category, or a box
    that is not four finite numbers, sizes >= 0; a file of a fused dataset that is not as its manifest says.
    """
    source, content = "the truth", truth
    if isinstance(truth, Path):
        source, content = str(truth), read_json(truth, "COCO truth file")
        verify_truth_at(truth)
    parts = [content.get(key) if isinstance(content, dict) else None for key in ("images", "categories", "annotations")]
    if not all(isinstance(part, list) and all(isinstance(item, dict) for item in part) for part in parts):
        raise RequestError(f"{source}: not COCO ground truth, lists of images, categories and annotations")
    images, categories = ([dict(item) for item in part or ()] for part in parts[:2])
    if not images or not categories:
        raise RequestError(f"{source}: COCO ground truth without {'images' if not images else 'categories'}")
    categories = [{"id": item.get("id"), "name": item.get("name")} for item in categories]
    for what, values, kinds in (
        ("image id", [image.get("id") for image in images], (int, str)),
        ("category id", [item["id"] for item in categories], (int,)),
        ("category name", [item["name"] for item in categories], (str,)),
    ):
        if len({type(value) for value in values}) > 1 or type(values[0]) not in kinds or not all(map(_fits, values)):
            raise RequestError(f"{source}: a {what} is missing or no {' or '.join(kind.__name__ for kind in kinds)}")
        if len(set(values)) != len(values):
            raise RequestError(f"{source}: a {what} occurs twice; each must be unique")
    for image in images:
        if not all(_finite(image.get(key, 1)) and image.get(key, 1) > 0 for key in ("width", "height")):
            raise RequestError(f"{source}: image {_short(image['id'])}: width and height must be numbers above 0")
    check_names(Path(source), [item["name"] for item in categories])
    annotations = [{"iscrowd": 0, **item, "id": number} for number, item in enumerate(parts[2] or (), start=1)]
    problems = list(_problems(annotations, images, categories, "annotation"))
    if not problems:
        annotations = [{"area": item["bbox"][2] * item["bbox"][3], **item} for item in annotations]
        problems = [
            f"annotation {item['id'] - 1}: area must be a number of at least 0, iscrowd 0 or 1"
            for item in annotations
            if not (_finite(item["area"]) and item["area"] >= 0 and item["iscrowd"] in (0, 1))
        ]
    if problems:
        raise RequestError(f"{source}: {len(problems)} bad annotations\n{listing(problems, 5)}")
    return {"info": {}, "images": images, "categories": categories, "annotations": annotations}


def read_predictions(predictions: list[dict[str, Any]] | Path, truth: dict[str, Any]) -> list[dict[str, Any]]:
    """COCO results, a list of {image_id, category_id, bbox [x, y, w, h], score}, checked against `truth`.

    predictions: the list (not modified) or its JSON file. truth: what `read_truth` gave. RequestError: unreadable, not
    such a list, numbers that are not finite, or predictions for images or categories that the truth does not have, or
    outside their image (they belong to another dataset).
    """
    source, content = "the predictions", predictions
    if isinstance(predictions, Path):
        source, content = str(predictions), read_json(predictions, "COCO result file")
    if not isinstance(content, list) or not all(isinstance(item, dict) for item in content):
        raise RequestError(f"{source}: COCO results are a list of {{image_id, category_id, bbox, score}}")
    if isinstance(predictions, Path):
        refuse_foreign(predictions, truth)
    problems = list(_problems(content, truth["images"], truth["categories"], "prediction"))
    for number, item in enumerate(content):
        if not _finite(item.get("score")):
            problems.append(f"prediction {number}: score {_short(item.get('score'))} is not a finite number")
    problems = problems or list(_outside(content, truth["images"]))
    if problems:
        reason = "predictions do not fit the truth; were they made for another dataset or split?"
        raise RequestError(f"{source}: {len(problems)} {reason}\n{listing(problems, 5)}")
    return [{key: item[key] for key in ("image_id", "category_id", "bbox", "score")} for item in content]


def _problems(
    items: Iterable[dict[str, Any]], images: list[dict[str, Any]], categories: list[dict[str, Any]], what: str
) -> Iterable[str]:
    image_ids, category_ids = {image["id"] for image in images}, {item["id"] for item in categories}
    for number, item in enumerate(items):
        box = item.get("bbox")
        for key, known in (("image_id", image_ids), ("category_id", category_ids)):
            value = item.get(key)
            if not isinstance(value, int | str) or isinstance(value, bool) or value not in known:
                yield f"{what} {number}: {key} {_short(value)} is not in the truth"
                break
        else:
            if not (isinstance(box, list | tuple) and len(box) == 4 and all(map(_finite, box)) and min(box[2:]) >= 0):
                yield f"{what} {number}: bbox {_short(box)} is not [x, y, w, h] in finite numbers with w, h >= 0"


def _outside(predictions: list[dict[str, Any]], images: list[dict[str, Any]]) -> Iterable[str]:
    """Predictions without a common point with their image; images without a size are taken to be endless."""
    sizes = {image["id"]: (image.get("width"), image.get("height")) for image in images}
    for number, item in enumerate(predictions):
        (width, height), (x, y, w, h) = sizes[item["image_id"]], item["bbox"]
        if (_finite(width) and not -w <= x <= width) or (_finite(height) and not -h <= y <= height):
            yield f"prediction {number}: bbox {item['bbox']} lies outside its image of {width}x{height}"


def _fits(value: Any) -> bool:
    """Whether pycocotools' arrays can hold an id."""
    return isinstance(value, str) or (type(value) is int and abs(value) < 2**63)


def _finite(value: Any) -> bool:
    """Whether `value` is a number of pixels or a score; larger ones would overflow in an area."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= LARGEST


def _short(value: Any) -> str:
    return repr(value)[:100]


def write_results(path: Path, results: list[dict[str, Any]], truth: dict[str, Any]) -> None:
    """Write COCO results, and `<stem>.about.json` beside them with the hashes of the results and of `images_hash`. COCO
    results hold image numbers alone, which other datasets have as well."""
    write_json(path, results)
    about = {"format": FORMAT, "predictions": file_digest(path), "images": images_hash(truth)}
    write_json(_beside(path), about)


def refuse_foreign(path: Path, truth: dict[str, Any]) -> None:
    """Refuse results that were made for other images or classes than those of `truth`. Without a file beside them, or
    with one that is of another state of the results, nothing is known. RequestError: they were; or the file beside them
    is damaged."""
    if not (beside := _beside(path)).is_file():
        return
    about = read_json(beside, "description of predictions")
    if not isinstance(about, dict) or about.get("format") != FORMAT:
        raise RequestError(f"{beside}: not a description of predictions; remove it, or predict again")
    if about.get("predictions") == file_digest(path) and about.get("images") != images_hash(truth):
        raise RequestError(
            f"{path}: predicted for other images or classes than this truth has ({beside.name} names them); "
            "give the truth of the dataset and split that was predicted"
        )


def images_hash(truth: dict[str, Any]) -> str:
    """Hash of the images (id, name, size) and classes of a COCO truth, whatever its boxes are."""
    keys = ("id", "file_name", "width", "height")
    images = sorted([str(image.get(key)) for key in keys] for image in truth["images"])
    return value_hash([images, sorted([item["id"], item["name"]] for item in truth["categories"])])


def _beside(path: Path) -> Path:
    return Path(path).with_suffix(".about.json")
