"""COCO truth, read strictly: what pycocotools would crash on or ignore is refused."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from fuse2task.data.classes import check_names
from fuse2task.data.fused import verify_truth_at
from fuse2task.data.truth.boxes import FLAGS, FRACTIONS, IGNORED_FLAGS, are_fractions, parse_flags, policy
from fuse2task.runtime.errors import RequestError, listing
from fuse2task.runtime.files import read_json
from fuse2task.runtime.progress import say

LARGEST = 1e12  # no coordinate, area or score of an image is larger


def read_truth(truth: dict[str, Any] | Path, ignore: str | None = None) -> dict[str, Any]:
    """COCO ground truth with keys images, categories and annotations, checked.

    Every annotation of the returned copy has id, area (w * h where the file has none) and iscrowd, 1 for boxes that are
    ignored, as pycocotools needs them. Copies of a box of the same image and class count once, and a line on standard
    error says how many there are.

    ignore: flags whose boxes are ignored, as `truth.boxes.parse_flags` reads them; without it `ignore` and, as
    pycocotools does, `crowd`. `info.flags` says what is done with flagged boxes where that is not the usual.

    RequestError: unreadable, not COCO ground truth, no images or classes, ids or names that are repeated or of a wrong
    type, an annotation of an unknown image or category, a box that is not four finite numbers, sizes >= 0, or a crowd
    that is not to be ignored; a file of a fused dataset that is not as its manifest says.
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
    categories = [{"id": _plain(item.get("id"), whole=True), "name": item.get("name")} for item in categories]
    for image in images:
        image["id"] = _plain(image.get("id"))
    for what, values, kinds in (
        ("image id", [image.get("id") for image in images], (int, str)),
        ("category id", [item["id"] for item in categories], (int,)),
        ("category name", [item["name"] for item in categories], (str,)),
    ):
        if len({type(value) for value in values}) > 1 or type(values[0]) not in kinds or not all(map(_fits, values)):
            raise RequestError(f"{source}: a {what} is missing or no {' or '.join(kind.__name__ for kind in kinds)}")
        if len(set(values)) != len(values):
            raise RequestError(f"{source}: a {what} occurs twice; each must be unique")
    names = Counter(str(image["file_name"]) for image in images if "file_name" in image)
    if twice := [name for name, count in names.items() if count > 1]:
        raise RequestError(f"{source}: {len(twice)} file names are those of two images, such as {short(twice[0])}")
    for image in images:
        if not all(finite(image.get(key, 1)) and image.get(key, 1) > 0 for key in ("width", "height")):
            raise RequestError(f"{source}: image {short(image['id'])}: width and height must be numbers above 0")
    check_names(Path(source), [item["name"] for item in categories])
    annotations = [{"iscrowd": 0, **item, "id": number} for number, item in enumerate(parts[2] or (), start=1)]
    for key, known in (("image_id", images), ("category_id", categories)):
        by_text = {str(item["id"]): item["id"] for item in known}
        for item in annotations:
            item[key] = by_text.get(str(_plain(item.get(key))), item.get(key))
    problems = list(_bad_annotations(annotations, images, categories))
    if not problems:
        annotations = [{"area": item["bbox"][2] * item["bbox"][3], **item} for item in annotations]
        problems = [
            f"annotation {item['id'] - 1}: area must be a number of at least 0, iscrowd 0 or 1"
            for item in annotations
            if not (finite(item["area"]) and item["area"] >= 0 and item["iscrowd"] in (0, 1))
        ]
    if not problems and are_fractions(item["bbox"] for item in annotations):
        problems = [FRACTIONS]
    own = parse_flags(ignore) if ignore else (*IGNORED_FLAGS, "crowd")
    flagged = Counter[str]()
    if not problems and "crowd" not in own and any(item["iscrowd"] for item in annotations):
        problems = ["a crowd region (iscrowd) cannot be scored as one object; --ignore crowd ignores it"]
    if problems:
        raise RequestError(f"{source}: {len(problems)} bad annotations\n{listing(problems, 5)}")
    for item in annotations:  # pycocotools ignores by iscrowd alone
        flags = [flag for flag in FLAGS if item.get("iscrowd" if flag == "crowd" else flag) in (1, True)]
        ignored = not set(flags).isdisjoint(own)
        flagged.update(flag for flag in flags if not ignored or flag in own)
        item["iscrowd"] = int(ignored)
    info = content.get("info") if isinstance(content, dict) else None
    said = info.get("flags") if isinstance(info, dict) else None  # of a fused dataset, whose flags are all one here
    usual = ignore is None and not set(flagged) - {"crowd", "ignore"}
    said = said if isinstance(said, str) and said.isprintable() else "" if usual else policy(flagged, own)
    about = {"flags": said} if said else {}
    return {"info": about, "images": images, "categories": categories, "annotations": _once(source, annotations)}


def _plain(value: Any, whole: bool = False) -> Any:
    """An id, 1.0 as 1, and with `whole` "1" as well; whatever else as it is."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    return int(value) if whole and isinstance(value, str) and value.isdecimal() and len(value) < 19 else value


def _once(source: str, annotations: list[dict[str, Any]]) -> list[dict[str, Any]]:
    first: dict[tuple[Any, ...], dict[str, Any]] = {}
    for item in annotations:
        first.setdefault((item["image_id"], item["category_id"], *item["bbox"], item["iscrowd"]), item)
    if copies := len(annotations) - len(first):
        say(f"{source}: {copies} boxes are copies of another box of their image and class; each box counts once")
    return list(first.values())


def _bad_annotations(
    items: Iterable[dict[str, Any]], images: list[dict[str, Any]], categories: list[dict[str, Any]]
) -> Iterable[str]:
    image_ids, category_ids = {image["id"] for image in images}, {item["id"] for item in categories}
    for number, item in enumerate(items):
        box = item.get("bbox")
        for key, known in (("image_id", image_ids), ("category_id", category_ids)):
            value = item.get(key)
            if not isinstance(value, int | str) or isinstance(value, bool) or value not in known:
                yield f"annotation {number}: {key} {short(value)} is not in the truth"
                break
        else:
            if not (is_box(box) and min(item["bbox"][2:]) >= 0):
                yield f"annotation {number}: bbox {short(box)} is not [x, y, w, h] in finite numbers with w, h >= 0"


def is_box(value: Any) -> bool:
    """Whether `value` is four finite numbers."""
    return isinstance(value, list | tuple) and len(value) == 4 and all(map(finite, value))


def _fits(value: Any) -> bool:
    """Whether pycocotools' arrays can hold an id."""
    return isinstance(value, str) or (type(value) is int and abs(value) < 2**63)


def finite(value: Any) -> bool:
    """Whether `value` is a number of pixels or a score; larger ones would overflow in an area."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= LARGEST


def short(value: Any) -> str:
    """`value` for a message."""
    return repr(value)[:100]
