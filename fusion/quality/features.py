"""Feature images that feature mutual information compares."""

import math
from functools import lru_cache

import torch
from torch import Tensor

from fusion.quality.filters import correlate, padded
from fusion.quality.sharing import shared

MEYER_TAPS = 102
# Rounding errors of a transform differ between machines; in a flat window they would be stretched to the full range.
DECIMALS = 8


@shared
def cosine_transform(image: Tensor) -> Tensor:
    """Orthonormal two-dimensional DCT-II of (B, H, W), the shape kept: MATLAB's dct2. Rounded to 1e-8."""
    return _cosines(_cosines(image).mT).mT.round(decimals=DECIMALS)


@shared
def meyer_bands(image: Tensor) -> Tensor:
    """One level of the discrete Meyer wavelet of (B, H, W), its range mapped to [0, 1], rounded to 1e-8.

    (B, 2 floor((H + 101) / 2), 2 floor((W + 101) / 2)): approximation left above, horizontal details right of it,
    vertical ones below it; MATLAB's dwt2(image, 'dmey') with symmetric extension. A flat result is 1.
    """
    down, across = (_analysis(length).to(image.device) for length in image.shape[1:])
    (approximation, vertical), (horizontal, diagonal) = (
        half.chunk(2, dim=2) for half in (down @ image @ across.T).chunk(2, dim=1)
    )
    above, below = torch.cat([approximation, horizontal], dim=2), torch.cat([vertical, diagonal], dim=2)
    bands = torch.cat([above, below], dim=1)
    low, high = bands.amin(dim=(1, 2), keepdim=True), bands.amax(dim=(1, 2), keepdim=True)
    return torch.where(high > low, (bands - low) / (high - low), 1.0).round(decimals=DECIMALS)


@shared
def sobel_edges(image: Tensor) -> Tensor:
    """Thinned edges of (B, H, W), float64 0 or 1: MATLAB's edge(image), Sobel with its own threshold.

    A pixel is an edge where the squared gradient (kernels / 8, border pixels repeated) is above four times its mean and
    is a local maximum across or down, whichever way the gradient points, the later of two equal ones winning.
    """
    wide = padded(image, 1, "replicate")
    across = correlate(wide, (1 / 8, 2 / 8, 1 / 8), (-1.0, 0.0, 1.0)).abs_()
    down = correlate(wide, (-1.0, 0.0, 1.0), (1 / 8, 2 / 8, 1 / 8)).abs_()
    squared = across.square() + down.square()
    strong = squared > 4 * squared.mean(dim=(1, 2), keepdim=True)
    # Outside the image nothing is stronger: a maximum at the border counts.
    around = torch.nn.functional.pad(squared, (1, 1, 1, 1), value=-1.0)
    left, right = around[:, 1:-1, :-2], around[:, 1:-1, 2:]
    above, below = around[:, :-2, 1:-1], around[:, 2:, 1:-1]
    tolerance = 100 * torch.finfo(torch.float64).eps
    peak_across = (across >= down - tolerance) & (left <= squared) & (squared > right)
    peak_down = (down >= across - tolerance) & (above <= squared) & (squared > below)
    return (strong & (peak_across | peak_down)).double()


def meyer_filter() -> Tensor:
    """Low-pass filter of the discrete Meyer wavelet, (102,) float64 of sum sqrt(2).

    The transform of sqrt(2) cos(pi / 2 nu(3 |w| / pi - 1)), nu(x) = x^4 (35 - 84 x + 70 x^2 - 20 x^3), which is the
    filter of Meyer's wavelet (Daubechies, "Ten Lectures on Wavelets", page 137), cut to 101 taps, after a zero.
    It equals the table of MATLAB's dmey to 1e-10.
    """
    frequency = 2 * torch.pi * torch.fft.fftfreq(4096, dtype=torch.float64).abs()
    x = (3 * frequency / torch.pi - 1).clamp(0, 1)
    response = torch.cos(torch.pi / 2 * x**4 * (35 - 84 * x + 70 * x**2 - 20 * x**3))
    half = MEYER_TAPS // 2
    taps = torch.fft.ifft(response).real.roll(half)[:MEYER_TAPS]
    taps[0] = 0
    return taps * (math.sqrt(2) / taps.sum())


@lru_cache(maxsize=8)
def _analysis(length: int) -> Tensor:
    """Low-pass rows above high-pass rows: the transform of a signal of this length as a matrix."""
    low = meyer_filter()
    high = low.flip(0) * torch.tensor([-1.0, 1.0], dtype=torch.float64).repeat(MEYER_TAPS // 2)
    count = (length + MEYER_TAPS - 1) // 2
    outputs = torch.arange(count)[:, None]
    # The mirrored signal has period 2 * length. Convolution: tap k meets the sample k before the output's own.
    samples = (2 * outputs + 1 - torch.arange(MEYER_TAPS)) % (2 * length)
    samples = torch.minimum(samples, 2 * length - 1 - samples)
    matrix = torch.zeros(2 * count, length, dtype=torch.float64)
    for first, taps in ((0, low), (count, high)):
        rows = (first + outputs).expand_as(samples)
        matrix.index_put_((rows, samples), taps.expand(samples.shape), accumulate=True)
    return matrix


def _cosines(rows: Tensor) -> Tensor:
    """DCT-II of the last dimension by one FFT of its samples put in order 0, 2, 4, ..., 5, 3, 1: Makhoul 1980."""
    length = rows.shape[-1]
    angles = torch.arange(length, dtype=torch.float64, device=rows.device) * (-torch.pi / (2 * length))
    scale = torch.full((length,), math.sqrt(2 / length), dtype=torch.float64, device=rows.device)
    scale[0] = math.sqrt(1 / length)
    spectrum = torch.fft.fft(torch.cat([rows[..., ::2], rows[..., 1::2].flip(-1)], dim=-1))
    return (spectrum * torch.polar(scale, angles)).real
