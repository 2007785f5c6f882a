"""Training losses of CrossFuse and CrossFuse-plus, on grey values in [0, 255]."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from fusion.quality.similarity import MS_SSIM_WEIGHTS, ssim_maps

MsSsim = Literal["release", "standard"]
Intensity = Literal["maximum", "contrast"]


def reconstruction_loss(out: Tensor, image: Tensor, ms_ssim: MsSsim = "release") -> dict[str, Tensor]:
    """Stage 1: MSE + 10000 (1 - MS-SSIM) of (B, 1, H, W) in [0, 255]; keys total, mse, ms_ssim (weighted)."""
    similarity = release_ms_ssim(out, image) if ms_ssim == "release" else standard_ms_ssim(out, image)
    mse, structure = F.mse_loss(out, image), 10000 * (1 - similarity)
    return {"total": mse + structure, "mse": mse, "ms_ssim": structure}


def fusion_loss(out: Tensor, infrared: Tensor, visible: Tensor, gradient_weight: float = 10.0) -> dict[str, Tensor]:
    """Stage 2: pixel + 10 gradient loss of (B, 1, H, W) in [0, 255]; keys total, pixel, gradient (weighted)."""
    pixel = F.mse_loss(out, intensity_target(infrared, visible))
    target = torch.maximum(positive_laplacian(infrared), positive_laplacian(visible))
    gradient = gradient_weight * F.mse_loss(positive_laplacian(out), target)
    return {"total": pixel + gradient, "pixel": pixel, "gradient": gradient}


def intensity_target(infrared: Tensor, visible: Tensor) -> Tensor:
    """Infrared where its 11x11 zero-padded box mean has the larger share, visible elsewhere."""
    ir, vi = (F.avg_pool2d(image, 11, stride=1, padding=5) for image in (infrared, visible))
    total = ir + vi + 1e-6
    return torch.where(ir / total > vi / total, infrared, visible)


def positive_laplacian(x: Tensor) -> Tensor:
    """relu of the 4-neighbour Laplacian with zero padding, (B, 1, H, W)."""
    kernel = x.new_zeros(1, 1, 3, 3)  # filled where it lies: values from the CPU would have a GPU waited for
    kernel[..., 1, :].fill_(1)
    kernel[..., 1].fill_(1)
    kernel[..., 1, 1].fill_(-4)
    return F.relu(F.conv2d(x, kernel, padding=1))


def release_ms_ssim(out: Tensor, image: Tensor) -> Tensor:
    """MS-SSIM as the release computes it, quirks included; a scalar over the whole batch.

    Dynamic range guessed from `out` at each level (255 or 1, plus 1 where it falls below -0.5), level means
    moved to (v + 1) / 2, the last level's term raised to the fourth power by the product over four levels.
    """
    cs_levels, last = [], out.new_zeros(())
    for level in range(len(MS_SSIM_WEIGHTS)):
        if level:
            out, image = F.avg_pool2d(out, 2), F.avg_pool2d(image, 2)
        # Arithmetic instead of branches, for which a GPU would be waited for; 255 or 1, plus 1 or 0.
        span = (out.max() > 128).double() * 254 + 1 + (out.min() < -0.5).double()
        ssim, cs = ssim_maps(out, image, span)
        cs_levels.append((cs.mean() + 1) / 2)
        last = (ssim.mean() + 1) / 2
    product = out.new_ones(())
    for cs, weight in zip(cs_levels[:-1], MS_SSIM_WEIGHTS[:-1], strict=True):
        product = product * cs**weight * last ** MS_SSIM_WEIGHTS[-1]
    return product


def standard_ms_ssim(out: Tensor, image: Tensor) -> Tensor:
    """MS-SSIM of Wang, Simoncelli & Bovik (2003), range 255, per image, then the batch mean; ValueError below 176."""
    if min(out.shape[-2:]) < 176:
        raise ValueError(f"the standard MS-SSIM needs at least 176x176 pixels, not {tuple(out.shape[-2:])}")
    product = out.new_ones(out.shape[0])
    for level, weight in enumerate(MS_SSIM_WEIGHTS):
        ssim, cs = ssim_maps(out, image, 255.0)
        is_last = level == len(MS_SSIM_WEIGHTS) - 1
        product = product * F.relu((ssim if is_last else cs).mean(dim=(1, 2, 3))) ** weight
        out, image = F.avg_pool2d(out, 2), F.avg_pool2d(image, 2)
    return product.mean()


def contrast_target(infrared: Tensor, visible: Tensor) -> Tensor:
    """The mean of both cameras' local means, with the local contrast of both shared by its energy, (B, 1, H, W) in
    [0, 255].

    Local means and energies are of 31x31 pixels. As in a pyramid with a mean base (Burt & Kolczynski 1993), but with
    one scale. It does not change where a camera's brightness is shifted, and an inverted camera keeps its share.
    """
    means = [_local_mean(image, 31) for image in (infrared, visible)]
    details = [image - mean for image, mean in zip((infrared, visible), means, strict=True)]
    ir, vi = (_local_mean(detail**2, 31) + 1 for detail in details)
    share = ir / (ir + vi)
    base = (means[0] + means[1]) / 2
    return (base + share * details[0] + (1 - share) * details[1]).clamp(0, 255)


def _local_mean(x: Tensor, side: int) -> Tensor:
    # count_include_pad: a mean of what is there, not darker at the border
    return F.avg_pool2d(x, side, stride=1, padding=side // 2, count_include_pad=False)


def plus_loss(
    out: Tensor, infrared: Tensor, visible: Tensor, gradient_weight: float, structure_weight: float,
    towards: Intensity = "maximum",
) -> dict[str, Tensor]:  # fmt: skip
    """Intensity + gradient + structure loss of (B, 1, H, W) in [0, 255]; keys total, intensity, gradient, structure.

    Intensity: L1 to the pixel-wise maximum, or to `contrast_target`. Gradient: L1 between the differences to the right
    and lower neighbour and, at each place, the source's difference that is larger in size, sign kept (an unsigned
    target lets edges flip). Structure: 1 - the mean SSIM with both sources (range 255), a grey level at a weight of 1.
    """
    target = contrast_target if towards == "contrast" else torch.maximum
    intensity = F.l1_loss(out, target(infrared, visible))
    gradient = out.new_zeros(())
    for dim in (-1, -2):
        ir, vi, fused = (x.diff(dim=dim) for x in (infrared, visible, out))
        gradient = gradient + F.l1_loss(fused, torch.where(ir.abs() >= vi.abs(), ir, vi)) / 2
    similarity = (ssim_maps(out, infrared, 255.0)[0].mean() + ssim_maps(out, visible, 255.0)[0].mean()) / 2
    gradient, structure = gradient_weight * gradient, structure_weight * (1 - similarity)
    total = intensity + gradient + structure
    return {"total": total, "intensity": intensity, "gradient": gradient, "structure": structure}
