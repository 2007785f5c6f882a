"""Registration of a camera rig from its images: one estimate for a rigid rig or for each frame, with an error bar."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from pydantic import Field
from scipy import fft, ndimage, optimize, special

from fuse2task.config.recipes import Recipe
from fuse2task.data.degradation.geometry import Size
from fuse2task.data.images import CAMERAS, OTHER, Camera, luma
from fuse2task.rig.geometry import (
    Alignment,
    Lens,
    blurred,
    centred,
    check_lenses,
    common_grid,
    matrix_of_points,
    read_lens,
    read_points,
    scale_at,
    straightened,
    transformed,
)
from fuse2task.runtime.errors import RequestError

Model = Literal["similarity", "affine", "homography"]
Images = tuple[np.ndarray, np.ndarray]
SCALES = tuple(np.geomspace(1 / 1.65, 1.65, 22).tolist())
"""Searched, beside what the sizes of the images say."""
TURNS = (-5.0, -2.5, 0.0, 2.5, 5.0)  # degrees
REACH = 0.3  # of the field in each direction: 15 % of shift at a scale of 0.6, and a margin
SIDES = (160, 320, 640)  # pixels of the longer side, coarse to fine
TILES = (8, 6)  # of the fixed image, across and down
_RADIUS = 8, 5, 5  # pixels that a tile may still be off, at each of SIDES
_SMOOTH = (2.0, 1.5, 1.0, 0.7), (0.8, 0.5, 0.5), (0.8, 0.5, 0.5)  # of the surfaces, for each step at each of SIDES
_COARSE_SIDE, _COARSE_FRAMES, _CANDIDATES = 144, 10, 4
_REPLICATES = 60
_BLOCK = 2  # tiles of a side
_RIVAL = 0.93  # of the best agreement, from which another place may as well be the true one


class Registration(Recipe):
    """How the cameras of a rig come onto one grid. file: an alignment made before. points: a CSV of point pairs,
    infrared_x, infrared_y, visible_x, visible_y, in pixels of images without distortion. Without either, it is
    estimated from up to `frames` pairs, or from each pair by itself with per_frame.

    onto: camera whose pixels stay. infrared_lens, visible_lens: OpenCV calibrations. failed: what is done with frames
    whose error bar is too large, with per_frame.
    """

    file: str | None = None
    points: str | None = None
    model: Model = "similarity"
    onto: Camera = "visible"
    infrared_lens: str | None = None
    visible_lens: str | None = None
    frames: int = Field(20, ge=1)
    per_frame: bool = False
    failed: Literal["refuse", "drop"] = "refuse"


def align(section: Registration, frames: Sequence[Images]) -> Alignment:
    """The alignment that `section` asks for of frames (infrared, visible), as in `estimate`; of a given one or points,
    only their sizes matter.

    RequestError: as `estimate`, `Alignment.load`, `read_points` and `read_lens`.
    """
    if section.file:
        return Alignment.load(Path(section.file))
    given: dict[Camera, str | None] = {"infrared": section.infrared_lens, "visible": section.visible_lens}
    lenses = {camera: read_lens(Path(path)) for camera, path in given.items() if path}
    if not section.points:
        return estimate(frames, section.model, section.onto, lenses)
    points = read_points(Path(section.points))
    other = OTHER[section.onto]
    matrix = matrix_of_points(points[other], points[section.onto], section.model)
    how = {"method": "point pairs", "pairs": len(points[other]), "model": section.model, "onto": section.onto}
    return common_grid(_sizes([frames[0]] if len(frames) else []), matrix, section.onto, lenses, how=how)


def estimate(
    frames: Sequence[Images], model: Model = "similarity", onto: Camera = "visible",
    lenses: Mapping[Camera, Lens] | None = None,
) -> Alignment:  # fmt: skip
    """One alignment of all frames of a rigid rig: (infrared, visible), (H, W) or (H, W, 3) uint8, one size a camera.

    Edges are compared by normalised gradients whose sign does not count (Haber and Modersitzki, MICCAI 2006). At low
    resolution every shift, at each of `SCALES` and `TURNS`, is scored by FFT, summed over the frames. From the best,
    tiles of the images are correlated and the surfaces summed over the frames, as ensemble correlation does for flow
    (Meinhart et al., J. Fluids Eng. 2000); the model is fitted to all surfaces at once, at each of `SIDES`. A model
    with more freedom than the rig has costs accuracy at the corners.

    The error bar is the 95 % quantile of how far a corner of the grid moves, on average over the four, when frames and
    tiles are resampled. Where another place agrees nearly as well, it is at least the distance to that.

    RequestError: no frames, images of several sizes in one camera, or as `common_grid`.
    """
    greys = [(luma(infrared), luma(visible)) for infrared, visible in frames]  # decoded once, where they are lazy
    sizes, lenses = _sizes(greys), lenses or {}
    check_lenses(sizes, lenses)
    other = OTHER[onto]
    at, moving = CAMERAS.index(onto), CAMERAS.index(other)
    pairs = [
        (straightened(grey[at], lenses.get(onto)), straightened(grey[moving], lenses.get(other))) for grey in greys
    ]
    found = _Search(pairs, model)
    made = common_grid(sizes, np.linalg.inv(found.best), onto, lenses)
    origin = -np.array(made.views[onto].matrix)[:2, 2]
    corners = origin + np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) * made.size
    how = {"method": "edges", "frames": len(pairs), "model": model, "onto": onto, "rival": round(found.rivalry, 3)}
    return replace(made, error=round(found.error(corners), 3), how=how)


def _sizes(frames: Sequence[Images]) -> dict[Camera, Size]:
    if not frames:
        raise RequestError("no frames to register; give at least one pair of images")
    found: dict[Camera, Size] = {}
    for at, camera in enumerate(CAMERAS):
        sizes = {frame[at].shape[1::-1] for frame in frames}
        if len(sizes) > 1:
            listed = ", ".join(f"{width}x{height}" for width, height in sorted(sizes))
            raise RequestError(f"{camera} images of several sizes ({listed}); a rig has one, or register each frame")
        found[camera] = sizes.pop()
    return found


def gradients(image: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Normalised gradients, (3, H, W) float32: strength against its neighbourhood, and direction as a doubled angle.

    image: (H, W). seen: (H, W) uint8, 0 where the image is made up: no gradient there. Products of two such fields
    are cos^2 of the angle between the gradients (to a constant), and the covariance of their strengths.
    """
    pixels = cv2.GaussianBlur(image.astype(np.float32), (0, 0), 1.0)
    x, y = (cv2.Scharr(pixels, cv2.CV_32F, dx, dy, scale=1 / 32) for dx, dy in ((1, 0), (0, 1)))
    inner = cv2.erode(seen, np.ones((5, 5), np.uint8), borderType=cv2.BORDER_CONSTANT, borderValue=0).astype(np.float32)
    energy = (x * x + y * y) * inner
    share = cv2.GaussianBlur(inner, (0, 0), _NEAR) + 1e-6
    strength = np.sqrt(energy / (energy + cv2.GaussianBlur(energy, (0, 0), _NEAR) / share + _NOISE))
    above = (strength - cv2.GaussianBlur(strength, (0, 0), _NEAR) / share) * inner
    unit = strength / np.maximum(energy, 1e-9)
    return np.stack([above, unit * (x * x - y * y), unit * 2 * x * y])


