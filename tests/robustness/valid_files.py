"""Valid files of every kind that fuse2task reads, and hostile content in the words of each format."""

import functools
import io
import json
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

import numpy as np
import weight_files as weights
import yaml
from damage import HOSTILE_NAMES, HOSTILE_NUMBERS, as_json, flipped, hostile, retyped
from PIL import Image

COCO = {
    "images": [{"id": number, "file_name": f"p{number}.png", "width": 40, "height": 32} for number in (1, 2)],
    "categories": [{"id": 1, "name": "person"}, {"id": 2, "name": "car"}],
    "annotations": [
        {"id": number, "image_id": number, "category_id": number, "bbox": [4, 5, 12, 9.5], "area": 114, "iscrowd": 0}
        for number in (1, 2)
    ],
}
RESULTS = [{"image_id": n, "category_id": n, "bbox": [4, 5, 12, 9.5], "score": 0.5 + n / 10} for n in (1, 2)]
YOLO = "0 0.5 0.5 0.25 0.25\n1 0.25 0.25 0.125 0.5\n"
VOC = (
    "<annotation><size><width>40</width><height>32</height><depth>3</depth></size><object><name>person</name>"
    "<bndbox><xmin>4</xmin><ymin>5</ymin><xmax>16</xmax><ymax>14.5</ymax></bndbox></object></annotation>"
)
MANIFEST = {
    "format": "fuse2task.fused", "version": 1, "method": {"name": "average", "hash": "0" * 12}, "color": "rgb",
    "truth": {"kind": "boxes", "classes": ["person", "car"], "hash": "0" * 12}, "split": {"name": "toy", "hash": "1"},
    "files": [{"id": f"p{n}", "split": "test", "image": "0" * 64, "label": "0" * 64} for n in (1, 2)],
}  # fmt: skip
FUSION = {
    "data": [{"root": "data", "layout": "folder", "split": None, "parts": ["train"]}], "held_out": 2, "seed": 1,
    "stage1": {"epochs": 1, "batch": 1, "lr": 0.001}, "stage2": {"epochs": 1, "batch": 1, "lr": 0.001},
}  # fmt: skip
DETECTION = {"data": "out", "model": "yolov8n.yaml", "image_size": 64, "epochs": 1, "batch": 2, "lr0": 0.01}
SEGMENTATION = {
    "data": "out", "architecture": "unet", "encoder": "resnet18", "epochs": 1, "batch": 2, "crop": [64, 64], "lr": 0.1,
    "loss": {"ce": 1.0, "dice": 1.0}, "augmentation": {"scale": [0.5, 2.0]},
}  # fmt: skip
BENCH = {
    "datasets": {"toy": {"root": "data", "layout": "folder", "truths": {"other": "boxes"}}},
    "methods": ["laplacian", {"name": "mine", "folder": "fused"}], "seeds": [0, 1], "intervals": {"replicates": 100},
    "judges": {"yolo": {"task": "detection", "protocol": "retrain", "recipe": "detection/yolo-n-demo",
                        "overrides": {"epochs": 1}}},
}  # fmt: skip
LAUGHS = "".join(
    f"{chr(97 + n)}: &{chr(97 + n)} [{', '.join(f'*{chr(96 + n)}' for _ in range(9))}]\n" for n in range(1, 9)
)
ENTITIES = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10 if n else "ha"}">' for n in range(10))


@dataclass(frozen=True)
class Format:
    """valid: a good file. words: hostile content that a parser of the format gets far with. bombs: what grows."""

    name: str
    suffix: str
    valid: Callable[[], bytes]
    words: Callable[[Random], bytes]
    bombs: Callable[[Random], bytes]


@functools.cache
def formats() -> dict[str, Format]:
    """By name."""
    tables = {"YOLO": YOLO, "split list": "train\tp1\ntest\tp2\n", "class list": "0 person\n1 car\n",
              "scenes": "0\t99\tday\n100\t199\tnight\n"}  # fmt: skip
    recipes = {"fusion recipe": FUSION, "detection recipe": DETECTION, "segmentation recipe": SEGMENTATION,
               "bench recipe": BENCH, "class map": {"person": "person", "auto": "car", "dog": None}}  # fmt: skip
    values = {"COCO truth": COCO, "COCO results": RESULTS, "manifest": MANIFEST}
    found = [_text(name, text) for name, text in tables.items()]
    found += [_yaml(name, value) for name, value in recipes.items()]
    found += [_json(name, value) for name, value in values.items()]
    found += [
        Format("VOC", ".xml", VOC.encode, _voc_words, _voc_bombs),
        Format("PNG", ".png", lambda: _picture("png"), _png_words, _png_bombs),
        Format("JPEG", ".jpg", lambda: _picture("jpeg"), lambda rng: flipped(_picture("jpeg"), rng), _jpeg_bombs),
        Format("safetensors", ".safetensors", weights.checkpoint, weights.checkpoint_words, weights.header_bombs),
        Format("YOLO weights", ".safetensors", weights.yolo, weights.yolo_words, weights.header_bombs),
        Format("foreign weights", ".model", weights.state_dict, weights.state_words, weights.zip_bombs),
        Format("ONNX", ".onnx", weights.onnx, weights.onnx_words, weights.onnx_bombs),
    ]
    return {item.name: item for item in found}


