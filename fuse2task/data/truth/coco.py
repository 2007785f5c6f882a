"""COCO JSON: reading boxes from a file or a folder of files, writing the truth of a fused dataset."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fuse2task.data.classes import check_names, in_known_order
from fuse2task.data.dataset import BoxTruth, Findings, Pair, files_below, path_id
from fuse2task.data.images import SUFFIXES
from fuse2task.data.truth.boxes import FLAGS, IGNORED_FLAGS, BoxCollector
from fuse2task.runtime.errors import RequestError
from fuse2task.runtime.files import read_json


@dataclass
class CocoImage:
    """An image of a COCO file with its annotations. name: its `file_name`. scene: the file's own field, or empty."""

    source: Path
    name: str
    size: tuple[Any, Any]
    scene: str
    annotations: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class CocoCounts:
    """Images by file stem, boxes by class name and images by scene of COCO files."""

    images: Mapping[str, int]
    classes: Mapping[str, int]
    scenes: Mapping[str, int]


def read_coco(
    path: Path | Sequence[Path], pairs: Sequence[Pair], known: Sequence[str] | None = None,
    ignore: Sequence[str] = IGNORED_FLAGS, cut: bool = False,
) -> tuple[BoxTruth, Findings]:  # fmt: skip
    """Boxes of `pairs` from a COCO file, from all `*.json` of a folder, or from several of these, together.

    An image belongs to the pair whose id, or alias, its `file_name` gives, with all, some or none of its folders.
    Classes are the categories in id order, or all of `known` where those hold every category. Returns the truth, and
    findings: `missing-truth`, `bad-annotation`, `truth-size`, `duplicate-id`, `crowd-box` (a box round many objects
    cannot be scored as one; not where `ignore` has `crowd`), and those of `BoxCollector.add`. RequestError: a file is
    not COCO JSON, or two categories share an id or a name.
    """
    paths = [path] if isinstance(path, Path) else path
    names, images = _load(*paths)
    findings = Findings()
    for folder in (path for path in paths if path.is_dir()):
        unread = Counter(file.suffix.lower() for file in files_below(folder))
        unread -= Counter(file.suffix.lower() for file in coco_files(folder))
        if unread:
            causes = ", ".join(f"{count} {suffix or 'without suffix'}" for suffix, count in sorted(unread.items()))
            findings.add("not-used", f"{folder}: {unread.total()} files not used ({causes})", note=True)
    collector = BoxCollector(in_known_order(list(dict.fromkeys(names.values())), known), pairs, findings, ignore, cut)
    by_id: dict[str, CocoImage] = {}
    tails: dict[str, list[CocoImage]] = {}
    for image in images:
        parts = image.name.replace("\\", "/").split("/")
        whole, *others = (path_id("/".join(parts[start:]), SUFFIXES) for start in range(len(parts)))
        if whole in by_id:
            findings.add("duplicate-id", f"{image.source}: image {whole!r} is there twice")
        by_id[whole] = image
        for tail in others:
            tails.setdefault(tail, []).append(image)
    for pair in pairs:
        names_of_pair = (pair.id, *pair.aliases)
        same_tail = [image for name in names_of_pair for image in tails.get(name, ())]
        whole_name = next((by_id[name] for name in names_of_pair if name in by_id), None)
        found = whole_name or (same_tail[0] if len(same_tail) == 1 else None)
        if found is None:
            where = ", ".join(map(str, paths))
            findings.add("missing-truth", f"{where}: no image {pair.id!r}, or several of that name")
            continue
        if found.size != pair.file_size and any(found.size):
            width, height = pair.file_size
            sizes = f"{found.size[0]}x{found.size[1]} there, but the image is {width}x{height}"
            findings.add("truth-size", f"{found.source}: {pair.id} is {sizes}")
        for annotation in found.annotations:
            where = f"{found.source}, annotation {annotation.get('id')} ({pair.id})"
            box, category = annotation.get("bbox"), annotation.get("category_id", -1)
            flags = [flag for flag in FLAGS if annotation.get("iscrowd" if flag == "crowd" else flag)]
            if not isinstance(box, list) or len(box) != 4 or any(type(item) not in (int, float) for item in box):
                findings.add("bad-annotation", f"{where}: bbox must be four numbers x, y, w, h")
            elif category not in names:
                findings.add("unknown-class", f"{where}: category_id {category} is not among the categories")
            elif annotation.get("iscrowd") and set(flags).isdisjoint(ignore):
                text = f"{where}: a crowd region; --ignore crowd ignores it, or box its objects one by one"
                findings.add("crowd-box", text)
            else:
                x, y, w, h = (min(max(item, -1e300), 1e300) if item == item else item for item in box)
                collector.add(pair, where, names[category], (x, y, x + w, y + h), flags)
    return collector.truth()


def coco_files(path: Path) -> list[Path]:
    """The COCO files that a path stands for: itself, or all `*.json` of a folder; none where there is nothing."""
    if path.is_dir():
        return sorted(file for file in path.iterdir() if file.suffix.lower() == ".json" and file.is_file())
    return [path] if path.is_file() else []


