"""Multiscale fusion: Laplacian and ratio pyramids, wavelets and dual-tree complex wavelets.

Each takes infrared and visible luma (H, W) float32 in [0, 255], at least 16 pixels a side, and gives (H, W) float32.
Bases are averaged, details selected. The filter banks are our own, as PyWavelets has no dual tree.
"""

from collections.abc import Callable, Sequence
from itertools import product

import cv2
import numpy as np
from scipy.ndimage import correlate1d

Filter = tuple[float, ...]
LEVELS = 5  # of the pyramids
SYMLET = (
    0.0322231006040427, -0.012603967262037833, -0.09921954357684722, 0.29785779560527736,
    0.8037387518059161, 0.49761866763201545, -0.02963552764599851, -0.07576571478927333,
)  # fmt: skip
"""Daubechies' least asymmetric orthonormal low-pass filter of eight coefficients (Ten Lectures on Wavelets, 1992)."""
FIRST = (
    0.0, -0.08838834764832, 0.08838834764832, 0.69587998903400, 0.69587998903400,
    0.08838834764832, -0.08838834764832, 0.01122679215254, 0.01122679215254, 0.0,
)  # fmt: skip
"""Low-pass of the dual tree's first level, orthonormal and nearly symmetric: Abdelnour & Selesnick (ICASSP 2001)."""
QSHIFT = (
    0.0032531427636532, -0.0038832119991585, 0.0346603468448535, -0.0388728012688278, -0.1172038876991153,
    0.2752953846688820, 0.7561456438925225, 0.5688104207121227, 0.0118660920337970, -0.1067118046866654,
    0.0238253847949203, 0.0170252238815540, -0.0054394759372741, -0.0045568956284755,
)  # fmt: skip
"""Low-pass of its further levels, a quarter of a sample off centre: Kingsbury (ACHA 10, 2001), 14 coefficients."""
WAVELET_LEVELS = 4
REAL = (SYMLET,) * WAVELET_LEVELS
TREES = ((FIRST, *(QSHIFT,) * 3), ((0.0, *FIRST[:-1]), *(QSHIFT[::-1],) * 3))
"""Low-pass filters by tree and level; the second tree samples between the samples of the first one."""
MARGIN = 32  # pixels reflected around an image before its wavelet transform, whose filters wrap at the border
Details = list[np.ndarray]
"""Of a transform, fine to coarse: (bands, h, w), real with three bands or complex with six."""


def laplacian_pyramid(infrared: np.ndarray, visible: np.ndarray) -> np.ndarray:
    """Burt & Adelson (1983): 5 levels, the detail of larger magnitude, the mean of the bases."""

    def detail(ir: np.ndarray, base_ir: np.ndarray, vi: np.ndarray, base_vi: np.ndarray) -> np.ndarray:
        ir, vi = ir - base_ir, vi - base_vi
        return np.where(np.abs(ir) > np.abs(vi), ir, vi)

    return _pyramid(infrared, visible, detail, np.add)


def ratio_pyramid(infrared: np.ndarray, visible: np.ndarray) -> np.ndarray:
    """Toet, Image fusion by a ratio of low-pass pyramid (Pattern Recognition Letters 9, 1989): 5 levels, the larger
    contrast |R - 1|, where R is the ratio of a level to the next one expanded; the mean of the bases.

    Grey levels count from 1: a ratio to black is finite.
    """

    def ratio(ir: np.ndarray, base_ir: np.ndarray, vi: np.ndarray, base_vi: np.ndarray) -> np.ndarray:
        ir, vi = ir / base_ir, vi / base_vi
        return np.where(np.abs(ir - 1) > np.abs(vi - 1), ir, vi)

    return _pyramid(infrared + 1, visible + 1, ratio, np.multiply) - 1


def _pyramid(
    infrared: np.ndarray,
    visible: np.ndarray,
    select: Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], np.ndarray],
    join: Callable[[np.ndarray, np.ndarray], np.ndarray],
) -> np.ndarray:
    """Fused image of Gaussian pyramids. select: the detail of a level from both images and their expanded next levels;
    join: a level from the expanded next one and its detail."""
    details = []
    for _ in range(min(LEVELS, int(np.log2(min(infrared.shape))) - 1)):
        size = infrared.shape[1::-1]
        small_ir, small_vi = cv2.pyrDown(infrared), cv2.pyrDown(visible)
        expanded = (cv2.pyrUp(small, dstsize=size) for small in (small_ir, small_vi))
        details.append(select(infrared, next(expanded), visible, next(expanded)))
        infrared, visible = small_ir, small_vi
    fused = (infrared + visible) / 2
    for detail in reversed(details):
        fused = join(cv2.pyrUp(fused, dstsize=detail.shape[1::-1]), detail)
    return fused


def wavelets(infrared: np.ndarray, visible: np.ndarray) -> np.ndarray:
    """Li, Manjunath & Mitra, Multisensor image fusion using the wavelet transform (GMIP 57, 1995): 4 levels; the detail
    that is larger within 3x3, by the majority of the choices around it; the mean of the bases."""
    return _fused_bands(infrared, visible, decompose, compose)


def dual_tree_wavelets(infrared: np.ndarray, visible: np.ndarray) -> np.ndarray:
    """Lewis et al., Pixel- and region-based image fusion with complex wavelets (Information Fusion 8, 2007): as
    `wavelets`, with magnitudes of complex details in six directions, which hardly change when the image is shifted."""
    return _fused_bands(infrared, visible, dual_tree_decompose, dual_tree_compose)


