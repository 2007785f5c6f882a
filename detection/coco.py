"""COCO truth and results, read strictly, and class maps: which class of a judge stands for which class of the truth.

What pycocotools would crash on or ignore is refused.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fuse2task.config.recipes import configs_folder
from fuse2task.data.classes import check_names
from fuse2task.data.fused import verify_truth_at
from fuse2task.runtime.errors import RequestError, listing
from fuse2task.runtime.files import file_digest, read_json, value_hash, write_json
from fuse2task.runtime.reading import read_yaml

FORMAT = "fuse2task.predictions"
LARGEST = 1e12  # no coordinate, area or score of an image is larger
ClassMap = Mapping[str, str | None]


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


@dataclass(frozen=True)
class Matching:
    """Judge class index -> COCO category id of the truth, and the truth classes that the judge lacks."""

    category: Mapping[int, int]
    left_out: tuple[str, ...]


def load_class_map(reference: str) -> dict[str, str | None]:
    """Judge class name -> truth class name, from a YAML file or a shipped map such as `m3fd-coco`. An entry whose value
    is null has a truth class as its key: one that the judge lacks. RequestError: no such map, not YAML, or not a
    mapping of names to names."""
    path, folder = Path(reference), configs_folder() / "class-maps"
    if not os.path.isfile(path):
        shipped = {file.stem: file for file in sorted(folder.glob("*.yaml"))}
        if reference not in shipped:
            names = ", ".join(shipped)
            raise RequestError(f"{reference}: no such class map file, and no shipped map of that name ({names})")
        path = shipped[reference]
    content = read_yaml(path, "class map")
    if not isinstance(content, dict) or not content:
        raise RequestError(f"{path}: a class map is YAML with lines `judge class: truth class`")
    for key, value in content.items():
        if not isinstance(key, str) or not isinstance(value, str | None):
            raise RequestError(f"{path}: {key!r}: {value!r} is not a pair of class names; put names in quotes")
    return content


def match_classes(
    judge: Sequence[str], truth: Mapping[str, int], class_map: ClassMap | None = None, source: str = "the class map"
) -> Matching:
    """Match the judge's classes (in index order) with those of the truth (name -> category id).

    Without a map every truth class must be a judge class of exactly the same name. With a map a truth
    class without an entry, or written `TruthName: null`, is left out. Several judge classes may map to one.
    RequestError: names that do not match (`source` names the map), or nothing left to predict.
    """
    sides = f"the judge has {', '.join(judge)}; the truth has {', '.join(truth)}"
    if class_map is None:
        if lacking := ", ".join(name for name in truth if name not in judge):
            fix = "give --class-map FILE with lines `judge class: truth class`"
            raise RequestError(f"the judge does not know the truth classes {lacking}; {fix} ({sides})")
        return Matching({judge.index(name): number for name, number in truth.items()}, ())
    mapped = {key: value for key, value in class_map.items() if value is not None}
    if unknown := ", ".join(key for key in mapped if key not in judge):
        raise RequestError(f"{source}: {unknown}: not among the judge's classes ({sides})")
    left_out = classes_left_out(truth, class_map, source)
    return Matching({judge.index(key): truth[value] for key, value in mapped.items()}, left_out)


def classes_left_out(truth: Iterable[str], class_map: ClassMap, source: str = "the class map") -> tuple[str, ...]:
    """Truth classes to which `class_map` maps no judge class. RequestError: a class that the truth does not have, or
    that is both null and mapped; an empty map."""
    names, targets = list(truth), [value for value in class_map.values() if value is not None]
    nulls = [key for key, value in class_map.items() if value is None]
    if absent := ", ".join(name for name in [*targets, *nulls] if name not in names):
        raise RequestError(f"{source}: {absent}: not among the truth's classes ({', '.join(names)})")
    if both := ", ".join(name for name in nulls if name in targets):
        raise RequestError(f"{source}: {both}: both null and mapped; keep one of the two lines")
    if not targets:
        raise RequestError(f"{source}: maps no judge class to a truth class ({', '.join(names)})")
    return tuple(name for name in names if name not in targets)
