"""A camera rig: 16-bit infrared in centikelvin with defective pixels, and colour, of two fixed views."""

import cv2
import numpy as np
import pytest

HOT = [(3, 4), (40, 20), (41, 20)]  # x, y


def write_rig(folder, sequences=("street", "yard"), frames=6, size=(64, 48)):
    """`folder/thermal/SEQUENCE/t0.tif`, `folder/rgb/SEQUENCE/t0.jpg`; something hot is in every other frame."""
    for place, sequence in enumerate(sequences):
        rng = np.random.default_rng([7, place])
        still = cv2.resize(rng.uniform(28500, 29800, (6, 8)).astype(np.float32), size, interpolation=cv2.INTER_CUBIC)
        colour = cv2.resize(rng.integers(0, 80, (6, 8, 3), np.uint8), size, interpolation=cv2.INTER_CUBIC)
        colour += ((still - still.min()) / np.ptp(still) * 170).astype(np.uint8)[..., None]
        for number in range(frames):
            kelvin = still + rng.normal(0, 3, still.shape)
            if number % 2:
                kelvin[30:, 50:] = 33000
            for x, y in HOT:
                kelvin[y, x] += 1500
            (folder / "thermal" / sequence).mkdir(parents=True, exist_ok=True)
            (folder / "rgb" / sequence).mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(folder / "thermal" / sequence / f"t{number}.tif"), np.rint(kelvin).astype(np.uint16))
            cv2.imwrite(str(folder / "rgb" / sequence / f"c{number}.jpg"), colour)
    return folder


@pytest.fixture
def rig(tmp_path):
    return write_rig(tmp_path / "raw")
