"""Gradient transfer fusion (GTF): infrared intensities with the gradients of the visible image.

Ma, Chen, Li & Huang, Infrared and visible image fusion via gradient transfer and total variation minimization
(Information Fusion 31, 2016).
"""

import numpy as np

WEIGHT = 4.0  # lambda of the paper
STEP = 1.0  # of the primal variable, grey levels; the dual one's follows from it
RELAXATION = 1.9
CHANGE = 0.01  # mean change of a pixel in one iteration, grey levels, below which the solution stands
ITERATIONS = 500


def gradient_transfer(infrared: np.ndarray, visible: np.ndarray, weight: float = WEIGHT) -> np.ndarray:
    """x that minimises |x - infrared|_1 + weight |grad x - grad visible|_1; (H, W) float32 of grey levels.

    With y = x - visible, this is total variation denoising of infrared - visible with an L1 data term.
    """
    return visible + l1_denoised(infrared - visible, weight)


def l1_denoised(image: np.ndarray, weight: float) -> np.ndarray:
    """y (H, W) that minimises sum |y - image| + weight sum sqrt(dy_down^2 + dy_across^2), forward differences, none
    across the border.

    Chambolle & Pock, A first-order primal-dual algorithm (JMIV 40, 2011), algorithm 1, over-relaxed after Condat (JOTA
    158, 2013), algorithm 3.2, until pixels change by less than `CHANGE` in the mean: about 120 iterations, .3 grey
    levels from the minimum. Not the paper's reweighted least squares, whose linear systems take longer.
    """
    solution, dual = image.astype(np.float32), np.zeros((2, *image.shape), np.float32)
    for _ in range(ITERATIONS if weight else 0):
        turned = dual + _gradient(solution) / np.float32(8 * STEP)  # 8: no eigenvalue of -div grad is larger
        turned /= np.maximum(np.sqrt((turned**2).sum(0)) / np.float32(weight), 1)
        moved = solution + STEP * _divergence(2 * turned - dual) - image
        moved += image - moved.clip(-STEP, STEP)
        change = moved - solution
        if np.abs(change).mean() < CHANGE:
            return moved
        solution += RELAXATION * change
        dual += RELAXATION * (turned - dual)
    return solution


def _gradient(image: np.ndarray) -> np.ndarray:
    gradient = np.zeros((2, *image.shape), image.dtype)
    np.subtract(image[1:], image[:-1], out=gradient[0, :-1])
    np.subtract(image[:, 1:], image[:, :-1], out=gradient[1, :, :-1])
    return gradient


def _divergence(field: np.ndarray) -> np.ndarray:
    """Minus the adjoint of `_gradient`, of a field that is 0 in the last row and column of its parts."""
    divergence = field[0] + field[1]
    divergence[1:] -= field[0, :-1]
    divergence[:, 1:] -= field[1, :, :-1]
    return divergence
