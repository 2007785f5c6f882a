"""COCO result files: our own and those of other tools, matched with the truth's images and classes."""

import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from detection.coco import finite, is_box, short
from fuse2task.data.truth.coco import id_text
from fuse2task.runtime.errors import RequestError, listing
from fuse2task.runtime.files import file_digest, read_json, value_hash, write_json
from fuse2task.runtime.progress import say

FORMAT = "fuse2task.predictions"
COUNTED = "they count as they are in pycocotools, and hardly match anything"
BESIDE = 0.1  # of an image's longer side: how far outside it a box may lie, as those of padded inputs do


def read_predictions(predictions: list[dict[str, Any]] | Path, truth: dict[str, Any]) -> list[dict[str, Any]]:
    """COCO results, a list of {image_id, category_id, bbox [x, y, w, h], score}, checked against `truth`.

    A `file_name`, which Ultralytics writes beside the number that it read from the name, decides which image is meant.
    Else it is the `image_id`, one of the truth or, as text, the name of its file. Ids are compared as text, so that 1,
    1.0 and "1" are one; names after NFC. Boxes a little outside their image and sizes between -1
    and 0 count as they do in pycocotools (they match nothing) and are reported in one line on standard error.

    Args:
        predictions: the list or its JSON file; not modified.
        truth: what `detection.coco.read_truth` gave.

    Returns:
        The predictions with the truth's own ids.

    Raises:
        RequestError: unreadable, not such a list, numbers that are not finite, predictions for images or categories
            that the truth does not have, a `file_name` that contradicts the `image_id`, a text that is the id of one
            image and the name of another, or a box far outside its image (they belong to another dataset).
    """
    source = f"{predictions}" if isinstance(predictions, Path) else "the predictions"
    content = read_json(predictions, "COCO result file") if isinstance(predictions, Path) else predictions
    if not isinstance(content, list) or not all(isinstance(item, dict) for item in content):
        raise RequestError(f"{source}: COCO results are a list of {{image_id, category_id, bbox, score}}")
    if isinstance(predictions, Path):
        refuse_foreign(predictions, truth)
    image_of, category_of = _image_finder(truth["images"]), _finder(item["id"] for item in truth["categories"])
    sizes = {image["id"]: (image.get("width"), image.get("height")) for image in truth["images"]}
    read: list[dict[str, Any]] = []
    problems: list[str] = []
    odd: Counter[str] = Counter()
    for number, item in enumerate(content):
        box, score = item.get("bbox"), item.get("score")
        category = category_of(item.get("category_id"))
        try:
            image = image_of(item)
        except ValueError as error:
            problems.append(f"prediction {number}: {error}")
            continue
        if category is None:
            problems.append(f"prediction {number}: category_id {short(item.get('category_id'))} is not in the truth")
        elif not is_box(box) or min(box[2:]) <= -1:
            problems.append(f"prediction {number}: bbox {short(box)} is not [x, y, w, h] in finite numbers, w, h >= 0")
        elif not finite(score):
            problems.append(f"prediction {number}: score {short(score)} is not a finite number")
        elif (beyond := _beyond(box, *sizes[image])) > BESIDE:
            width, height = sizes[image]
            problems.append(f"prediction {number}: bbox {box} lies outside its image of {width}x{height}")
        else:
            odd["lie outside their image"] += beyond > 0
            odd["have a negative size"] += min(box[2:]) < 0
            width, height = sizes[image]
            corners = (
                finite(width) and finite(height) and (box[0] + box[2] > 1.1 * width or box[1] + box[3] > 1.1 * height)
            )
            odd["reach far beyond their image, as [x1, y1, x2, y2] would in place of [x, y, w, h]"] += bool(corners)
            read.append({"image_id": image, "category_id": category, "bbox": box, "score": score})
    if problems:
        raise RequestError(
            f"{source}: {len(problems)} predictions do not fit the truth; were they made for another dataset "
            f"or split?\n{listing(problems, 5)}\n{_two_lists(content, truth)}"
        )
    if isinstance(predictions, Path) and not _beside(predictions).is_file():
        _say_numbers(source, content, truth["images"])
        if without := len(sizes.keys() - {item["image_id"] for item in read}):
            say(f"{source}: nothing found in {without} of {len(sizes)} images of the truth, which all count")
    for what, count in odd.items():
        if count:
            say(f"{source}: {count} of {len(read)} predictions {what}; {COUNTED}")
    if read and all(max(item["bbox"]) <= 1 for item in read) and any(max(item["bbox"]) > 0 for item in read):
        say(f"{source}: all boxes lie within two pixels; coordinates are in pixels, not fractions of the image")
    return read


def _finder(ids: Iterable[Any]) -> Callable[[Any], Any]:
    """A function that finds the id which is written like a value; None where there is none."""
    known = {_text(value): value for value in ids}
    return lambda value: known.get(_text(value))