def _text(name: str, text: str) -> Format:
    def words(rng: Random) -> bytes:
        parts = [
            str(rng.choice((*HOSTILE_NAMES, *HOSTILE_NUMBERS, "0", "train", "p1"))) for _ in range(rng.randint(1, 12))
        ]
        joined = "".join(part + rng.choice(("\t", " ", "\n", "\n")) for part in parts)
        return (text + joined if rng.random() < 0.5 else joined).encode("utf-8", "surrogatepass")

    return Format(name, ".txt", text.encode, words, lambda rng: text.encode() * rng.choice((1000, 100_000)))


def _yaml(name: str, value: Any) -> Format:
    odd = ("!!python/object/apply:os.system ['touch ran']", "!!timestamp x", "!!int ''", "!!bool x", "2001-99-99",
           "&a [*a]", "!!binary '*'", "0x", "1:60:60", "{[a]: 1}", "? {a: b}", "<<: 1", "%YAML 9", "--- a\n--- b", "@",
           "!!set {a}", "!!omap [a]", ".nan", ".inf", "-.INF", "'\\", "*x", "!!float ''", "!<tag:x> 1")  # fmt: skip

    def words(rng: Random) -> bytes:
        if rng.random() < 0.6:
            return yaml.safe_dump(retyped(value, rng)).encode("utf-8", "surrogatepass")
        lines = yaml.safe_dump(value).splitlines()
        at = rng.randrange(len(lines))
        head = lines[at].partition(":")[0]
        lines[at] = f"{head}: {rng.choice(odd)}" if rng.random() < 0.8 else rng.choice(odd)
        return "\n".join(lines).encode()

    def bombs(rng: Random) -> bytes:
        last = yaml.safe_dump(value)
        laughs = f"a: &a [x,x,x,x,x,x,x,x,x]\n{LAUGHS[LAUGHS.index('b:') :]}"
        merged = "a: &a {b: 1}\n" + "c: {<<: [" + "*a," * 9000 + "]}"
        sixty = f"{last}\nx: " + "1:" * 60_000 + "1"
        choices = (f"{laughs}\n{last}", "x: [" * 3000, last * 2000, sixty, merged)
        return rng.choice(choices).encode()

    return Format(name, ".yaml", yaml.safe_dump(value).encode, words, bombs)


def _json(name: str, value: Any) -> Format:
    def bombs(rng: Random) -> bytes:
        many = [item for key in value for item in value[key]] if name == "COCO truth" else list(value)
        wide = {"images": 30_000 * [{"id": 1}], "categories": [], "annotations": many}
        odd = json.loads(json.dumps(value))
        if name == "COCO truth":
            odd["annotations"][0] |= {"bbox": [0, 0, "aaaa", 10**9], "area": rng.choice(("x", [0] * 9, 1e999))}
            odd["annotations"][0].pop("area" if rng.random() < 0.5 else "iscrowd")
        return as_json(rng.choice((wide, odd, 200_000 * [[]], {"a": "\u0000" * 10**6})))

    return Format(name, ".json", lambda: as_json(value), lambda rng: as_json(retyped(value, rng)), bombs)


def _voc_words(rng: Random) -> bytes:
    text = VOC
    for part in rng.sample(
        ("4", "40", "person", "14.5", "</size>", "<object>", "bndbox", "annotation"), rng.randint(1, 3)
    ):
        text = text.replace(part, str(hostile(rng))[:2000], 1)
    heads = ("", '<?xml version="1.0" encoding="x-none"?>', '<?xml version="1.0" encoding="utf-16"?>', "<!-- -- -->",
             '<?xml version="9.9"?>', '<?xml version="1.0" encoding="gb18030"?>', "<![CDATA[", "&nbsp;")  # fmt: skip
    return (rng.choice(heads) + text).encode("utf-8", "surrogatepass")


