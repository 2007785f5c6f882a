"""Geometry of a camera rig: lens calibration, and the alignment that takes both cameras to one grid of pixels."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from fuse2task.data.dataset import Box
from fuse2task.data.degradation.geometry import Size, remaining
from fuse2task.data.images import CAMERAS, IGNORED, OTHER, Camera
from fuse2task.runtime.errors import RequestError
from fuse2task.runtime.files import read_json, write_json
from fuse2task.runtime.reading import MAX_YAML, parse_yaml, read_csv, read_text

FORMAT = "fuse2task.alignment"
MOST_ERROR = 3.0  # pixels of the grid; an estimate whose error bar is above counts as failed
MODELS = {"similarity": 2, "affine": 3, "homography": 4}  # and the point pairs that determine them
LEAST_SHARE = 0.1  # of the grid's width and height that both cameras must see
LEAST_GRID = 16  # pixels of a side
_HALF = 0.501  # half a pixel at the border is the pixel next to it; a thousandth is rounding
LARGEST_SIDE = 32766  # of what OpenCV's remap takes
_STEPS = 20  # each leaves a tenth or less of the error
_ROUND = 720  # points round the inscribed ellipse of a box
_COUNTS = (4, 5, 8, 12, 14)  # coefficients of OpenCV's models of distortion
Matrix = tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class Lens:
    """A calibrated pinhole camera with OpenCV's distortion, for images of `size` (width, height).

    matrix: 3x3, in OpenCV's coordinates, where the middle of the first pixel is (0, 0). distortion: k1, k2, p1, p2
    [, k3[, k4, k5, k6[, s1 .. s4[, tau_x, tau_y]]]].
    """

    size: Size
    matrix: Matrix
    distortion: tuple[float, ...]

    def straight(self, points: np.ndarray) -> np.ndarray:
        """Where a pinhole camera of the same matrix sees what this one sees at `points` (N, 2), edge coordinates."""
        matrix, distortion = np.array(self.matrix), np.array(self.distortion)
        centred = np.ascontiguousarray(points[:, None] - 0.5, np.float64)
        found = cv2.undistortPoints(centred, matrix, distortion, P=matrix)[:, 0] + 0.5
        for _ in range(_STEPS):  # OpenCV's few steps leave up to a pixel at the corners of a wide lens
            found += points - self.seen(found)
        return found

    def seen(self, points: np.ndarray) -> np.ndarray:
        """The inverse of `straight`."""
        matrix = np.array(self.matrix)
        rays = np.column_stack([points - 0.5, np.ones(len(points))]) @ np.linalg.inv(matrix).T
        return cv2.projectPoints(rays, np.zeros(3), np.zeros(3), matrix, np.array(self.distortion))[0][:, 0] + 0.5


@dataclass(frozen=True)
class CameraView:
    """How one camera comes onto the grid: its image of `size`, made straight if it has a `lens`, by a homography.

    matrix: 3x3, straight pixels to pixels of the grid, both edge coordinates as boxes have them: an image reaches from
    0 to its width.
    """

    size: Size
    matrix: Matrix
    lens: Lens | None = None

    def to_grid(self, points: np.ndarray) -> np.ndarray:
        """Points (N, 2) of the camera's image on the grid; edge coordinates."""
        return transformed(self.matrix, points if self.lens is None else self.lens.straight(points))

    def from_grid(self, points: np.ndarray) -> np.ndarray:
        """The inverse of `to_grid`."""
        straight = transformed(np.linalg.inv(self.matrix), points)
        return straight if self.lens is None else self.lens.seen(straight)

    def cut(self) -> tuple[int, int] | None:
        """The pixel of the image (x, y) at the grid's corner, where the grid is a plain cut of the image."""
        offset = -np.array(self.matrix)[:2, 2]
        shift = np.array([[1, 0, -offset[0]], [0, 1, -offset[1]], [0, 0, 1]])
        plain = self.lens is None and np.array_equal(self.matrix, shift) and np.array_equal(offset, offset.round())
        return (int(offset[0]), int(offset[1])) if plain else None


