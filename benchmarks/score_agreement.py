"""How far each profile is from published numbers, and the definitions as the tables of docs/scores.md.

python benchmarks/score_agreement.py agreement DATA    # DATA holds TNO_scores/ and VIFB_scores/
python benchmarks/score_agreement.py definitions
"""

import csv
import sys
from collections import defaultdict
from pathlib import Path

from fuse2task.data.images import read_visible
from fusion.quality.profiles import PROFILES
from fusion.quality.scorer import score


def main() -> None:
    if sys.argv[1:] == ["definitions"]:
        definitions()
    elif len(sys.argv) == 3 and sys.argv[1] == "agreement":
        agreement(Path(sys.argv[2]))
    else:
        sys.exit(__doc__)


def definitions() -> None:
    for profile in PROFILES.values():
        print(f"### `{profile.name}`\n\n{profile.about}. Source: {profile.source}. Channel: {profile.channel}.\n")
        print("| score | better | range | formula | sources | scale | from |\n|---|---|---|---|---|---|---|")
        for entry in profile.scores:
            cells = (
                entry.name, "higher" if entry.higher_is_better else "lower", entry.range, entry.formula,
                entry.aggregation, entry.scale, entry.source,
            )  # fmt: skip
            print("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
        print()


def agreement(data: Path) -> None:
    print("| profile | score | published in | numbers | largest relative difference |\n|---|---|---|---|---|")
    for profile, folder, column in (
        ("standard", "TNO_scores", "value"),
        ("tang", "TNO_scores", "as_published"),
        ("vifb", "VIFB_scores", "value"),
    ):
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


if __name__ == "__main__":
    main()