_NEAR = 6.0  # pixels: the neighbourhood of a gradient
_NOISE = 1.0  # grey levels a pixel, squared: weaker gradients are noise


class _Search:
    """The search over one set of pairs (fixed, moving). Matrices take fixed pixels to moving ones, edge coordinates."""

    def __init__(self, pairs: Sequence[Images], model: Model):
        self.pairs, self.model = pairs, model
        self.size, self.moving = pairs[0][0].shape[::-1], pairs[0][1].shape[::-1]
        levels = [at for at, side in enumerate(SIDES) if at == 0 or side < 1.5 * max(self.size)]
        starts: list[tuple[float, np.ndarray]] = []
        for matrix in self._coarse():
            refined, score = self._refine(matrix, levels[0])
            if all(self._apart(refined, known) for _, known in starts):
                starts.append((score, refined))
        starts.sort(key=lambda item: -item[0])
        self.rivalry = starts[1][0] / starts[0][0] if len(starts) > 1 else 0.0
        self.rival = starts[1][1] if self.rivalry > _RIVAL else None
        self.best = starts[0][1]
        for level in levels[1:]:
            self.best, _ = self._refine(self.best, level)
        self._surfaces = _Surfaces(self.pairs, self.best, SIDES[levels[-1]], _RADIUS[levels[-1]])

    def error(self, corners: np.ndarray) -> float:
        """The error bar, in pixels of the fixed image, of these points of it; see `estimate`."""
        surfaces, rng = self._surfaces, np.random.default_rng(0)
        frames = len(self.pairs)
        # Neighbouring tiles share objects and their parallax. Several frames show that themselves as they are drawn; of
        # a single one, squares of tiles are drawn instead.
        block = _BLOCK if frames == 1 else 1
        across, down = (count // block for count in TILES)
        units = across * down
        start = surfaces.fit(self.model, 0.5)[0]
        moved = transformed(surfaces.displaced(start, self.model), corners)
        distances = []
        for _ in range(_REPLICATES):
            weights = rng.multinomial(frames, np.full(frames, 1 / frames)) if frames > 1 else np.ones(1)
            drawn = rng.multinomial(units, np.full(units, 1 / units)).reshape(down, across)
            tiles = np.kron(drawn, np.ones((block, block))).ravel()
            values = surfaces.fit(self.model, 0.5, weights, tiles, start)[0]
            off = transformed(surfaces.displaced(values, self.model), corners) - moved
            distances.append(float(np.hypot(*off.T).mean()))
        # Few units: what draws leave out of their variance, and Student's quantile over the normal one.
        few = np.sqrt(units / (units - 1)) * special.stdtrit(units - 1, 0.975) / special.ndtri(0.975)
        bar = float(few * np.quantile(distances, 0.95))
        if self.rival is not None:
            back = transformed(np.linalg.inv(self.best) @ self.rival, corners) - corners
            bar = max(bar, float(np.hypot(*back.T).mean()))
        return bar

    def _apart(self, one: np.ndarray, other: np.ndarray) -> bool:
        corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) * self.size
        off = transformed(one, corners) - transformed(other, corners)
        return float(np.hypot(*off.T).mean()) > 0.03 * max(self.moving)

    def _coarse(self) -> list[np.ndarray]:
        """The best places of an exhaustive search."""
        every = np.linspace(0, len(self.pairs) - 1, min(_COARSE_FRAMES, len(self.pairs))).round().astype(int)
        factor = _COARSE_SIDE / max(self.size)
        width, height = (max(8, round(side * factor)) for side in self.size)
        margin = round(REACH * width), round(REACH * height)
        canvas = width + 2 * margin[0], height + 2 * margin[1]
        shape = [fft.next_fast_len(side, real=True) for side in canvas[::-1]]
        fixed, moving = [], []
        for at in every:
            field = gradients(_resized(self.pairs[at][0], (width, height)), np.ones((height, width), np.uint8))
            power = (field * field).sum(0)
            fixed.append((np.conj(fft.rfft2(field, shape)), np.conj(fft.rfft2(power, shape))))
            small = min(1.0, 2 * _COARSE_SIDE / max(self.moving))
            moving.append(_resized(self.pairs[at][1], (round(self.moving[0] * small), round(self.moving[1] * small))))
        reduced = _scaling((width, height), self.size)
        found = []
        for scale in SCALES:
            for turn in TURNS:
                matrix = self._middle(scale, turn)
                place = _scaling(self.moving, moving[0].shape[::-1]) @ matrix @ reduced @ _shift(-margin[0], -margin[1])
                seen = _seen(moving[0].shape, place, canvas)
                agreement, spread = 0.0, 0.0
                for (field, power), image in zip(fixed, moving, strict=True):
                    other = gradients(_warped(image, place, canvas), seen)
                    agreement = agreement + (field * fft.rfft2(other, shape)).sum(0)
                    spread = spread + power * fft.rfft2((other * other).sum(0), shape)
                agreement, spread = (
                    fft.irfft2(part, shape)[: 2 * margin[1] + 1, : 2 * margin[0] + 1] for part in (agreement, spread)
                )
                surface = cv2.GaussianBlur(agreement / np.sqrt(np.maximum(spread, 0.02 * spread.max())), (0, 0), 0.7)
                y, x = np.unravel_index(np.argmax(surface), surface.shape)
                shift = _shift((x - margin[0]) * self.size[0] / width, (y - margin[1]) * self.size[1] / height)
                found.append((float(surface[y, x]), matrix @ shift))
        found.sort(key=lambda item: -item[0])
        kept: list[np.ndarray] = []
        for _, matrix in found:
            if len(kept) < _CANDIDATES and all(self._apart(matrix, known) for known in kept):
                kept.append(matrix)
        return kept

    def _middle(self, scale: float, turn: float) -> np.ndarray:
        """Middle onto middle, at a scale beside what the images' areas say, and a turn in degrees."""
        factor = scale * np.sqrt(np.prod(self.moving) / np.prod(self.size))
        cos, sin = factor * np.cos(np.radians(turn)), factor * np.sin(np.radians(turn))
        turned = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
        return _shift(*np.divide(self.moving, 2)) @ turned @ _shift(*np.divide(self.size, -2))

    def _refine(self, matrix: np.ndarray, level: int) -> tuple[np.ndarray, float]:
        score = 0.0
        for step, smooth in enumerate(_SMOOTH[level]):
            # A tile that is far off says little of shear, and nothing of perspective.
            model = (
                self.model
                if level
                else ("similarity" if step < len(_SMOOTH[0]) - 1 or self.model == "similarity" else "affine")
            )
            surfaces = _Surfaces(self.pairs, matrix, SIDES[level], _RADIUS[level])
            values, score = surfaces.fit(model, smooth)
            matrix = matrix @ surfaces.displaced(values, model)
            matrix = matrix / matrix[2, 2]
            if np.abs(values).max() < 0.03:
                break
        return matrix, score


