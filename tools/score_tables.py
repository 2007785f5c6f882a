"""Tables of the image scores for docs/scores.md and docs/weights.md.

python tools/score_tables.py definitions                             # every profile's definitions
python tools/score_tables.py agreement DATA                          # distance from published numbers; DATA holds
                                                                     # TNO_scores/ and VIFB_scores/
python tools/score_tables.py differences scores.csv BASE [EN SD ...] # of a table by `fuse2task fusion score`: paired
                                                                     # differences from method BASE, 95 % t-intervals
"""

import csv
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from fuse2task.data.images import read_visible
from fusion.quality.profiles import PROFILES
from fusion.quality.scorer import score


def main() -> None:
    if sys.argv[1:] == ["definitions"]:
        definitions()
    elif len(sys.argv) == 3 and sys.argv[1] == "agreement":
        agreement(Path(sys.argv[2]))
    elif len(sys.argv) > 3 and sys.argv[1] == "differences":
        differences(sys.argv[2], sys.argv[3], sys.argv[4:])
    else:
        sys.exit(__doc__)


def definitions() -> None:
    for profile in PROFILES.values():
        print(f"### `{profile.name}`\n\n{profile.about}. Source: {profile.source}. Channel: {profile.channel}.\n")
        print("| score | better | range | formula | sources | scale | from |\n|---|---|---|---|---|---|---|")
        for entry in profile.scores:
            better = "higher" if entry.higher_is_better else "lower"
            cells = entry.name, better, entry.range, entry.formula, entry.aggregation, entry.scale, entry.source
            print("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
        print()


def agreement(data: Path) -> None:
    print("| profile | score | published in | numbers | largest relative difference |\n|---|---|---|---|---|")
    tno, vifb = "TNO_scores", "VIFB_scores"
    for profile, folder, column in (("standard", tno, "value"), ("tang", tno, "as_published"), ("vifb", vifb, "value")):
        published: dict[tuple[str, str], dict[str, float]] = defaultdict(dict)
        for row in csv.DictReader((data / folder / "scores.csv").open()):
            published[row["method"], row["image"]][row["metric"]] = float(row[column])
        worst: dict[str, float] = defaultdict(float)
        for (method, image), numbers in published.items():
            paths = [data / folder / part / image for part in ("ir", "vi", f"fused/{method}")]
            found = score(*(read_visible(path) for path in paths), profile=profile, names=list(numbers))
            for name, number in numbers.items():
                worst[name] = max(worst[name], abs(found[name] - number) / abs(number))
        for name in PROFILES[profile].names:
            if name in worst:
                print(f"| {profile} | {name} | {folder} | {len(published)} | {worst[name]:.1e} |")


def differences(path: str, base: str, names: list[str]) -> None:
    """Print mean of each method, and mean difference [interval] to `base`."""
    table = pd.read_csv(path).set_index(["method", "image"])
    names = names or [name for name in table.columns if table[name].notna().all()]
    print(f"{'method':16}" + "".join(f"{name:>30}" for name in names))
    for method in table.index.unique("method"):
        cells = []
        for name in names:
            own, other = table.loc[method, name], table.loc[base, name]
            difference = (own - other).to_numpy()
            text = f"{own.mean():.3f}"
            if method != base:
                half = stats.sem(difference) * stats.t.ppf(0.975, len(difference) - 1)
                mean = np.mean(difference)
                text += f" ({mean:+.3f} [{mean - half:+.3f}, {mean + half:+.3f}])"
            cells.append(f"{text:>30}")
        print(f"{method:16}" + "".join(cells))


if __name__ == "__main__":
    main()