@dataclass(frozen=True)
class Alignment:
    """What takes the images of two cameras, and the truth drawn on them, to one grid of `size` (width, height).

    error: how far the estimate says that a corner of the grid may be off, in pixels (95 %); None where nothing was
    estimated. how: what was done, for a reader.
    """

    size: Size
    views: Mapping[Camera, CameraView]
    error: float | None = None
    how: Mapping[str, Any] = field(default_factory=dict)

    @property
    def failed(self) -> bool:
        """Whether the estimate's own error bar says not to use it."""
        return self.error is not None and self.error > MOST_ERROR

    def apply(self, image: np.ndarray, camera: Camera) -> np.ndarray:
        """An image of a camera on the grid, of the same dtype (uint8, uint16 or float32), (H, W) or (H, W, 3).

        Bicubic, blurred before where the grid is coarser; pixels that the camera does not see are as those next to
        them. A grid that is a plain cut of the image has its very pixels. RequestError: not an image of its size.
        """
        view = self._view(image, camera)
        if (corner := view.cut()) is not None:
            part = image[corner[1] : corner[1] + self.size[1], corner[0] : corner[0] + self.size[0]]
            if min(corner) >= 0 and part.shape[:2] == self.size[::-1]:
                return np.ascontiguousarray(part)
        image = blurred(image, scale_at(view.from_grid, self.size))
        x, y = _maps(view, self.size)
        return cv2.remap(image, x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)

    def moved_mask(self, mask: np.ndarray, camera: Camera) -> np.ndarray:
        """A mask of class indices (H, W) uint8 on the grid: nearest, 255 where the camera does not see.
        RequestError: not a mask of the camera's size."""
        view = self._view(mask, camera)
        x, y = (
            np.where(_beyond(places, side) < _HALF, places.clip(0, side - 1), places)
            for places, side in zip(_maps(view, self.size), view.size, strict=True)
        )
        return cv2.remap(mask, x, y, cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT, borderValue=IGNORED)

    def moved(self, boxes: Sequence[Box], camera: Camera) -> tuple[Box, ...]:
        """Boxes of a camera's image on the grid, clipped to it; those that leave it are gone, as in `data degrade`.

        As there, a moved box is the one round the moved inscribed ellipse (Kalra et al., ICCV 2021).
        """
        view, angles = self.views[camera], np.linspace(0, 2 * np.pi, _ROUND, endpoint=False)
        circle = np.stack([np.cos(angles), np.sin(angles)], axis=1)
        found = []
        for box in boxes:
            points = view.to_grid(circle * (box.w / 2, box.h / 2) + (box.x + box.w / 2, box.y + box.h / 2))
            (left, top), (right, bottom) = points.min(axis=0).tolist(), points.max(axis=0).tolist()
            found.append(remaining(box, (left, top, right, bottom), self.size))
        return tuple(box for box in found if box is not None)

    def _view(self, image: np.ndarray, camera: Camera) -> CameraView:
        view, size = self.views[camera], image.shape[1::-1]
        if size != view.size:
            theirs = f"{view.size[0]}x{view.size[1]}"
            raise RequestError(f"{camera} image of {size[0]}x{size[1]}; the alignment is for {theirs}: make another")
        return view

    def as_json(self) -> dict[str, Any]:
        """All of it, for `from_json`."""
        views = {}
        for camera, view in self.views.items():
            lens = view.lens and {"matrix": view.lens.matrix, "distortion": view.lens.distortion}
            views[camera] = {"size": view.size, "matrix": view.matrix, "lens": lens}
        about = {"format": FORMAT, "version": 1, "size": self.size, "error": self.error, "how": dict(self.how)}
        return _plain(about | {"views": views})

    @classmethod
    def from_json(cls, values: Any, where: str = "alignment") -> "Alignment":
        """RequestError: not what `as_json` gives; the message is begun by `where`."""
        try:
            if values["format"] != FORMAT or values["version"] != 1:
                raise ValueError(f"format {values['format']!r}, version {values['version']!r}")
            views: dict[Camera, CameraView] = {}
            for camera in CAMERAS:
                given = values["views"][camera]
                size, lens = _size(given["size"]), given["lens"]
                made = lens and Lens(size, _matrix(lens["matrix"]), _distortion(lens["distortion"]))
                views[camera] = CameraView(size, _matrix(given["matrix"]), made or None)
            error = values["error"]
            if error is not None and not (isinstance(error, int | float) and 0 <= error < np.inf):
                raise ValueError(f"error {error!r}")
            return cls(_size(values["size"]), views, error, dict(values["how"]))
        except (LookupError, TypeError, ValueError, np.linalg.LinAlgError) as error:
            text = f"{where}: not an alignment of fuse2task ({type(error).__name__}: {error}); make it again"
            raise RequestError(text) from None

    @classmethod
    def load(cls, path: Path) -> "Alignment":
        """RequestError: missing, or not what `save` writes."""
        return cls.from_json(read_json(path, "alignment"), str(path))

    def save(self, path: Path) -> None:
        """Write it as JSON: the same bytes for the same alignment."""
        write_json(path, self.as_json())


