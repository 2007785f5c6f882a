"""Do a fused image's tiles and tokens show? Steps across their borders over steps elsewhere.

    python tools/seams.py IR VISIBLE [--method crossfuse --method average] [--checkpoint FILE ...] [--images 40]

Printed is the mean |difference| of neighbouring pixels across every 256th (tiles) and every 16th (tokens) border over
the mean of all others, counted where both sources are calm (differences of at most 2 grey levels). 1.00 means that
borders do not show. Sources that were JPEG once have borders of their own, every 8 pixels: compare with the average.
"""

import argparse
from pathlib import Path

import numpy as np

from fuse2task.data.images import luma, read_infrared, read_visible
from fuse2task.data.loading import load_dataset
from fusion.methods import make_method

CALM = 2  # grey levels


def ratio(triples: list[tuple[np.ndarray, np.ndarray, np.ndarray]], every: int) -> float:
    """Mean |difference| across borders over the mean elsewhere, of (infrared, visible, fused) images of (H, W)."""
    sums = np.zeros((2, 2))
    for images in triples:
        for axis in (0, 1):
            infrared, visible, fused = (np.abs(np.diff(image.astype(float), axis=axis)) for image in images)
            calm = np.maximum(infrared, visible) <= CALM
            border = (np.arange(1, images[0].shape[axis]) % every) == 0
            for place, chosen in enumerate((border, ~border)):
                part = np.compress(chosen, fused, axis)[np.compress(chosen, calm, axis)]
                sums[place] += part.sum(), part.size
    return float((sums[0, 0] / sums[0, 1]) / (sums[1, 0] / sums[1, 1]))


def main() -> None:
    """Print a table: method, tile borders, token borders."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("infrared", type=Path)
    parser.add_argument("visible", type=Path)
    parser.add_argument("--method", action="append", default=[])
    parser.add_argument("--checkpoint", type=Path, action="append", default=[])
    parser.add_argument("--images", type=int, default=40)
    options = parser.parse_args()
    folders = {"infrared": options.infrared, "visible": options.visible}
    pairs = load_dataset(options.infrared.parent, "folder", **folders).pairs[: options.images]
    methods = {name: make_method(name) for name in options.method}
    methods |= {str(path): make_method("crossfuse", path) for path in options.checkpoint}
    triples: dict[str, list[tuple[np.ndarray, np.ndarray, np.ndarray]]] = {name: [] for name in methods}
    for pair in pairs:
        infrared, visible = read_infrared(pair.infrared), luma(read_visible(pair.visible))
        for name, method in methods.items():
            triples[name].append((infrared, visible, method.fuse(pair, infrared, visible).gray))
    print(f"{len(pairs)} images\n{'method':40} {'tiles':>6} {'tokens':>6}")
    for name, images in triples.items():
        print(f"{name:40} {ratio(images, 256):6.2f} {ratio(images, 16):6.2f}")


if __name__ == "__main__":
    main()
