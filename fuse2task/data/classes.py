"""Class names in index order, with the palettes of the segmentation sets; reading a list of class names."""

from collections.abc import Sequence
from pathlib import Path

from fuse2task.runtime.errors import RequestError
from fuse2task.runtime.reading import read_text

MAX_LIST = 2**20  # bytes of a list of class names

# Order of the data set's README; conversions to YOLO disagree about ids, so files are read by name.
M3FD = ("People", "Car", "Bus", "Motorcycle", "Lamp", "Truck")

LLVIP = ("person",)

# FLIR-aligned: as its COCO conversions call them, and as its VOC files do (four images of the latter have a dog).
FLIR = ("person", "bike", "car")
FLIR_VOC = ("person", "bicycle", "car", "dog")

# MSRS (Linfeng-Tang/MSRS, visualize.py): ids 0-8; 255 is ignored.
MSRS = ("background", "car", "person", "bike", "curve", "car_stop", "guardrail", "color_cone", "bump")
MSRS_PALETTE = (
    (0, 0, 0), (64, 0, 128), (64, 64, 0), (0, 128, 192), (0, 0, 192),
    (128, 128, 0), (64, 64, 128), (192, 128, 128), (192, 64, 0),
)  # fmt: skip

# FMB (JinyuanLiu-CV/SegMiF; ids and colours as HaoZhang1018/MRFS scores and draws them).
FMB = (
    "background", "Road", "Sidewalk", "Building", "Lamp", "Sign", "Vegetation", "Sky",
    "Person", "Car", "Truck", "Bus", "Motorcycle", "Bicycle", "Pole",
)  # fmt: skip
FMB_PALETTE = (
    (0, 0, 0), (228, 228, 179), (133, 57, 181), (177, 162, 67), (50, 178, 200),
    (199, 45, 132), (84, 172, 66), (79, 73, 179), (166, 99, 76), (253, 121, 66),
    (91, 165, 137), (152, 97, 155), (140, 153, 105), (158, 215, 222), (90, 113, 135),
)  # fmt: skip


# Cityscapes' train ids 0 to 18 (cityscapesScripts, labels.py).
CITYSCAPES = (
    "road", "sidewalk", "building", "wall", "fence", "pole", "traffic light", "traffic sign", "vegetation", "terrain",
    "sky", "person", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle",
)  # fmt: skip

# PASCAL VOC 2012, segmentation.
VOC = (
    "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
    "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip


def read_class_list(path: Path) -> tuple[str, ...]:
    """Class names in id order from a text file with one `name` or one `id name` on each line.

    RequestError: missing or not text, empty, a blank line between names, a name twice or one that cannot be shown, or
    ids that are not 0, 1, 2 ... each once.
    """
    lines = read_text(path, "list of class names", MAX_LIST).rstrip().splitlines()
    rows = [line.split(maxsplit=1) for line in lines]
    if not rows or not all(rows):
        raise RequestError(f"{path}: empty, or a blank line between class names; write one name a line")
    if all(len(row) == 2 and row[0].isdecimal() and len(row[0]) < 10 for row in rows):
        by_id = {int(number): name.strip() for number, name in rows}
        if sorted(by_id) != list(range(len(rows))):
            raise RequestError(f"{path}: class ids must be 0 to {len(rows) - 1}, each once")
        names = tuple(by_id[number] for number in range(len(rows)))
    else:
        names = tuple(line.strip() for line in lines)
    if len(set(names)) != len(names):
        raise RequestError(f"{path}: a class name is there twice; classes go by name, so each needs its own")
    check_names(path, names)
    return names


def class_list(folder: Path) -> Path | None:
    """The file classes.txt of a folder of truth, there or in its parent."""
    paths = (folder / "classes.txt", folder.resolve().parent / "classes.txt")
    return next((path for path in paths if path.is_file()), None)


def check_names(path: Path, names: Sequence[str]) -> None:
    """Refuse class names that cannot be shown: empty ones, or with line ends or other control characters.

    RequestError: there is one; `path` is named as the source.
    """
    if bad := [name for name in names if not name.strip() or not name.isprintable()]:
        raise RequestError(f"{path}: {bad[0][:60]!r} cannot be the name of a class; use printable characters")


def in_known_order(names: Sequence[str], known: Sequence[str] | None) -> tuple[str, ...]:
    """`known` where it holds all `names`, so that ids do not depend on who wrote the file; else `names`."""
    return tuple(known) if known and set(names) <= set(known) else tuple(names)
