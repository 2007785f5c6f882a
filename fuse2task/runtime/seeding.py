"""Randomness that depends on names and counters alone, so that a resumed run draws the same numbers."""

import hashlib
import random

import numpy as np
import torch


def generator(*key: object) -> np.random.Generator:
    """A NumPy generator fixed by `key` (for instance seed, "stage2", sample number), on any machine."""
    digest = hashlib.sha256("/".join(str(part) for part in key).encode()).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest[:16], "little")))


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy's legacy generator and torch (all devices)."""
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 - libraries still draw from it
    torch.manual_seed(seed)