class _Surfaces:
    """Agreement of each tile of the fixed images for each shift of the moving ones, which `matrix` has warped.

    agreement, spread: (frames, tiles, shifts down, shifts across); spread is the variance of an agreement by chance.
    """

    def __init__(self, pairs: Sequence[Images], matrix: np.ndarray, side: int, radius: int):
        full, moving = pairs[0][0].shape[::-1], pairs[0][1].shape[::-1]
        factor = min(1.0, side / max(full))
        self.full, self.radius = full, radius
        self.size = tuple(max(side, round(length * factor)) for length, side in zip(full, TILES, strict=True))
        reduced = _scaling(self.size, full)
        # Finer than the grid by half: detail that the grid cannot hold would alias.
        small = min(1.0, 1.5 / _scale_at(matrix @ reduced, self.size))
        shrunk = tuple(max(1, round(length * small)) for length in moving)
        place = _scaling(moving, shrunk) @ matrix @ reduced
        seen = _seen(shrunk[::-1], place, self.size)
        width, height = (length // count for length, count in zip(self.size, TILES, strict=True))
        left, top = (
            (length - count * part) // 2 for length, count, part in zip(self.size, TILES, (width, height), strict=True)
        )
        corners = [(left + width * i, top + height * j) for j in range(TILES[1]) for i in range(TILES[0])]
        self.middles = np.add(corners, (width / 2, height / 2))
        shape = [fft.next_fast_len(length + 2 * radius, real=True) for length in (height, width)]
        kept, agreement, spread = slice(0, 2 * radius + 1), [], []
        everything = np.ones(self.size[::-1], np.uint8)
        for fixed, other in pairs:
            near = gradients(_resized(fixed, self.size), everything) * seen
            far = gradients(_warped(_resized(other, shrunk), place, self.size), seen)
            far = np.pad(far, ((0, 0), (radius, radius), (radius, radius)))
            tiles = np.stack([near[:, y : y + height, x : x + width] for x, y in corners])
            windows = np.stack([far[:, y : y + height + 2 * radius, x : x + width + 2 * radius] for x, y in corners])
            product = (np.conj(fft.rfft2(tiles, shape)) * fft.rfft2(windows, shape)).sum(1)
            powers = ((part * part).sum(1) for part in (tiles, windows))
            power = np.conj(fft.rfft2(next(powers), shape)) * fft.rfft2(next(powers), shape)
            agreement.append(fft.irfft2(product, shape)[:, kept, kept])
            spread.append(fft.irfft2(power, shape)[:, kept, kept])
        self.agreement, self.spread = np.array(agreement), np.array(spread)

    def fit(
        self, model: Model, smooth: float, frames: np.ndarray | None = None, tiles: np.ndarray | None = None,
        start: np.ndarray | None = None,
    ) -> tuple[np.ndarray, float]:  # fmt: skip
        """Values of the model, as `_basis` has them, of the best agreement in standard deviations, and that.

        frames, tiles: weights. Between whole shifts the surfaces are cubic splines.
        """
        rows = np.ones(len(self.agreement)) if frames is None else frames
        parts = []
        for values in (self.agreement, self.spread):
            summed = np.tensordot(rows, values, 1) * (1.0 if tiles is None else tiles[:, None, None])
            summed = ndimage.gaussian_filter(summed, (0, smooth, smooth), mode="nearest")
            summed = np.pad(summed, ((0, 0), (_EDGE, _EDGE), (_EDGE, _EDGE)), mode="edge")
            for axis in (1, 2):
                summed = ndimage.spline_filter1d(summed, 3, axis=axis, mode="mirror")
            parts.append(summed.reshape(-1, summed.shape[-1]))
        across, down = self._basis(model, self.middles)
        middle = _EDGE + self.radius
        row = np.arange(len(self.middles)) * (2 * middle + 1) + middle

        def at(surface: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
            x, y = (np.clip(part, -self.radius, self.radius) for part in (x, y))
            return ndimage.map_coordinates(surface, [row + y, middle + x], order=3, prefilter=False, mode="nearest")

        def loss(values: np.ndarray) -> tuple[float, np.ndarray]:
            x, y = (rows @ values + steps[:, None] for rows, steps in zip((across, down), _NEIGHBOURS, strict=True))
            (agreement, *rises), (spread, *widenings) = (at(part, x, y) for part in parts)
            total, variance = agreement.sum(), max(spread.sum(), 1e-9)
            slopes = [
                (rises[side] - rises[side + 1]) / (2 * _STEP) / np.sqrt(variance)
                - 0.5 * total / variance**1.5 * (widenings[side] - widenings[side + 1]) / (2 * _STEP)
                for side in (0, 2)
            ]
            return -total / np.sqrt(variance), -(across.T @ slopes[0] + down.T @ slopes[1])

        first = np.zeros(across.shape[1]) if start is None else start
        found = optimize.minimize(loss, first, jac=True, method="BFGS", options={"maxiter": 60, "gtol": 1e-3})
        return found.x, -float(found.fun)

    def displaced(self, values: np.ndarray, model: Model) -> np.ndarray:
        """The homography of full fixed pixels that the fitted values stand for."""
        corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) * self.size
        across, down = self._basis(model, corners)
        moved = corners + np.stack([across @ values, down @ values], axis=1)
        found = cv2.getPerspectiveTransform(corners.astype(np.float32), moved.astype(np.float32))
        return _scaling(self.size, self.full) @ found @ _scaling(self.full, self.size)

    def _basis(self, model: Model, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Displacement across and down, in pixels of the reduced image, for 1 of each freedom: (N, 4), (N, 6)
        or (N, 8). Each moves a side of the image by its value; perspective to first order, exact at the corners."""
        u, v = (2 * points / self.size - 1).T
        one, none = np.ones(len(points)), np.zeros(len(points))
        if model == "similarity":
            ratio = self.size[1] / self.size[0]
            across, down = [one, none, u, -ratio * v], [none, one, ratio * v, u]
        else:
            across, down = [one, none, u, v, none, none], [none, one, none, none, u, v]
        if model == "homography":
            across, down = [*across, u * u, u * v], [*down, u * v, v * v]
        return np.stack(across, axis=1), np.stack(down, axis=1)


_EDGE = 2  # pixels repeated round a surface, so that no spline reaches into the next tile's
_STEP = 0.05  # pixels, for slopes
_NEIGHBOURS = np.array([[0, _STEP, -_STEP, 0, 0], [0, 0, 0, _STEP, -_STEP]])  # across and down


def _shift(x: float, y: float) -> np.ndarray:
    return np.array([[1.0, 0, x], [0, 1, y], [0, 0, 1]])


def _scaling(source: Sequence[int], target: Sequence[int]) -> np.ndarray:
    """Pixels of a `source` size to those of a `target` size, edge coordinates."""
    return np.diag([target[0] / source[0], target[1] / source[1], 1.0])


def _scale_at(matrix: np.ndarray, size: Sequence[int]) -> float:
    """Pixels behind the matrix for each before it, in the middle of an image of `size`."""
    return scale_at(lambda points: transformed(matrix, points), size)


def _resized(image: np.ndarray, size: Sequence[int]) -> np.ndarray:
    return image if image.shape[::-1] == tuple(size) else cv2.resize(image, tuple(size), interpolation=cv2.INTER_AREA)


def _warped(image: np.ndarray, matrix: np.ndarray, size: Sequence[int]) -> np.ndarray:
    """The image seen through `matrix`, which takes its pixels to the image's; blurred where it shrinks."""
    image = blurred(image, _scale_at(matrix, size))
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpPerspective(image, centred(matrix), tuple(size), flags=flags, borderMode=cv2.BORDER_REPLICATE)


def _seen(shape: Sequence[int], matrix: np.ndarray, size: Sequence[int]) -> np.ndarray:
    """(H, W) uint8 of `size`: 1 where `matrix` leads into an image of `shape` (height, width)."""
    flags = cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP
    return cv2.warpPerspective(
        np.ones(tuple(shape), np.uint8), centred(matrix), tuple(size), flags=flags, borderValue=0
    )
