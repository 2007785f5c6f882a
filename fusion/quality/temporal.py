"""Temporal stability of fused sequences: flicker, the brightness that changes where that of neither source does."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fuse2task.data.dataset import Pair
from fuse2task.data.splits import natural_order

DEFINITION = {
    "channel": "as the profile of the other scores has it",
    "scale": "0-255",
    "aggregation": "mean over the steps of a sequence, then over sequences",
    "formula": "max(0, f - max(a, b), min(a, b) - f), the steps of the mean grey level from frame to frame of F, A, B",
    "range": "[0, 510] grey levels, 0 where brightness changes no more than that of a source",
    "better": "lower",
    "source": "own; that a stable sequence has the inter-frame differences of its sources: Rockinger (ICIP 1997)",
    "version": "1",
}


def flicker(infrared: np.ndarray, visible: np.ndarray, fused: np.ndarray) -> np.ndarray:
    """Of each step of one sequence, (T - 1,) grey levels: by how much the mean of the fused frame rises or falls beyond
    the rises and falls of both sources. Between them it is 0: a mean of both sources does not flicker.

    Each is (T, ...): T frames in order, grey or colour, or their mean grey levels. See `DEFINITION`.
    """
    a, b, f = (np.diff(np.reshape(part, (len(part), -1)).mean(axis=1)) for part in (infrared, visible, fused))
    return np.maximum(0, np.maximum(f - np.maximum(a, b), np.minimum(a, b) - f))


def films(pairs: Sequence[Pair]) -> dict[str, list[str]]:
    """Ids of the frames of each sequence in natural order; without pairs that are alone or of no sequence."""
    found: dict[str, list[str]] = {}
    for pair in sorted((pair for pair in pairs if pair.sequence), key=lambda pair: natural_order(pair.id)):
        found.setdefault(pair.sequence, []).append(pair.id)
    return {name: ids for name, ids in found.items() if len(ids) > 1}


def flicker_summary(
    sequences: Mapping[str, Sequence[str]], levels: Mapping[str, Sequence[float]], methods: Sequence[str]
) -> dict[str, Any]:
    """Mean and standard error over sequences for each method, as `fusion score` prints them; with `DEFINITION`.

    levels: mean grey levels by id, of infrared, visible and every method's image.
    """
    means = [np.array([levels[name] for name in ids]).T for ids in sequences.values()]
    found = {}
    for number, method in enumerate(methods):
        values = [float(flicker(film[0], film[1], film[2 + number]).mean()) for film in means]
        error = float(np.std(values, ddof=1) / np.sqrt(len(values))) if len(values) > 1 else None
        found[method] = {"mean": float(np.mean(values)), "standard_error": error, "undefined": 0}
    return {"sequences": len(means), "methods": found, "definition": DEFINITION}
