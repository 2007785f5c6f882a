"""What one hot pixel and a small moving object do to the rest of a fused image: CrossFuse's min-max stretch, a robust
stretch of the same network's output, and the plain average.

    OMP_NUM_THREADS=2 python tools/stretch.py --checkpoint FILE ROOT LAYOUT [--pairs 3] [--size 320x240]

Pairs are spread over those whose infrared image is nowhere brighter than 200, cut to `size` about the middle.

- hot pixel: one infrared pixel at 255, at five random places. Mean |change| in grey levels outside a window of 65x65
  about it, as the network looks that far by itself.
- object: nine frames of the pair; from the fourth on a disc of 3 px radius at 255 moves across the infrared image,
  20 px a frame. Mean |change| from frame to frame, outside 65x65 about both discs; the largest is where it enters.
- pan: nine frames, the cut shifted by 2 px a frame, with a warm thing (a disc of 12 px radius at 255) that stands still
  in the scene just outside of the first cut. The same, at the same place of the scene.

The scene itself never changes: all that is printed is flicker. A network without min-max stretch has one row, as it is.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from fuse2task.data.images import luma, read_infrared, read_visible
from fuse2task.data.loading import load_pairs
from fusion.checkpoint import load_crossfuse
from fusion.network.crossfuse import CrossFuseNetwork

Image = np.ndarray
Fuse = Callable[[Image, Image], dict[str, Image]]
FRAMES, STEP, REACH = 9, 20, 32
COOL = 200  # grey level
PERCENT = (0.1, 99.9)  # of the pixels, what the robust stretch puts at 0 and 255


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path)
    parser.add_argument("layout")
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--size", default="320x240", help="width x height of the cut")
    options = parser.parse_args()
    width, height = map(int, options.size.split("x"))
    fuse = ways_to_fuse(options.checkpoint)
    found = [(read_infrared(pair.infrared), luma(read_visible(pair.visible)), pair.id)
             for pair in load_pairs(options.root, options.layout)]  # fmt: skip
    cool = [pair for pair in found if pair[0].max() <= COOL]
    if len(cool) < options.pairs:
        parser.error(f"{options.root}: {len(cool)} pairs have no infrared pixel above {COOL}")
    chosen = [cool[index] for index in np.linspace(0, len(cool) - 1, options.pairs).round().astype(int)]
    print(f"{len(chosen)} pairs of {len(cool)}: {', '.join(pair[2] for pair in chosen)}; {width}x{height}")
    for name, measure in (("hot pixel", hot_pixel), ("object", moving_object), ("pan", pan)):
        rows = [row for pair in chosen for row in measure(*pair[:2], (width, height), fuse)]
        for way in rows[0]:
            changes = np.array([row[way] for row in rows])
            print(f"{name:10} {way:23} mean {changes.mean():7.3f}   largest {changes.max():7.3f} grey levels")


def ways_to_fuse(checkpoint: Path) -> Fuse:
    """(infrared, visible) uint8 -> way -> fused image in [0, 255], float64."""
    network, _ = load_crossfuse(checkpoint)

    @torch.inference_mode()
    def fuse(infrared: Image, visible: Image) -> dict[str, Image]:
        ir, vi = (torch.from_numpy(image.copy()).float()[None, None] for image in (infrared, visible))
        found = {"average": (infrared.astype(float) + visible) / 2}
        if not isinstance(network, CrossFuseNetwork):
            return found | {"network, as it is": np.clip(network(ir, vi)[0, 0].numpy().astype(float), 0, 255)}
        features = network.features(ir, vi)
        raw = network.decoder(network.attention(features[0][1], features[1][1]), *features)[0, 0].numpy().astype(float)
        return found | {"network, min-max": stretched(raw, raw.min(), raw.max()),
                        "network, robust stretch": stretched(raw, *np.percentile(raw, PERCENT))}  # fmt: skip

    return fuse


def stretched(raw: Image, low: float, high: float) -> Image:
    return np.clip((raw - low) / (high - low) * 255, 0, 255)


def hot_pixel(infrared: Image, visible: Image, size: tuple[int, int], fuse: Fuse) -> list[dict[str, float]]:
    infrared, visible = (cut(image, size) for image in (infrared, visible))
    before, rng, changes = fuse(infrared, visible), np.random.default_rng(0), []
    for _ in range(5):
        x, y = (int(rng.integers(side)) for side in size)
        hot = infrared.copy()
        hot[y, x] = 255
        after, static = fuse(hot, visible), away(size, [(x, y)])
        changes.append({way: changed(after[way], before[way], static) for way in before})
    return changes


def moving_object(infrared: Image, visible: Image, size: tuple[int, int], fuse: Fuse) -> list[dict[str, float]]:
    infrared, visible = (cut(image, size) for image in (infrared, visible))
    places = [((number - 3) * STEP + 10, size[1] // 2) for number in range(FRAMES)]
    frames = []
    for number, place in enumerate(places):
        frames.append(fuse(with_disc(infrared, place, 3) if number >= 3 else infrared, visible))
    changes = []
    for number in range(1, FRAMES):
        static, before = away(size, places[number - 1 : number + 1]), frames[number - 1]
        changes.append({way: changed(now, before[way], static) for way, now in frames[number].items()})
    return changes


def pan(infrared: Image, visible: Image, size: tuple[int, int], fuse: Fuse) -> list[dict[str, float]]:
    left = infrared.shape[1] // 2 - size[0] // 2
    place = (infrared.shape[1] // 2 + size[0] // 2 + 12, infrared.shape[0] // 2)  # 12: the radius of the disc
    warm = with_disc(infrared, place, 12)
    frames = [fuse(cut(warm, size, 2 * number), cut(visible, size, 2 * number)) for number in range(FRAMES)]
    inside, shifted = np.s_[REACH:-REACH, REACH : -REACH - 2], np.s_[REACH:-REACH, REACH + 2 : -REACH]
    changes = []
    for number in range(1, FRAMES):
        static, before = away(size, [(place[0] - left - 2 * number, size[1] // 2)])[inside], frames[number - 1]
        changes.append({way: changed(now[inside], before[way][shifted], static) for way, now in frames[number].items()})
    return changes


def changed(now: Image, before: Image, static: np.ndarray) -> float:
    return float(np.abs(now - before)[static].mean())


def cut(image: Image, size: tuple[int, int], right: int = 0) -> Image:
    left, top = image.shape[1] // 2 - size[0] // 2 + right, image.shape[0] // 2 - size[1] // 2
    return image[top : top + size[1], left : left + size[0]]


def with_disc(infrared: Image, place: tuple[int, int], radius: int) -> Image:
    y, x = np.ogrid[: infrared.shape[0], : infrared.shape[1]]
    return np.where((x - place[0]) ** 2 + (y - place[1]) ** 2 <= radius**2, np.uint8(255), infrared)


def away(size: tuple[int, int], places: list[tuple[int, int]]) -> np.ndarray:
    """(H, W) bool, pixels that are more than `REACH` from all places in x or y."""
    y, x = np.ogrid[: size[1], : size[0]]
    near = [(abs(x - left) <= REACH) & (abs(y - top) <= REACH) for left, top in places]
    return ~np.logical_or.reduce(near)


if __name__ == "__main__":
    main()