def is_coco(path: Path) -> bool:
    """Whether annotations (file or folder) are COCO rather than VOC.

    RequestError: the folder holds both kinds, or neither.
    """
    if path.is_file():
        return path.suffix.lower() != ".xml"
    json, xml = bool(coco_files(path)), any(file.suffix.lower() == ".xml" for file in files_below(path))
    if json == xml:
        both = "both COCO (.json) and VOC (.xml) files; point at one kind"
        raise RequestError(f"{path}: holds {both if json else 'neither COCO (.json) nor VOC (.xml) files'}")
    return json


def image_names(path: Path) -> list[str]:
    """The `file_name` of every image of a COCO file. RequestError: as `read_coco`."""
    return [image.name for image in _load(path)[1]]


def count_coco(path: Path) -> CocoCounts:
    """Images, boxes by class and images by scene of COCO files, whether or not the images are on disk.

    RequestError: as `read_coco`.
    """
    names, images = _load(path)
    classes = Counter(dict.fromkeys(names.values(), 0))
    for image in images:
        classes.update(names.get(item.get("category_id", -1), "unknown") for item in image.annotations)
    scenes = Counter(image.scene for image in images if image.scene)
    return CocoCounts(Counter(image.source.stem for image in images), classes, scenes)


def coco_truth(pairs: Sequence[Pair], truth: BoxTruth) -> dict[str, Any]:
    """COCO ground truth of `pairs`: the same for every fusion method.

    Image ids are 1 to n over the pairs sorted by id, category ids 1 to K in class order, annotation ids 1 to m;
    `file_name` is `<id>.png`, and each image has its `conditions`. Ignored boxes are crowd regions (`iscrowd` 1),
    which is what pycocotools ignores; `info` then says what is done with flagged objects.
    """
    ordered = sorted(pairs, key=lambda pair: pair.id)
    category = {name: number for number, name in enumerate(truth.classes, 1)}
    images = [
        {
            "id": number, "file_name": f"{pair.id}.png", "width": pair.size[0], "height": pair.size[1],
            "conditions": list(pair.conditions),
        }
        for number, pair in enumerate(ordered, 1)
    ]  # fmt: skip
    boxes = [
        (number, box, crowd)
        for number, pair in enumerate(ordered, 1)
        for crowd, group in ((0, truth.boxes[pair.id]), (1, truth.ignored.get(pair.id, ())))
        for box in group
    ]
    annotations = [
        {
            "id": number, "image_id": image, "category_id": category[box.name],
            "bbox": [box.x, box.y, box.w, box.h], "area": box.w * box.h, "iscrowd": crowd,
            **({"ignore": 1} if crowd else {}),
        }
        for number, (image, box, crowd) in enumerate(boxes, 1)
    ]  # fmt: skip
    categories = [{"id": number, "name": name} for name, number in category.items()]
    info = {"info": {"flags": truth.flags}} if truth.flags else {}
    return {**info, "images": images, "annotations": annotations, "categories": categories}


def _load(*paths: Path) -> tuple[dict[int, str], list[CocoImage]]:
    """Category names by id, and the images of all files, each with its annotations."""
    names: dict[int, str] = {}
    images: list[CocoImage] = []
    for source in [source for path in paths for source in coco_files(path) or [path]]:
        value = read_json(source, "COCO file")
        try:
            categories = {_whole(item["id"]): str(item["name"]) for item in value["categories"]}
            own = {
                id_text(item["id"]): CocoImage(
                    source, str(item["file_name"]),
                    (item.get("width"), item.get("height")), str(item.get("scene") or ""),
                )
                for item in value["images"]
            }  # fmt: skip
            for item in value["annotations"]:
                found = {**item, "category_id": _whole(item.get("category_id", -1))}
                own[id_text(item["image_id"])].annotations.append(found)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise RequestError(f"{source}: not a COCO detection file ({type(error).__name__}: {error})") from None
        if len(own) != len(value["images"]) or len(set(categories.values())) != len(value["categories"]):
            raise RequestError(f"{source}: an image id, a category id or a category name is there twice; fix it")
        check_names(source, list(categories.values()))
        if names and categories != names:
            others = ", ".join(map(str, paths))
            raise RequestError(f"{source}: other categories than the other files of {others}; point at one file")
        names = dict(sorted(categories.items()))
        images += own.values()
    return names, images


def id_text(value: Any) -> str:
    """An id as text, equal for 1, 1.0 and "1". ValueError: what can be no id: True, 1.5, nothing."""
    whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer() and abs(value) < 2**53)
    if isinstance(value, bool) or not (whole or isinstance(value, str)):
        raise ValueError(f"{str(value)[:60]!r} is no id")
    return value if isinstance(value, str) else str(int(value))


def _whole(value: Any) -> int:
    text = id_text(value)
    if not text.removeprefix("-").isdecimal() or abs(int(text[:30])) >= 2**63:  # what no table of ids can hold
        raise ValueError(f"{text[:60]!r} is no whole number for an id")
    return int(text)
