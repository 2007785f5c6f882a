"""Fusion by weights: principal components, guided filtering, anisotropic diffusion.

Each takes infrared and visible luma (H, W) float32 in [0, 255], and gives (H, W) float32.
"""

import cv2
import numpy as np

BASE_RADIUS = 15  # of the mean that makes the base of guided-filter fusion
SALIENCY = 11, 5.0  # window and sigma of the Gaussian (radius 5)
BASE_WEIGHTS = 45, 0.3  # radius and regularisation of the guided filter, on grey levels in [0, 1]
DETAIL_WEIGHTS = 7, 1e-6
DIFFUSION_STEPS = 10
DIFFUSION_RATE = 0.15  # lambda
EDGE = 30.0  # kappa, grey levels


def principal_components(infrared: np.ndarray, visible: np.ndarray) -> np.ndarray:
    """Naidu & Raol, Pixel-level image fusion using wavelets and principal component analysis (Defence Science Journal
    58, 2008): the mean weighted by `principal_weights`."""
    ir, vi = principal_weights(infrared, visible)
    return ir * infrared + vi * visible


def principal_weights(first: np.ndarray, second: np.ndarray) -> tuple[float, float]:
    """Components of the first eigenvector of both images' covariance matrix, over their sum.

    Images that vary against each other have components of opposite signs, whose sum may be 0: their magnitudes are
    taken. Constant images weigh the same.
    """
    covariance = np.cov(first.ravel(), second.ravel(), dtype=np.float64)
    if not covariance.any():
        return 0.5, 0.5
    weights = np.abs(np.linalg.eigh(covariance).eigenvectors[:, -1])
    ir, vi = (weights / weights.sum()).tolist()
    return ir, vi


def guided_filtering(infrared: np.ndarray, visible: np.ndarray) -> np.ndarray:
    """Li, Kang & Hu, Image fusion with guided filtering (IEEE TIP 22, 2013), with the paper's parameters: each image's
    base (mean of 31x31) and detail count where it is the more salient image, smoothed along its own edges."""
    fused = np.zeros_like(infrared)
    bases = [_mean(image, BASE_RADIUS) for image in (infrared, visible)]
    details = [infrared - bases[0], visible - bases[1]]
    for layers, (radius, eps) in ((bases, BASE_WEIGHTS), (details, DETAIL_WEIGHTS)):
        for layer, weight in zip(layers, guided_weights(infrared, visible, radius, eps), strict=True):
            fused += weight * layer
    return fused


def guided_weights(infrared: np.ndarray, visible: np.ndarray, radius: int, eps: float) -> np.ndarray:
    """Weights (2, H, W) in [0, 1] of sum 1: where each image's saliency (blurred magnitude of its Laplacian) is the
    larger, filtered with the image as guide. radius, eps: see `guided_filter`."""
    size, sigma = SALIENCY
    saliency = [
        cv2.GaussianBlur(np.abs(cv2.Laplacian(image, cv2.CV_32F)), (size, size), sigma) for image in (infrared, visible)
    ]
    first = (saliency[0] > saliency[1]).astype(np.float64)
    masks = zip((infrared, visible), (first, 1 - first), strict=True)
    weights = np.array([guided_filter(image / 255.0, mask, radius, eps) for image, mask in masks]).clip(1e-6, 1)
    return (weights / weights.sum(0)).astype(np.float32)


def guided_filter(guide: np.ndarray, image: np.ndarray, radius: int, eps: float) -> np.ndarray:
    """He, Sun & Tang, Guided image filtering (IEEE TPAMI 35, 2013), eqs. 5, 6 and 8: (H, W) float64 from a grey guide
    and an image, windows of 2 radius + 1 pixels. Our own: OpenCV's is in its contributed modules."""
    guide, image = guide.astype(np.float64), image.astype(np.float64)  # in float32 variances are rounded off near eps
    mean_guide, mean = _mean(guide, radius), _mean(image, radius)
    variance = _mean(guide * guide, radius) - mean_guide**2
    slope = (_mean(guide * image, radius) - mean_guide * mean) / (variance + eps)
    return _mean(slope, radius) * guide + _mean(mean - slope * mean_guide, radius)


def _mean(image: np.ndarray, radius: int) -> np.ndarray:
    return cv2.blur(image, (2 * radius + 1,) * 2, borderType=cv2.BORDER_REFLECT)


def anisotropic_diffusion(infrared: np.ndarray, visible: np.ndarray) -> np.ndarray:
    """Bavirisetti & Dhuli, Fusion of infrared and visible sensor images based on anisotropic diffusion and
    Karhunen-Loeve transform (IEEE Sensors Journal 16, 2016): the mean of the diffused images, and what diffusion took
    away weighted by `principal_weights`."""
    base_ir, base_vi = diffused(infrared), diffused(visible)
    ir, vi = infrared - base_ir, visible - base_vi
    return (base_ir + base_vi) / 2 + principal_components(ir, vi)


def diffused(image: np.ndarray) -> np.ndarray:
    """Perona & Malik, Scale-space and edge detection using anisotropic diffusion (IEEE TPAMI 12, 1990), eqs. 7 and 8,
    conduction exp(-(gradient / kappa)^2): 10 steps of four neighbours, none across the border."""
    image = image.copy()
    for _ in range(DIFFUSION_STEPS):
        flows = [step * np.exp(-((step / EDGE) ** 2)) for step in (np.diff(image, axis=0), np.diff(image, axis=1))]
        down, across = (DIFFUSION_RATE * flow for flow in flows)
        image[:-1] += down
        image[1:] -= down
        image[:, :-1] += across
        image[:, 1:] -= across
    return image
