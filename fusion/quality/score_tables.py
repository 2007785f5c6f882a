"""What scoring writes: the table of all images, and the summary with the definitions."""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fusion.quality.definitions import Profile, Score, definition

Row = dict[str, float]


def table(methods: Sequence[str], scores: Sequence[Score], rows: Mapping[tuple[str, str], Row]) -> str:
    """CSV with a row per image and method, methods in the given order, images sorted; floats in full."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = [score.name for score in scores]
    writer.writerow(["method", "image", *names])
    for method in methods:
        for image in sorted(image for owner, image in rows if owner == method):
            writer.writerow([method, image, *(repr(rows[method, image][name]) for name in names)])
    return text.getvalue()


def summary(
    profile: Profile, methods: Sequence[str], scores: Sequence[Score], rows: Mapping[tuple[str, str], Row]
) -> dict[str, Any]:
    """Profile, definitions, and each score's mean and standard error over the images it is defined for."""

    def of(method: str, name: str) -> dict[str, float | int | None]:
        values = np.array([row[name] for (owner, _), row in sorted(rows.items()) if owner == method])
        known = values[np.isfinite(values)]
        return {
            "mean": float(known.mean()) if known.size else None,
            "standard_error": float(known.std(ddof=1)) / math.sqrt(known.size) if known.size > 1 else None,
            "undefined": int(values.size - known.size),
        }

    return {
        "format": "fuse2task.scores",
        "profile": profile.name,
        "profile_hash": profile.hash,
        "images": len({image for _, image in rows}),
        "methods": {method: {score.name: of(method, score.name) for score in scores} for method in methods},
        "definitions": {score.name: definition(profile, score) for score in scores},
    }
