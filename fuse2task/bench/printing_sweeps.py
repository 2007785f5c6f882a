"""What a benchmark prints about sweeps over conditions: the areas under the curves."""

from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console
from rich.table import Table

from fuse2task.bench.table import read_table, to_frame
from fuse2task.report.columns import ABOUT, AGAINST, ROBUSTNESS, TO_BASELINE

SHOWN = {"detection": ("AP50", "AP"), "segmentation": ("mIoU",)}
NUMBERS = ("area", "ci_low", "ci_high", "drop", *AGAINST[1:], *TO_BASELINE[1:])


def print_sweeps(folder: Path, console: Console) -> None:
    """One table for each dataset, kind and judge: areas, drops, and how they lie to best camera and baseline."""
    path = folder / "robustness.csv"
    areas = to_frame(read_table(path, ROBUSTNESS), path, NUMBERS, ROBUSTNESS)
    for _, rows in areas[areas["class"] == "all"].groupby(list(ABOUT), sort=False):
        about = rows.iloc[0]
        for metric in SHOWN.get(about["task"], ()):
            own = rows[rows["metric"] == metric]
            if not own.empty:
                console.print(_table(own, metric))


def _table(rows: pd.DataFrame, metric: str) -> Table:
    about = rows.iloc[0]
    title = f"{about['dataset']} under {about['kind']}, levels {about['levels']}, {about['protocol']} {about['judge']}"
    told = ("above", "not told apart", "below")
    references = ("- best camera", "Holm p", "- baseline", "Holm p")
    table = Table("method", f"area of {metric}", "interval", "drop", *references, *told, title=title)
    for row in rows.to_dict("records"):
        fused = bool(row["best_single"])
        levels = [row[name.replace(" ", "_")] or "-" for name in told]
        table.add_row(
            row["method"], f"{row['area']:.4f}", _interval(row), f"{row['drop']:.3f}",
            *_versus(row["best_single"], *(row[name] for name in AGAINST[1:])),
            *_versus(row["baseline"], *(row[name] for name in TO_BASELINE[1:])),
            *(levels if fused else ("", "", "")),
        )  # fmt: skip
    return table


def _versus(reference: str, difference: float, low: float, high: float, _: float, adjusted: float) -> tuple[str, str]:
    return (f"{difference:+.4f} ({low:+.3f}, {high:+.3f}) {reference}", f"{adjusted:.3f}") if reference else ("", "")


def _interval(row: dict[Any, Any]) -> str:
    return "-" if pd.isna(row["ci_low"]) else f"{row['ci_low']:.3f}-{row['ci_high']:.3f}"