def common_grid(
    sizes: Mapping[Camera, Size], matrix: np.ndarray | None = None, onto: Camera = "visible",
    lenses: Mapping[Camera, Lens] | None = None, error: float | None = None, how: Mapping[str, Any] | None = None,
) -> Alignment:  # fmt: skip
    """The alignment on the pixels of the camera `onto`, cropped to what both see.

    sizes: of the cameras' images. matrix: 3x3, takes the other camera's straight pixels to those of `onto`, edge
    coordinates; without it, both see the same field. The crop is an upright rectangle of whole pixels.
    RequestError: a lens for another size, or too little in common.
    """
    lenses = lenses or {}
    check_lenses(sizes, lenses)
    other = OTHER[onto]
    grid, moving = sizes[onto], sizes[other]
    matrix = np.diag([grid[0] / moving[0], grid[1] / moving[1], 1]) if matrix is None else np.asarray(matrix)
    views = {
        onto: CameraView(grid, _matrix(np.eye(3)), lenses.get(onto)),
        other: CameraView(moving, _matrix(matrix), lenses.get(other)),
    }
    left, top, right, bottom = _common(list(views.values()), grid)
    if right - left < max(LEAST_GRID, LEAST_SHARE * grid[0]) or bottom - top < max(LEAST_GRID, LEAST_SHARE * grid[1]):
        text = f"{max(0, right - left)}x{max(0, bottom - top)} of {grid[0]}x{grid[1]} pixels"
        raise RequestError(f"the cameras have only {text} in common; check the point pairs, or which camera is which")
    crop = np.array([[1, 0, -left], [0, 1, -top], [0, 0, 1]], dtype=float)
    cropped = {camera: CameraView(view.size, _matrix(crop @ view.matrix), view.lens) for camera, view in views.items()}
    return Alignment((right - left, bottom - top), cropped, error, how or {})


def check_lenses(sizes: Mapping[Camera, Size], lenses: Mapping[Camera, Lens]) -> None:
    """RequestError: a lens was calibrated on images of another size."""
    for camera, lens in lenses.items():
        if lens.size != sizes[camera]:
            text = f"{lens.size[0]}x{lens.size[1]}, the {camera} images have {sizes[camera][0]}x{sizes[camera][1]}"
            raise RequestError(f"the {camera} lens was calibrated on images of {text}; calibrate on these")


def _common(views: Sequence[CameraView], grid: Size) -> tuple[int, int, int, int]:
    """(left, top, right, bottom): an upright rectangle of pixels whose middles all views see. From each side in turn,
    the one with the largest unseen share goes: exact for plain crops, and never far from the largest."""
    both = np.ones(grid[::-1], dtype=bool)
    for view in views:
        for places, side in zip(_maps(view, grid), view.size, strict=True):
            both &= _beyond(places, side) < _HALF
    left, top, right, bottom = 0, 0, grid[0], grid[1]
    while left < right and top < bottom:
        part = both[top:bottom, left:right]
        shares = [part[:, 0].mean(), part[0].mean(), part[:, -1].mean(), part[-1].mean()]
        worst = int(np.argmin(shares))
        if shares[worst] == 1:
            break
        left, top = left + (worst == 0), top + (worst == 1)
        right, bottom = right - (worst == 2), bottom - (worst == 3)
    return left, top, right, bottom


