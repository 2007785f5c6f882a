"""Every kind of degradation at every level on a few pairs: a contact sheet for each kind, and mean PSNR.

Usage: python tools/degradations.py ROOT LAYOUT [OUT=runs/degradations] [PAIRS=2]
The pairs are spread over the dataset. Sheets show other owners' images: look at them, do not publish them.
"""

import sys
from pathlib import Path

import cv2
import numpy as np

from fuse2task.data.degradation.kinds import KINDS, LEVELS
from fuse2task.data.degradation.sensor import Shot
from fuse2task.data.images import as_rgb, read_infrared, read_visible, write_image
from fuse2task.data.loading import load_pairs

TILE = (400, 300)


def main(root: Path, layout: str, out: Path, count: int) -> None:
    pairs = load_pairs(root, layout)
    chosen = [pairs[index] for index in np.linspace(0, len(pairs) - 1, count).round().astype(int)]
    print(f"PSNR in dB, mean over {count} pairs of {root.name}")
    print(f"{'kind':10}{'image':10}" + "".join(f"{level:>8}" for level in LEVELS[1:]))
    for name, kind in KINDS.items():
        rows = []
        for modality in kind.changes:
            scores = np.zeros((len(chosen), len(LEVELS) - 1))
            for number, pair in enumerate(chosen):
                shot = Shot(read_visible(pair.visible), read_infrared(pair.infrared), pair.id, 0, name)
                clean = shot.image(modality)
                tiles = [clean, *(kind.effect(shot, level, modality) for level in LEVELS[1:])]
                scores[number] = [cv2.PSNR(clean, tile) for tile in tiles[1:]]
                rows.append(np.hstack([labelled(tile, f"{name} {level}") for level, tile in enumerate(tiles)]))
            print(f"{name:10}{modality:10}" + "".join(f"{score:8.2f}" for score in scores.mean(axis=0)))
        write_image(out / f"{name}.png", np.vstack(rows))


def labelled(pixels: np.ndarray, text: str) -> np.ndarray:
    tile = cv2.resize(as_rgb(pixels), TILE, interpolation=cv2.INTER_AREA)
    cv2.putText(tile, text, (8, 22), cv2.FONT_HERSHEY_SIMPLEX, 0.6, (0, 0, 0), 3, cv2.LINE_AA)
    return cv2.putText(tile, text, (8, 22), cv2.FONT_HERSHEY_SIMPLEX, 0.6, (255, 255, 255), 1, cv2.LINE_AA)


if __name__ == "__main__":
    arguments = sys.argv[1:]
    main(
        Path(arguments[0]), arguments[1], Path(arguments[2] if len(arguments) > 2 else "runs/degradations"),
        int(arguments[3]) if len(arguments) > 3 else 2,
    )  # fmt: skip
