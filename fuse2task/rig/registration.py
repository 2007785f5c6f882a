"""Registration of a camera rig: what takes both cameras to one grid of pixels, from point pairs or as made before."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field, model_validator

from fuse2task.config.recipes import Recipe
from fuse2task.data.images import CAMERAS, Camera
from fuse2task.rig.geometry import Alignment, common_grid, matrix_of_points, read_lens, read_points


class Registration(Recipe):
    """How the cameras of a rig come onto one grid. file: an alignment made before. points: a CSV of point pairs,
    infrared_x, infrared_y, visible_x, visible_y, in pixels of images without distortion; model: what is fitted to
    them. onto: camera whose pixels stay. infrared_lens, visible_lens: OpenCV calibrations. frames: most that are
    looked at. per_frame: each by itself."""

    file: str | None = None
    points: str | None = None
    model: Literal["similarity", "affine", "homography"] = "similarity"
    onto: Camera = "visible"
    infrared_lens: str | None = None
    visible_lens: str | None = None
    frames: int = Field(default=20, ge=1)
    per_frame: bool = False

    @model_validator(mode="after")
    def _is_one(self) -> "Registration":
        if (self.file is None) == (self.points is None):
            raise ValueError("give points, or the file of an alignment")
        return self


def align(section: Registration, frames: Sequence[tuple[np.ndarray, np.ndarray]]) -> Alignment:
    """The alignment that `section` asks for, of frames (infrared, visible), (H, W) or (H, W, 3), for their size.

    RequestError: as `Alignment.load`, `read_points`, `read_lens`, `matrix_of_points` and `common_grid`.
    """
    if section.file is not None:
        return Alignment.load(Path(section.file))
    given: dict[Camera, str | None] = {"infrared": section.infrared_lens, "visible": section.visible_lens}
    lenses = {camera: read_lens(Path(path)) for camera, path in given.items() if path}
    points = read_points(Path(str(section.points)))
    other: Camera = "infrared" if section.onto == "visible" else "visible"
    matrix = matrix_of_points(points[other], points[section.onto], section.model)
    how = {"method": "point pairs", "pairs": len(points[other]), "model": section.model, "onto": section.onto}
    sizes = {camera: image.shape[1::-1] for camera, image in zip(CAMERAS, frames[0], strict=True)}
    return common_grid(sizes, matrix, section.onto, lenses, how=how)