def _text(value: Any) -> str | None:
    """`id_text`; None for what can be no id."""
    try:
        return id_text(value)
    except ValueError:
        return None


def _image_finder(images: list[dict[str, Any]]) -> Callable[[dict[str, Any]], Any]:
    """A function that finds the id of a prediction's image; it raises a ValueError that says why there is none."""
    by_id = _finder(image["id"] for image in images)
    names = {_nfc(image["file_name"]): image["id"] for image in images if "file_name" in image}
    stems = _unique({name: _stem(name) for name in names})
    ids_of_stems = {stem: names[name] for name, stem in stems.items()}

    def named(name: str) -> Any:
        name = _nfc(name)
        return next(
            (known[key] for known in (names, ids_of_stems) for key in (name, _stem(name)) if key in known), None
        )

    def find(item: dict[str, Any]) -> Any:
        number, name = item.get("image_id"), item.get("file_name")
        if not isinstance(name, str) or not names:
            found, other = by_id(number), named(number) if isinstance(number, str) else None
            if found is None and other is None:
                raise ValueError(f"image_id {short(number)} is not in the truth")
            if None not in (found, other) and found != other:
                raise ValueError(f"image_id {short(number)} is one image's id and another's name; add file_name")
            return other if found is None else found
        found = named(name)
        if found is None:
            raise ValueError(f"file_name {short(name)} is not in the truth")
        text, stem = _text(number), _stem(name)
        if number is not None and text not in (_text(found), stem, stem.lstrip("0") or "0"):
            raise ValueError(f"image_id {short(number)} is not that of file_name {short(name)}, {short(found)}")
        return found

    return find


def _say_numbers(source: str, content: list[dict[str, Any]], images: list[dict[str, Any]]) -> None:
    """Say so where numbers could be those in the names of the files, which are other images."""
    by_name = {number.lstrip("0") or "0": image["id"] for image in images
               if (number := _stem(str(image.get("file_name", "")))).isdecimal()}  # fmt: skip
    given = {_text(item.get("image_id")) for item in content if "file_name" not in item}
    if given and given <= by_name.keys() and any(_text(by_name[number]) != number for number in given if number):
        say(f"{source}: its image_id are taken as the truth's ids; if they are the numbers in the names of the files, "
            "other images are meant: then write file_name beside them")  # fmt: skip


def _nfc(name: object) -> str:
    return unicodedata.normalize("NFC", str(name))


def _stem(name: str) -> str:
    """A file's name without folders and suffix."""
    return name.replace("\\", "/").rsplit("/", 1)[-1].rsplit(".", 1)[0]


def _unique(texts: dict[str, str]) -> dict[str, str]:
    counts = Counter(texts.values())
    return {name: text for name, text in texts.items() if counts[text] == 1}


def _beyond(box: list[float], width: Any, height: Any) -> float:
    """How far a box lies outside its image, as a share of its longer side; 0 where they touch or no size is known."""
    if not (finite(width) and finite(height)):
        return 0.0
    x, y, w, h = box
    return max(x - width, y - height, -(x + w), -(y + h), 0) / max(width, height)  # type: ignore[no-any-return]


def _two_lists(content: list[dict[str, Any]], truth: dict[str, Any]) -> str:
    """The images and classes that predictions and truth name, the first of each."""
    image = "file_name" if any("file_name" in item for item in content) else "image_id"
    lines = []
    for what, given_key, known, known_key in (
        ("images", image, truth["images"], image.replace("image_", "")),
        ("classes", "category_id", truth["categories"], "id"),
    ):
        given = sorted({str(item.get(given_key)) for item in content})
        own = sorted(str(item.get(known_key)) for item in known)
        lines.append(f"{what} of the predictions: {_few(given)}; of the truth: {_few(own)}")
    return "\n".join(lines)


def _few(names: list[str], count: int = 5) -> str:
    more = f" and {len(names) - count} more" if len(names) > count else ""
    return ", ".join(short(name) for name in names[:count]) + more


def write_results(path: Path, results: list[dict[str, Any]], truth: dict[str, Any]) -> None:
    """Write COCO results, and `<stem>.about.json` beside them with the hashes of the results and of `images_hash`.

    COCO results hold image numbers alone, which other datasets have as well.
    """
    write_json(path, results)
    about = {"format": FORMAT, "predictions": file_digest(path), "images": images_hash(truth)}
    write_json(_beside(path), about)


def refuse_foreign(path: Path, truth: dict[str, Any]) -> None:
    """Refuse results that were made for other images or classes than those of `truth`.

    Without a file beside them, or with one that is of another state of the results, nothing is known.
    RequestError: they were; or the file beside them is damaged.
    """
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
