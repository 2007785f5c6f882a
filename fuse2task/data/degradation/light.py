"""Too little light for the visible camera; the infrared one needs none."""

import numpy as np

from fuse2task.data.degradation.radiance import to_code, to_linear
from fuse2task.data.degradation.sensor import photons
from fuse2task.data.degradation.shot import Shot

NIGHT_STOPS = (1.0, 2.0, 3.0, 4.0, 5.0)  # exposure values by which the image is darker
NIGHT_ELECTRONS = (4000, 1200, 400, 120, 40)  # photoelectrons of a white surface


def night_visible(shot: Shot, level: int) -> np.ndarray:
    """Photons are counted at a lower light, and the gain brings back only a part of the brightness."""
    counts = photons(to_linear(shot.visible), NIGHT_ELECTRONS, level, shot.random("visible"))
    return to_code(counts / (NIGHT_ELECTRONS[level - 1] * 2 ** NIGHT_STOPS[level - 1]))
