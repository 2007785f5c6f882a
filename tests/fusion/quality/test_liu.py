"""The `liu` profile against plain NumPy of the toolbox's information scores, and which images each score sees."""

import numpy as np
import pytest
import torch

from fusion.quality.definitions import score_batch
from fusion.quality.profiles import LIU as PROFILE
from fusion.quality.profiles import PROFILES


def images(height: int = 24, width: int = 30) -> list[np.ndarray]:
    """Three related images of levels 40 to 140: stretching them changes their histograms' bins."""
    rng = np.random.default_rng(5)
    a, b = rng.integers(40, 140, (2, height, width))
    return [a.astype(np.uint8), b.astype(np.uint8), (0.6 * a + 0.4 * b).astype(np.uint8)]


def scored(profile, *pixels: np.ndarray) -> dict[str, float]:
    infrared, visible, fused = (torch.from_numpy(image)[None] for image in pixels)
    values = score_batch(profile, infrared, visible, fused)
    return {name: value.item() for name, value in values.items()}


def stretched(image: np.ndarray) -> np.ndarray:
    low, high = image.min(), image.max()
    return np.floor((image.astype(float) - low) / (high - low) * 255 + 0.5).astype(int)


def entropy(*planes: np.ndarray) -> float:
    """Joint Shannon entropy in bits."""
    counts = np.unique(np.stack([plane.ravel() for plane in planes]), axis=1, return_counts=True)[1]
    shares = counts / counts.sum()
    return float(-(shares * np.log2(shares)).sum())


def information(a: np.ndarray, b: np.ndarray) -> float:
    return entropy(a) + entropy(b) - entropy(a, b)


def test_information_scores_are_of_stretched_images():
    """Q_MI (Hossny et al. 2008) and Q_NCIE (Wang & Shen 2008), sections 3.1.1 and 3.1.3 of Liu et al. (TPAMI 2012)."""
    a, b, f = (stretched(image) for image in images())
    found = scored(PROFILE, *images())
    nmi = 2 * sum(information(s, f) / (entropy(s) + entropy(f)) for s in (a, b))
    assert found["NMI"] == pytest.approx(nmi, rel=1e-9)
    ab, af, bf = (information(x, y) / 8 for x, y in ((a, b), (a, f), (b, f)))
    shares = np.linalg.eigvalsh([[1, ab, af], [ab, 1, bf], [af, bf, 1]]) / 3
    assert found["QNCIE"] == pytest.approx(1 + (shares * np.log(shares)).sum() / np.log(256), rel=1e-9)


def test_only_edge_and_similarity_scores_notice_the_contrast():
    wide = [stretched(image).astype(np.uint8) for image in images()]
    narrow, found = scored(PROFILE, *images()), scored(PROFILE, *wide)
    same = {name for name in PROFILE.names if found[name] == pytest.approx(narrow[name], rel=1e-12)}
    assert same == {"NMI", "QNCIE", "TE", "QCB", "QCV"}


def test_scores_shared_with_standard_are_the_same():
    found, standard = scored(PROFILE, *images()), scored(PROFILES["standard"], *images())
    for name in ("QG", "QM", "QS", "QY", "QCB", "QCV"):
        assert found[name] == standard[name]
    assert found["TE"] != pytest.approx(standard["TE"], rel=1e-3)


def test_every_score_of_identical_images_is_finite():
    image = images()[0]
    assert np.isfinite(list(scored(PROFILE, image, image, image).values())).all()
