"""Class names in index order, with the palettes of the segmentation sets; reading a list of class names."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fuse2task.runtime.errors import RequestError
from fuse2task.runtime.files import value_hash
from fuse2task.runtime.reading import read_text

MAX_LIST = 2**20  # bytes of a list of class names

# Order of the data set's README; conversions to YOLO disagree about ids, so files are read by name.
M3FD = ("People", "Car", "Bus", "Motorcycle", "Lamp", "Truck")

LLVIP = ("person",)

# KAIST (Hwang et al., CVPR 2015): `person?` is what the annotators were not sure of.
KAIST = ("person", "people", "cyclist", "person?")

# DroneVehicle (VisDrone/DroneVehicle), and what its files call some of them.
DRONEVEHICLE = ("car", "truck", "bus", "van", "freight_car")
DRONEVEHICLE_SPELLINGS = (
    ("freight car", "freight_car"), ("feright car", "freight_car"), ("feright_car", "freight_car"),
    ("feright", "freight_car"), ("truvk", "truck"),
)  # fmt: skip

# SMOD (bigD233/AMFD), by its category ids 1 to 4.
SMOD = ("person", "rider", "bicycle", "car")

# VEDAI: the numbers in its annotation files.
VEDAI_IDS = {
    1: "car", 2: "truck", 4: "tractor", 5: "camping_car", 7: "motorcycle", 8: "bus", 9: "van", 10: "other",
    11: "pickup", 23: "boat", 31: "plane",
}  # fmt: skip
VEDAI = tuple(VEDAI_IDS.values())

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

CITYSCAPES_PALETTE = (
    (128, 64, 128), (244, 35, 232), (70, 70, 70), (102, 102, 156), (190, 153, 153), (153, 153, 153), (250, 170, 30),
    (220, 220, 0), (107, 142, 35), (152, 251, 152), (70, 130, 180), (220, 20, 60), (255, 0, 0), (0, 0, 142),
    (0, 0, 70), (0, 60, 100), (0, 80, 100), (0, 0, 230), (119, 11, 32),
)  # fmt: skip
# The labels without a train id, as the same table has them: unlabeled, dynamic, ground, parking, rail track, ...
CITYSCAPES_VOID = (
    (0, 0, 0), (111, 74, 0), (81, 0, 81), (250, 170, 160), (230, 150, 140), (180, 165, 180), (150, 100, 100),
    (150, 120, 90), (0, 0, 90), (0, 0, 110),
)  # fmt: skip


def voc_colour(index: int) -> tuple[int, int, int]:
    """The VOC development kit's colour map: the bits of an index in turn to red, green and blue, highest first."""
    channels = (sum((index >> 3 * bit + k & 1) << 7 - bit for bit in range(3)) for k in range(3))
    red, green, blue = channels
    return red, green, blue


# PST900 (ShreyasSkandanS/pst900_thermal_rgb); colours as the authors' own drawing has them. Their table is in OpenCV's
# order, blue first; code that takes it for RGB gives fire-extinguisher and hand-drill each other's colour.
PST900 = ("background", "fire-extinguisher", "backpack", "hand-drill", "survivor")
PST900_PALETTE = ((0, 0, 0), (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255))


@dataclass(frozen=True)
class Palette:
    """Colours of a colour mask. classes: names in index order, empty where the palette has none of its own.

    colours: RGB of each index. void: colours of pixels that are not counted.
    """

    classes: tuple[str, ...]
    colours: tuple[tuple[int, int, int], ...]
    void: tuple[tuple[int, int, int], ...] = ()


BINARY = "binary"  # masks of 0 and 255 (or 1): not two colours, but two values
PALETTES: Mapping[str, Palette] = {
    "msrs": Palette(MSRS, MSRS_PALETTE),
    "mfnet": Palette(MSRS, MSRS_PALETTE),  # the same classes and colours: MSRS is made of MFNet's pairs
    "fmb": Palette(FMB, FMB_PALETTE),
    "pst900": Palette(PST900, PST900_PALETTE),
    "pst900-blue-first": Palette(PST900, tuple((blue, green, red) for red, green, blue in PST900_PALETTE)),
    "cityscapes": Palette(CITYSCAPES, CITYSCAPES_PALETTE, CITYSCAPES_VOID),
    "voc": Palette(VOC, tuple(map(voc_colour, range(len(VOC)))), ((224, 224, 192),)),
    BINARY: Palette((), ((0, 0, 0), (255, 255, 255))),
}


def class_colours(classes: Sequence[str]) -> tuple[tuple[int, int, int], ...]:
    """RGB to draw classes with, in index order: those of the data set that has these classes, else Pascal VOC's."""
    own = (known.colours for known in PALETTES.values() if known.classes == tuple(classes))
    return next(own, tuple(map(voc_colour, range(len(classes)))))


def find_palette(name: str) -> Palette:
    """The palette of that name. RequestError: there is none."""
    if name not in PALETTES:
        raise RequestError(f"unknown palette {name!r}; known are {', '.join(PALETTES)}")
    return PALETTES[name]


def palette_hash(name: str) -> str:
    """Of a palette's colours and classes: labels are made of these, not of its name. Error as `find_palette`."""
    palette = find_palette(name)
    return value_hash([palette.classes, palette.colours, palette.void])


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
