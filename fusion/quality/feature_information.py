"""Feature mutual information (FMI): how much of a source's 3 x 3 windows the fused image's windows tell."""

import math
from collections.abc import Callable
from functools import lru_cache, partial
from typing import NamedTuple

import torch
from torch import Tensor

from fusion.quality.filters import correlate, padded, shared

WINDOW = 9
STEPS = 2 * WINDOW - 1
CHUNK = {"cpu": 1 << 13, "cuda": 1 << 18}
"""Windows at a time: bounds the memory, and keeps the work in a processor's caches; a GPU wants more at once."""

MEYER_TAPS = 102  # PyWavelets' dmey has 62, MATLAB's, by which the score is published, these
# Rounding errors of a transform differ between machines; in a flat window they would be stretched to the full range.
DECIMALS = 8


def feature_mutual_information(
    infrared: Tensor, visible: Tensor, fused: Tensor, feature: Callable[[Tensor], Tensor]
) -> Tensor:
    """Mean over all 3 x 3 windows of [FMI(A, F) + FMI(B, F)] / 2, (B,) float64; higher is better, 1 for equal images.

    Haghighat et al., Computers & Electrical Engineering 2011, equations 2 to 14; by windows: Haghighat and Razian,
    "Fast-FMI", AICT 2014. A window of the feature image (of its own minimum and maximum; a flat one is all 1) divided
    by its sum is a distribution over its nine pixels, column by column. The joint distribution of two of them is
    phi U + (1 - phi) p q, where U is the one of the largest correlation that Frechet's bounds allow (of the smallest
    one, where the windows' Pearson correlation is negative), and phi the windows' correlation over U's (Nelsen 1987).
    FMI is 2 [H(p) + H(q) - H(p, q)] / [H(p) + H(q)], 1 for equal windows and 0 where both entropies are.
    As phi may exceed 1, p log p stands for p log |p|, and a score may be below 0. NaN below 3 x 3 features.
    """
    features = [feature(image) for image in (infrared, visible, fused)]
    height, width = features[0].shape[1:]
    total = fused.new_zeros(len(fused))
    rows = max(1, CHUNK[fused.device.type] // (len(fused) * max(width, 1)))
    for top in range(0, height - 2, rows):
        a, b, f = (_windows(image[:, top : top + rows + 2]) for image in features)
        both = _shared_information(a, f) + _shared_information(b, f)
        total += both.view(len(fused), len(both) // len(fused)).sum(dim=1)
    return total / (2 * max(height - 2, 0) * max(width - 2, 0))


class _Windows(NamedTuple):
    """Windows as distributions over their pixels: (9, N), and (N,) for each one.

    reach: sum of shares up to each pixel, 2 for the last, so that it is never passed. backwards: the same from the
    last pixel to the first. contrast: share less its mean, of norm 1; 0 for flat windows.
    """

    pixels: Tensor
    share: Tensor
    reach: Tensor
    backwards: Tensor
    contrast: Tensor
    entropy: Tensor
    mean: Tensor
    deviation: Tensor


def _windows(image: Tensor) -> _Windows:
    height, width = image.shape[1] - 2, image.shape[2] - 2
    pixels = torch.stack(
        [image[:, row : row + height, column : column + width] for column in range(3) for row in range(3)]
    ).flatten(1)
    low, high = pixels.amin(dim=0), pixels.amax(dim=0)
    flat = low == high
    share = (pixels - low).add_(flat)
    share /= share.sum(dim=0)
    places = torch.arange(1.0, WINDOW + 1, dtype=share.dtype, device=share.device)
    mean, square = torch.stack([places, places**2]) @ share
    deviation = (square - mean**2).clamp(min=0).sqrt()
    contrast = share - 1 / WINDOW
    contrast /= torch.where(flat, torch.inf, contrast.square().sum(dim=0)).sqrt()
    entropy = -(share * _log(share)).sum(dim=0)
    return _Windows(pixels, share, _reach(share), _reach(share.flip(0)), contrast, entropy, mean, deviation)


def _reach(share: Tensor) -> Tensor:
    reach = share.cumsum(dim=0)
    reach[-1] = 2
    return reach


def _log(values: Tensor) -> Tensor:
    """log|x|, finite for 0, so that 0 log 0 is 0."""
    return values.abs().clamp_(min=torch.finfo(values.dtype).tiny).log_()


def _shared_information(source: _Windows, fused: _Windows) -> Tensor:
    """Normalised mutual information of each pair of windows, (N,)."""
    correlation = (source.contrast * fused.contrast).sum(dim=0)
    # The least correlated joint distribution is the most correlated one of the window read backwards.
    opposed = correlation < 0
    reach = torch.where(opposed, source.backwards, source.reach)
    share = torch.where(opposed, source.share.flip(0), source.share)
    mean = torch.where(opposed, WINDOW + 1 - source.mean, source.mean)
    first, second, mass = _coupling(reach, fused.reach)

    # Positions back to rows; a cell's two rows, counted from 0, add up to its step.
    own = (first - first[0]).to(mass.dtype).div_(len(correlation)).add_(1)
    steps = torch.arange(2.0, STEPS + 2, dtype=own.dtype, device=own.device)[:, None]
    covariance = (steps - own).mul_(own).mul_(mass).sum(dim=0) - mean * fused.mean
    deviations = source.deviation * fused.deviation
    mixed = (deviations > 0) & (correlation != 0)
    weight = torch.where(mixed, correlation.abs() * deviations / torch.where(mixed, covariance, 1.0), 0.0)

    # -H(p, q) is the sum of x log|x| over all cells as if U were 0 in each, and what the cells with mass add to it.
    rest = 1 - weight
    marginal = source.entropy + fused.entropy
    product = _pick(share, first).mul_(_pick(fused.share, second)).mul_(rest)
    joint = (weight * mass).add_(product)
    added = _log(joint).mul_(joint).sub_(_log(product).mul_(product)).sum(dim=0)
    information = marginal + rest * (_log(rest) - marginal) + added
    normalised = 2 * information / torch.where(marginal > 0, marginal, 1.0)
    return torch.where((source.pixels == fused.pixels).all(dim=0), 1.0, normalised)


def _coupling(own: Tensor, other: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Cells with mass of the joint distribution of largest correlation, from the sums of shares of both windows.

    There are at most 17 among the 81: both sums run up to 1 together, and each time the one that is behind moves on to
    its next pixel. Returns (17, N) positions in the flattened (9, N) of each window, and the mass.
    """
    count = own.shape[1]
    columns = torch.arange(count, device=own.device)
    place, reached = columns, own.new_zeros(count)
    places, masses = [], []
    for step in range(STEPS):
        one, two = _pick(own, place), _pick(other, 2 * columns + step * count - place)
        next_reached = torch.minimum(one, two) if step < STEPS - 1 else torch.ones_like(reached)
        places.append(place)
        masses.append(next_reached - reached)
        reached, place = next_reached, place.add(one <= two, alpha=count)
    first = torch.stack(places)
    steps = torch.arange(STEPS, device=own.device)[:, None] * count
    return first, 2 * columns + steps - first, torch.stack(masses)


def _pick(table: Tensor, places: Tensor) -> Tensor:
    return table.flatten().index_select(0, places.flatten()).view(places.shape)


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


fmi_pixel = partial(feature_mutual_information, feature=lambda image: image)
fmi_dct = partial(feature_mutual_information, feature=cosine_transform)
fmi_w = partial(feature_mutual_information, feature=meyer_bands)
fmi_edge = partial(feature_mutual_information, feature=sobel_edges)
"""The default of the authors' code, printed as FMI_pixel by kits that name no feature."""


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