def _fused_bands(infrared: np.ndarray, visible: np.ndarray, analyse: Callable, synthesise: Callable) -> np.ndarray:
    height, width = infrared.shape
    sides = [(MARGIN, MARGIN + -size % 2**WAVELET_LEVELS) for size in (height, width)]
    bands = (analyse(np.pad(image, sides, mode="symmetric")) for image in (infrared, visible))
    (base_ir, details_ir), (base_vi, details_vi) = bands
    details = [_selected(ir, vi) for ir, vi in zip(details_ir, details_vi, strict=True)]
    fused = synthesise((base_ir + base_vi) / 2, details)
    return fused[MARGIN : MARGIN + height, MARGIN : MARGIN + width]


def _selected(infrared: np.ndarray, visible: np.ndarray) -> np.ndarray:
    """Details (bands, h, w) of the image whose largest magnitude within 3x3 is larger for most of the 3x3 around."""
    chosen = np.empty(infrared.shape, bool)
    for band, both in enumerate(zip(np.abs(infrared), np.abs(visible), strict=True)):
        ir, vi = (cv2.dilate(magnitude, np.ones((3, 3), np.uint8)) for magnitude in both)
        chosen[band] = cv2.blur((ir > vi).astype(np.float32), (3, 3)) > 0.5
    return np.where(chosen, infrared, visible)


def decompose(
    image: np.ndarray, down: Sequence[Filter] = REAL, across: Sequence[Filter] = REAL
) -> tuple[np.ndarray, Details]:
    """Orthonormal wavelet transform of a periodic image (H, W), sides multiples of 16: base (H / 16, W / 16), details.

    down, across: low-pass filters of columns and rows, one a level.
    """
    details = []
    for columns, rows in zip(down, across, strict=True):
        low, high = _split(image, columns, 0)
        (image, vertical), (horizontal, diagonal) = _split(low, rows, 1), _split(high, rows, 1)
        details.append(np.stack((vertical, horizontal, diagonal)))
    return image, details


def compose(
    base: np.ndarray, details: Details, down: Sequence[Filter] = REAL, across: Sequence[Filter] = REAL
) -> np.ndarray:
    """The image of which `decompose` gives this base and these details."""
    for columns, rows, bands in reversed(list(zip(down, across, details, strict=True))):
        vertical, horizontal, diagonal = bands
        base = _joined(_joined(base, vertical, rows, 1), _joined(horizontal, diagonal, rows, 1), columns, 0)
    return base


def dual_tree_decompose(image: np.ndarray) -> tuple[np.ndarray, Details]:
    """Selesnick, Baraniuk & Kingsbury, The dual-tree complex wavelet transform (IEEE Signal Processing Magazine 22,
    2005): a tight frame of four wavelet transforms, the products of two trees for columns and two for rows. The base is
    (4, H / 16, W / 16). Details are the products of the complex wavelets of columns and rows, the latter as they are
    (3 bands) or conjugated (3): each of one direction."""
    bases, by_tree = zip(*(decompose(image / 2, down, across) for down, across in product(TREES, TREES)), strict=True)
    details = []
    for aa, ab, ba, bb in zip(*by_tree, strict=True):
        pairs = np.concatenate((aa - bb, aa + bb)), np.concatenate((ab + ba, ba - ab))
        details.append((pairs[0] + 1j * pairs[1]) / np.sqrt(np.float32(2)))
    return np.stack(bases), details


def dual_tree_compose(base: np.ndarray, details: Details) -> np.ndarray:
    """The image of which `dual_tree_decompose` gives this base and these details."""
    by_tree: list[Details] = [[], [], [], []]
    for bands in details:
        plain, conjugated = bands[:3] / np.sqrt(np.float32(2)), bands[3:] / np.sqrt(np.float32(2))
        sums, differences = conjugated + plain, conjugated - plain
        for tree, part in zip(by_tree, (sums.real, -differences.imag, sums.imag, differences.real), strict=True):
            tree.append(part)
    trees = zip(base, by_tree, product(TREES, TREES), strict=True)
    return np.sum([compose(low, high, down, across) for low, high, (down, across) in trees], axis=0) / 2


def _bank(low: Filter) -> tuple[np.ndarray, np.ndarray]:
    """An orthonormal filter bank: the low-pass, and as high-pass its reverse with every other sign changed."""
    taps = np.array(low, np.float32)
    return taps, taps[::-1] * np.tile(np.array([1, -1], np.float32), len(low) // 2)


def _split(image: np.ndarray, low: Filter, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """Low and high band, each half as long along the axis: sum over k of filter[k] image[2 n + k]."""
    samples = np.moveaxis(image, axis, 0)
    even, odd = (np.moveaxis(samples[first::2], 0, axis) for first in (0, 1))

    def band(taps: np.ndarray) -> np.ndarray:
        start = -(len(taps) // 4)  # the window begins at the sample itself
        return correlate1d(even, taps[::2], axis, mode="wrap", origin=start) + correlate1d(
            odd, taps[1::2], axis, mode="wrap", origin=start
        )

    low_pass, high_pass = _bank(low)
    return band(low_pass), band(high_pass)


def _joined(low_band: np.ndarray, high_band: np.ndarray, low: Filter, axis: int) -> np.ndarray:
    """The image that `_split` splits into these bands."""
    low_pass, high_pass = _bank(low)
    shape = list(low_band.shape)
    shape[axis] *= 2
    image = np.empty(shape, low_band.dtype)
    samples = np.moveaxis(image, axis, 0)
    end = (len(low) // 2 - 1) // 2  # the window ends at the sample itself
    for first in (0, 1):
        part = correlate1d(low_band, low_pass[first::2][::-1], axis, mode="wrap", origin=end)
        part += correlate1d(high_band, high_pass[first::2][::-1], axis, mode="wrap", origin=end)
        samples[first::2] = np.moveaxis(part, axis, 0)
    return image
