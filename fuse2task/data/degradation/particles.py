"""Drops and flakes between camera and scene: where they are, and how much of the light they take."""

from dataclasses import dataclass

import cv2
import numpy as np

from fuse2task.data.synthetic.view import View

NEAREST = 0.3  # metres; what is nearer would be on the window
APERTURE = 3.0  # millimetres, of a lens focused far away: blurs what is near
_WIDTHS = (0.35, 0.7, 1.4, 2.8, 5.6, 11.2)  # limits of the classes of Gaussian blur, pixels


@dataclass(frozen=True)
class Particles:
    """N particles, each field (N,) float32.

    x, y: pixels in the image or a little outside. distance: metres. diameter: millimetres.
    rank: [0, 1), uniform; a thinner cloud keeps the lower ranks.
    """

    x: np.ndarray
    y: np.ndarray
    distance: np.ndarray
    diameter: np.ndarray
    rank: np.ndarray

    def kept(self, share: np.ndarray | float) -> "Particles":
        """Those whose rank is below `share`: a cloud that is thinner, of the same particles."""
        chosen = self.rank < share
        fields = (self.x, self.y, self.distance, self.diameter, self.rank)
        return Particles(*(field[chosen] for field in fields))


def scatter(
    rng: np.random.Generator, size: tuple[int, int], per_cubic_metre: float, diameters: tuple[float, float, float],
    farthest: float,
) -> Particles:  # fmt: skip
    """A Poisson cloud in the view of a camera, from 0.3 m to `farthest` metres.

    diameters: least, mean excess over it, and greatest, in millimetres, of an exponential distribution.
    size: (width, height) of the image.
    """
    width, height = size
    view = View.of(size)
    margin = 0.1 * view.unit
    span = (width + 2 * margin) * (height + 2 * margin)
    cubes = farthest**3 - NEAREST**3
    count = rng.poisson(per_cubic_metre * span / view.focal**2 * cubes / 3)
    uniform = rng.random((5, count), dtype=np.float32)
    least, excess, greatest = diameters
    beyond = 1 - np.exp(-(greatest - least) / excess)
    return Particles(
        uniform[0] * (width + 2 * margin) - margin,
        uniform[1] * (height + 2 * margin) - margin,
        np.cbrt(NEAREST**3 + uniform[2] * cubes),
        least - excess * np.log1p(-uniform[3] * beyond),
        uniform[4],
    )


def opacity(particles: Particles, path: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Share of each pixel's light that the particles take during the exposure: (H, W) float32 in [0, 1).

    A particle's disc is smeared along its way, so that a faster one is longer and fainter, and blurred by its
    own width and by the aperture. Shares of several add up as opacities do, 1 - exp(-sum).

    Args:
        particles: N of them.
        path: (N, 2) millimetres (right, down) that each moves during the exposure.
        size: (width, height) of the image.
    """
    width, height = size
    scale = View.of(size).focal / (1000 * particles.distance)  # pixels a millimetre
    disc = particles.diameter * scale
    sigma = np.hypot(particles.diameter, APERTURE) * scale / 4
    classes = np.digitize(sigma, _WIDTHS)
    total = np.zeros((height, width), np.float32)
    for number in range(len(_WIDTHS) + 1):
        chosen = classes == number
        if not chosen.any():
            continue
        layer = _drawn(
            particles.x[chosen], particles.y[chosen], path[chosen] * scale[chosen, None],
            np.pi / 4 * disc[chosen] ** 2, size,
        )  # fmt: skip
        if number:
            low = _WIDTHS[number - 1]
            layer = cv2.GaussianBlur(layer, (0, 0), low * 2**0.5)
        total += layer
    return 1 - np.exp(-total)


def _drawn(x: np.ndarray, y: np.ndarray, path: np.ndarray, area: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Lines of total weight `area` (square pixels), with bilinear weights: (H, W) float32."""
    width, height = size
    counts = np.ceil(np.hypot(path[:, 0], path[:, 1])).astype(np.int64) + 1
    owner = np.repeat(np.arange(len(x)), counts)
    place = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    along = (place + 0.5) / counts[owner] - 0.5
    px, py = x[owner] + along * path[owner, 0], y[owner] + along * path[owner, 1]
    left, top = np.floor(px).astype(np.int64), np.floor(py).astype(np.int64)
    fx, fy, weight = px - left, py - top, (area / counts)[owner]
    layer = np.zeros(width * height)
    for dx, dy, share in ((0, 0, (1 - fx) * (1 - fy)), (1, 0, fx * (1 - fy)), (0, 1, (1 - fx) * fy), (1, 1, fx * fy)):
        column, row = left + dx, top + dy
        inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
        index = row[inside] * width + column[inside]
        layer += np.bincount(index, weights=(weight * share)[inside], minlength=width * height)
    return layer.reshape(height, width).astype(np.float32)