def _voc_bombs(rng: Random) -> bytes:
    doctypes = (
        f"<!DOCTYPE a [{ENTITIES}]>", '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>',
        '<!DOCTYPE a SYSTEM "http://192.0.2.1/a.dtd">', '<!DOCTYPE a [<!ENTITY % p SYSTEM "file:///dev/zero"> %p;]>',
    )  # fmt: skip
    entity = rng.choice(("&l9;", "&x;"))
    deep = "<object>" * 30_000 + "</object>" * 30_000
    choices = [doctype + VOC.replace("person", entity) for doctype in doctypes]
    wide = "<name " + "".join(f'a{n}="1" ' for n in range(20_000)) + ">"
    choices += [VOC.replace("<object>", deep + "<object>"), VOC.replace("person", "p" * 900_000)]
    choices += [VOC.replace("<name>", wide)]
    return rng.choice(choices).encode()


@functools.cache
def _picture(kind: str) -> bytes:
    rows, columns = np.mgrid[0:32, 0:40]
    pixels = np.stack([rows * 7, columns * 6, rows + columns], axis=-1).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


def png(width: int, height: int, depth: int, colour: int, rows: bytes, *extra: bytes) -> bytes:
    """A PNG of chunks with right checksums, whatever they say."""
    header = struct.pack(">IIBBBBB", width % 2**32, height % 2**32, depth % 256, colour % 256, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        (_chunk(b"IHDR", header), *extra, _chunk(b"IDAT", rows), _chunk(b"IEND", b""))
    )


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _png_words(rng: Random) -> bytes:
    size = [rng.choice((0, 1, 32, 40, 65_535, 2**31 - 1, 2**32 - 1)) for _ in range(2)]
    kinds = (b"PLTE", b"tRNS", b"gAMA", b"iCCP", b"tEXt", b"zTXt", b"eXIf", b"acTL", b"fcTL", b"IHDR", b"cHRM", b"pHYs")
    extra = [
        _chunk(rng.choice(kinds), rng.randbytes(rng.choice((0, 1, 3, 13, 256, 768)))) for _ in range(rng.randrange(4))
    ]
    rows = zlib.compress(rng.choice((bytes(32 * 121), b"", rng.randbytes(500))))
    return png(*size, rng.choice((1, 2, 4, 8, 16, 3, 255)), rng.choice((0, 2, 3, 4, 6, 7)), rows, *extra)


@functools.cache
def _zeros(million: int) -> bytes:
    return zlib.compress(bytes(million * 10**6), 1)


def _png_bombs(rng: Random) -> bytes:
    side = rng.choice((7000, 10_000, 30_000, 60_000, 2**31 - 1))
    text = _chunk(b"zTXt", b"Comment\0\0" + _zeros(100)), _chunk(b"iCCP", b"ICC\0\0" + _zeros(100))
    kind = rng.randrange(5)
    if kind < 2:
        return png(side, side, 8, rng.choice((0, 2)), _zeros(100))
    if kind == 2:
        return png(40, 32, 8, 2, zlib.compress(bytes(32 * 121)), rng.choice(text))
    if kind == 3:
        return png(40, 32, 8, 2, _zeros(200))
    frames = [_chunk(b"acTL", struct.pack(">II", 2**31 - 1, 0))] * 2
    return png(40, 32, 8, 2, zlib.compress(bytes(32 * 121)), *frames)


def _jpeg_bombs(rng: Random) -> bytes:
    if rng.random() < 0.4:
        return many_scans()
    data = bytearray(_picture("jpeg"))
    at = data.index(b"\xff\xc0") + 5
    data[at : at + 4] = rng.choice((b"\xff\xff\xff\xff", b"\x1b\x58\x1b\x58", b"\x00\x00\x00\x01", b"\xff\xff\x00\x01"))
    head = b"RIFF\xff\xff\xff\x7fWEBPVP8X\x0a\0\0\0" + b"\x02\0\0\0" + b"\xff\x3f\0" * 2
    tiff = (
        b"II*\0\x08\0\0\0"
        + struct.pack("<H", 4)
        + b"".join(
            struct.pack("<HHII", tag, 4, 1, value)
            for tag, value in ((256, 60_000), (257, 60_000), (273, 8), (279, 2**32 - 1))
        )
    )
    return rng.choice((bytes(data), head + bytes(100), tiff))


@functools.cache
def many_scans() -> bytes:
    """A progressive JPEG whose last scan comes thousands of times."""
    buffer = io.BytesIO()
    Image.new("L", (4000, 4000)).save(buffer, "jpeg", progressive=True)
    data = buffer.getvalue()
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * 3000 + b"\xff\xd9"