def _beyond(places: np.ndarray, side: int) -> np.ndarray:
    """How far coordinates of `cv2.remap` lie beyond the middles of an image's first and last pixel."""
    return np.abs(places - places.clip(0, side - 1))


def transformed(matrix: Any, points: np.ndarray) -> np.ndarray:
    """Points (N, 2) under a 3x3 homography."""
    return cv2.perspectiveTransform(np.asarray(points, np.float64)[None], np.asarray(matrix, np.float64))[0]


def centred(matrix: Any) -> np.ndarray:
    """A 3x3 homography of edge coordinates as one of OpenCV's, where the middle of the first pixel is (0, 0)."""
    half = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])
    return np.linalg.inv(half) @ np.asarray(matrix) @ half


def straightened(image: np.ndarray, lens: Lens | None) -> np.ndarray:
    """An image of the lens's size, (H, W) or (H, W, 3), as a pinhole camera of its matrix sees it; without a lens, as
    it is."""
    if lens is None:
        return image
    view = CameraView(lens.size, _matrix(np.eye(3)), lens)
    return cv2.remap(image, *_maps(view, lens.size), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


@lru_cache(maxsize=4)  # of a rig all frames have the same
def _maps(view: CameraView, grid: Size) -> tuple[np.ndarray, np.ndarray]:
    """For `cv2.remap`: where the middle of each pixel of the grid is in the camera's image, x and y, float32."""
    y, x = np.mgrid[0 : grid[1], 0 : grid[0]] + 0.5
    points = view.from_grid(np.stack([x.ravel(), y.ravel()], axis=1)) - 0.5
    # Beyond what OpenCV can count, on both sides, nothing is seen.
    points = np.nan_to_num(points, nan=-LARGEST_SIDE).clip(-LARGEST_SIDE, LARGEST_SIDE).astype(np.float32)
    return tuple(np.ascontiguousarray(part.reshape(grid[::-1])) for part in points.T)  # type: ignore[return-value]


def scale_at(source: Callable[[np.ndarray], np.ndarray], grid: Sequence[int]) -> float:
    """Pixels of an image for each of a grid, in its middle; source: points (N, 2) of the grid to those of the image."""
    at, right, down = source(np.add(np.divide(grid, 2), [[0, 0], [1, 0], [0, 1]]))
    return float(np.sqrt(abs(np.linalg.det([right - at, down - at]))))


def blurred(image: np.ndarray, scale: float) -> np.ndarray:
    """The image without detail that a grid `scale` times as coarse cannot hold; as it is up to a scale of 1.1."""
    return cv2.GaussianBlur(image, (0, 0), 0.5 * float(np.sqrt(scale**2 - 1))) if scale > 1.1 else image


def matrix_of_points(source: np.ndarray, target: np.ndarray, model: str) -> np.ndarray:
    """The 3x3 matrix of a `model` of `MODELS` that takes points `source` (N, 2) to `target`; above the least number,
    by RANSAC with 3 pixels. RequestError: too few points, or in a line."""
    if len(source) < MODELS[model]:
        raise RequestError(f"{len(source)} point pairs; {model} needs {MODELS[model]} or more")
    source, target = (np.ascontiguousarray(points, np.float64) for points in (source, target))
    if model == "homography":
        exact = len(source) == MODELS[model]
        found = cv2.findHomography(source, target, 0 if exact else cv2.RANSAC, 3.0)[0]
    else:
        estimate = cv2.estimateAffine2D if model == "affine" else cv2.estimateAffinePartial2D
        part = estimate(source, target, method=cv2.RANSAC, ransacReprojThreshold=3.0)[0]
        found = None if part is None else np.vstack([part, [0, 0, 1]])
    if found is None or not np.isfinite(found).all() or abs(np.linalg.det(found)) < 1e-9:
        raise RequestError(f"no {model} takes the point pairs to one another; are they in a line, or mixed up?")
    return found


def read_points(path: Path) -> dict[Camera, np.ndarray]:
    """Point pairs of a CSV file with columns infrared_x, infrared_y, visible_x, visible_y: (N, 2) for each camera.
    RequestError: as `read_csv`, a column missing or no number."""
    columns, rows = read_csv(path, "table of point pairs")
    names = {camera: (f"{camera}_x", f"{camera}_y") for camera in CAMERAS}
    if missing := [name for pair in names.values() for name in pair if name not in columns]:
        raise RequestError(
            f"{path}: no column {', '.join(missing)}; columns are infrared_x,infrared_y,visible_x,visible_y"
        )
    try:
        points = {key: np.array([[float(row[name]) for name in pair] for row in rows]) for key, pair in names.items()}
        if not all(np.isfinite(found).all() for found in points.values()):
            raise ValueError("not finite")
    except ValueError as error:
        raise RequestError(f"{path}: a coordinate is no number ({error}); correct it") from None
    return points


def read_lens(path: Path) -> Lens:
    """A camera's calibration as OpenCV's `FileStorage` and ROS write it, YAML or JSON: camera_matrix, or K;
    distortion_coefficients, or D; image_width and image_height.

    RequestError: as `read_text`, no YAML or JSON, a part missing, a fisheye lens, or no camera.
    """
    path = Path(path)
    lines = read_text(path, "calibration", MAX_YAML).splitlines()
    # OpenCV's first line is no YAML directive, and its tag only says that a mapping is a matrix.
    text = "\n".join(line for line in lines if not line.startswith("%YAML")).replace("!!opencv-matrix", "")
    values = parse_yaml(text, f"{path}: not a readable calibration (YAML or JSON expected)")
    try:
        if "fisheye" in str(values.get("distortion_model", "")) or "equidistant" in str(values.get("distortion_model")):
            raise RequestError(f"{path}: a fisheye lens, which is not supported; undistort the images yourself")
        matrix = _matrix(np.reshape(_data(values, "camera_matrix", "K"), (3, 3)))
        lens = Lens(
            _size([values["image_width"], values["image_height"]]),
            matrix,
            _distortion(_data(values, "distortion_coefficients", "D")),
        )
        if matrix[0][0] <= 0 or matrix[1][1] <= 0 or matrix[2] != (0, 0, 1):
            raise ValueError("the matrix is not that of a camera")
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        text = "camera_matrix, distortion_coefficients, image_width and image_height are needed"
        raise RequestError(f"{path}: not a camera's calibration ({error}); {text}") from None
    return lens


def _data(values: Mapping[str, Any], *names: str) -> list[float]:
    name = next((name for name in names if name in values), names[0])
    found = values[name]
    return np.ravel(found["data"] if isinstance(found, dict) else found).astype(float).tolist()


def _size(values: Any) -> Size:
    width, height = values
    for side in (width, height):
        if not isinstance(side, int) or isinstance(side, bool) or not 0 < side <= LARGEST_SIDE:
            raise ValueError(f"size {values}")
    return width, height


def _matrix(values: Any) -> Matrix:
    found = np.asarray(values, dtype=float)
    if found.shape != (3, 3) or not np.isfinite(found).all() or abs(np.linalg.det(found)) < 1e-12:
        raise ValueError(f"no invertible 3x3 matrix: {found.tolist()}")
    return tuple(tuple(row) for row in found.tolist())


def _distortion(values: Any) -> tuple[float, ...]:
    found = tuple(float(value) for value in values)
    if len(found) not in _COUNTS or not np.isfinite(found).all():
        raise ValueError(f"{len(found)} coefficients of distortion; OpenCV's models have {_COUNTS}")
    return found


def _plain(values: Any) -> Any:
    """With lists for tuples, as JSON has them."""
    if isinstance(values, Mapping):
        return {key: _plain(value) for key, value in values.items()}
    return [_plain(value) for value in values] if isinstance(values, list | tuple) else values
