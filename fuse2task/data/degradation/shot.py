"""One pair about to be degraded, with the random numbers that belong to it."""

from dataclasses import dataclass

import numpy as np

from fuse2task.runtime.seeding import generator


@dataclass(frozen=True)
class Shot:
    """A registered pair and what its random fields are fixed by.

    visible: (H, W, 3) RGB or (H, W) grey uint8, sRGB coded. infrared: (H, W) uint8. id: the pair's.
    """

    visible: np.ndarray
    infrared: np.ndarray
    id: str
    seed: int
    kind: str

    def random(self, part: str) -> np.random.Generator:
        """A generator of this image: the same at every level, so that a level adds to the one below."""
        return generator(self.seed, "degrade", self.kind, part, "image", self.id)

    def sensor_random(self, part: str) -> np.random.Generator:
        """A generator of the camera: the same for every image, as a broken pixel is."""
        return generator(self.seed, "degrade", self.kind, part, "sensor")
