"""Lossless PNG encoders among the dependencies: CPU time and file size of one image, in one thread.

Usage: python benchmarks/png_encoders.py ROOT LAYOUT [METHOD=average] [PAIRS=4]
Measured on what a method writes, spread over the dataset; every file is decoded and compared. Ratios are to the first
row, which is what `fuse2task.data.images.encode_png` writes.
"""

import io
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image
from torchvision.io import encode_png as torchvision_png

from fuse2task.data.images import encode_png, read_infrared, read_visible
from fuse2task.data.loading import load_pairs
from fusion.methods import make_method

STRATEGIES = ("RLE", "HUFFMAN_ONLY", "DEFAULT")
FILTERS = ("SUB", "UP", "AVG", "PAETH", "NONE")


def main(root: Path, layout: str, method: str, count: int) -> None:
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    pairs, fuser = load_pairs(root, layout), make_method(method)
    chosen = [pairs[number] for number in np.linspace(0, len(pairs) - 1, count).astype(int)]
    images = [fuser.fuse(pair, read_infrared(pair.infrared), read_visible(pair.visible)).rgb for pair in chosen]
    sizes = sorted({f"{image.shape[1]}x{image.shape[0]}" for image in images})
    print(f"{root.name}, {method}, {count} images of {', '.join(sizes)}; OpenCV {cv2.__version__}")
    first = None
    for name, encode in encoders().items():
        seconds, size = np.mean([measured(encode, image) for image in images], axis=0)
        first = first or (seconds, size)
        print(
            f"{name:28}{seconds * 1e3:7.1f} ms ({seconds / first[0]:.2f}){size / 1e3:8.0f} kB ({size / first[1]:.2f})"
        )


def encoders() -> dict[str, Callable[[np.ndarray], bytes]]:
    chosen: dict[str, Callable[[np.ndarray], bytes]] = {"encode_png": encode_png}
    chosen |= {f"OpenCV, {strategy}, {kind}": opencv(strategy, kind) for strategy in STRATEGIES for kind in FILTERS}
    chosen |= {f"Pillow, level {level}": pillow(level) for level in (1, 6)}
    chosen |= {f"torchvision, level {level}": torchvision(level) for level in (1, 6)}
    return chosen


def measured(encode: Callable[[np.ndarray], bytes], image: np.ndarray) -> tuple[float, int]:
    seconds = []
    for _ in range(3):
        began = time.thread_time()
        data = encode(image)
        seconds.append(time.thread_time() - began)
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(data))), image)
    return min(seconds), len(data)


def opencv(strategy: str, kind: str) -> Callable[[np.ndarray], bytes]:
    settings = [cv2.IMWRITE_PNG_COMPRESSION, 1]  # first: it resets the strategy
    settings += [cv2.IMWRITE_PNG_STRATEGY, getattr(cv2, f"IMWRITE_PNG_STRATEGY_{strategy}")]
    settings += [cv2.IMWRITE_PNG_FILTER, getattr(cv2, f"IMWRITE_PNG_FILTER_{kind}")]
    return lambda image: cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), settings)[1].tobytes()


def pillow(level: int) -> Callable[[np.ndarray], bytes]:
    def encode(image: np.ndarray) -> bytes:
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, "PNG", compress_level=level)
        return buffer.getvalue()

    return encode


def torchvision(level: int) -> Callable[[np.ndarray], bytes]:
    return lambda image: torchvision_png(torch.from_numpy(image).permute(2, 0, 1), level).numpy().tobytes()


if __name__ == "__main__":
    arguments = sys.argv[1:]
    main(
        Path(arguments[0]), arguments[1], arguments[2] if len(arguments) > 2 else "average",
        int(arguments[3]) if len(arguments) > 3 else 4,
    )  # fmt: skip
