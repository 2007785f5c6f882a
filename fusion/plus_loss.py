"""What CrossFuse-plus is trained for, on grey values in [0, 255]."""

import torch
import torch.nn.functional as F
from torch import Tensor

from fusion.structural_similarity import ssim_maps


def plus_loss(
    out: Tensor, infrared: Tensor, visible: Tensor, gradient_weight: float, structure_weight: float
) -> dict[str, Tensor]:
    """Intensity + gradient + structure loss of (B, 1, H, W) in [0, 255]; keys total, intensity, gradient, structure.

    Intensity: L1 to the pixel-wise maximum. Gradient: L1 between the differences to the right and lower neighbour
    and, at each place, the source's difference that is larger in size, sign kept (an unsigned target lets edges
    flip). Structure: 1 - the mean SSIM with both sources (range 255), a grey level at a weight of 1.
    """
    intensity = F.l1_loss(out, torch.maximum(infrared, visible))
    gradient = out.new_zeros(())
    for dim in (-1, -2):
        ir, vi, fused = (x.diff(dim=dim) for x in (infrared, visible, out))
        gradient = gradient + F.l1_loss(fused, torch.where(ir.abs() >= vi.abs(), ir, vi)) / 2
    similarity = (ssim_maps(out, infrared, 255.0)[0].mean() + ssim_maps(out, visible, 255.0)[0].mean()) / 2
    gradient, structure = gradient_weight * gradient, structure_weight * (1 - similarity)
    return {
        "total": intensity + gradient + structure,
        "intensity": intensity,
        "gradient": gradient,
        "structure": structure,
    }
