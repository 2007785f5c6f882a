"""The pinhole camera that both sensors share: metres in front of it to pixels."""

from dataclasses import dataclass

import numpy as np

CAMERA_HEIGHT = 2.0  # metres above a flat road


@dataclass(frozen=True)
class View:
    """width, height: image in pixels. focal: in pixels. horizon: its row."""

    width: int
    height: int
    focal: float
    horizon: float

    @classmethod
    def of(cls, size: tuple[int, int]) -> "View":
        """The view of an image of `size` (width, height): about 45 degrees across its shorter side."""
        width, height = size
        return cls(width, height, 1.05 * min(size), 0.4 * height)

    @property
    def unit(self) -> int:
        """The shorter side in pixels, which blur and the smallest object scale with."""
        return min(self.width, self.height)

    @property
    def nearest(self) -> float:
        """Metres to the road at the lower edge of the image."""
        return self.focal * CAMERA_HEIGHT / (self.height - self.horizon)

    def upright(self, outline: np.ndarray, x: float, distance: float) -> np.ndarray:
        """Pixels of an (N, 2) outline in metres, upright `x` to the right and `distance` ahead."""
        scale = self.focal / distance
        return np.stack(
            [
                self.width / 2 + scale * (x + outline[:, 0]),
                self.horizon + scale * (CAMERA_HEIGHT - outline[:, 1]),
            ],
            axis=1,
        )

    def flat(self, outline: np.ndarray) -> np.ndarray:
        """Pixels of an (N, 2) outline that lies on the road, given as (metres to the right, metres ahead)."""
        scale = self.focal / outline[:, 1]
        return np.stack([self.width / 2 + scale * outline[:, 0], self.horizon + scale * CAMERA_HEIGHT], axis=1)

    def road_at(self, rows: np.ndarray, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(metres to the right, metres ahead) of the road point seen at each pixel below the horizon."""
        ahead = self.focal * CAMERA_HEIGHT / np.maximum(rows - self.horizon, 0.5)
        return (columns - self.width / 2) * ahead / self.focal, ahead
