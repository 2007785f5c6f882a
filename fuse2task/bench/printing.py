"""What a benchmark prints: the plan, one table a task, published numbers beside ours, opened test splits."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.table import Table

from fuse2task.bench.plan import Step
from fuse2task.bench.printing_sweeps import print_sweeps
from fuse2task.bench.run import duration
from fuse2task.report.published import published_sentence
from fuse2task.results.entries import read_published, read_truths
from fuse2task.results.groups import comparable_groups
from fuse2task.results.schema import CLEAN, COMPARISONS, source_of
from fuse2task.results.tables import ResultsTable, read_frame

SHOWN = {"detection": ("AP50", "AP"), "segmentation": ("mIoU", "mIoU_foreground")}
SHORT = {"mIoU_foreground": "foregr."}
OF_CLASS = {"detection": "AP50", "segmentation": "IoU"}


def print_plan(steps: Sequence[Step]) -> None:
    """The jobs with state and estimated time."""
    table = Table("job", "dataset", "method", "judge", "seed", "state", "time", title="Plan")
    for step in steps:
        job, guess = step.job, "" if step.measured else "~"
        seed = "" if job.seed is None else str(job.seed)
        cost = "" if step.done else guess + duration(step.seconds)
        table.add_row(job.kind, job.dataset, job.method, job.judge, seed, "done" if step.done else "to do", cost)
    left = [step for step in steps if not step.done]
    console = _console()
    console.print(table)
    total = duration(sum(step.seconds for step in left))
    console.print(
        f"{len(steps) - len(left)} of {len(steps)} jobs are done; the rest takes about {total} one after the other. "
        "~: a guess for two CPU cores, until a job of its kind has been timed in this folder.", highlight=False,
    )  # fmt: skip


def print_results(folder: Path, methods: Sequence[str], baseline: str) -> None:
    """One table for each set of comparable rows: value, interval, difference from the baseline with Holm's p.

    DegradedCopy copies are told by the areas under their curves alone.

    methods: those to print, in this order.
    """
    pairs = read_frame(folder / "comparisons.csv", COMPARISONS)
    console = _console()
    results = ResultsTable(folder).read()
    for group in comparable_groups(results[results["kind"] == CLEAN["kind"]], pairs, read_truths(folder)):
        rows, about = group.results, group.keys
        if about["task"] == "quality":
            continue
        own = group.comparisons[group.comparisons["b"] == baseline]
        title = f"{about['dataset']}, {about['protocol']} {about['judge']}, truth {group.truth}"
        present = [name for name in methods if name in set(rows["method"])]
        console.print(_table(rows[rows["method"].isin(present)], own, present, title, baseline))
        console.print(_footnote(own, about["task"], baseline, int(rows.iloc[0]["n_images"])), highlight=False)
    print_sweeps(folder, console)


def print_published(folder: Path) -> None:
    """One line for each published number of the recipe: ours, theirs in the same unit, and the caveat."""
    for row in read_published(folder):
        _console().print(published_sentence(row), highlight=False, markup=False, soft_wrap=True)


def print_openings(rows: Sequence[Mapping[str, str]]) -> None:
    """How often each test split was opened."""
    for dataset in dict.fromkeys(source_of(row["dataset"]) for row in rows):
        own = [row for row in rows if source_of(row["dataset"]) == dataset]
        count, recipes = sum(int(row["evaluations"]) for row in own), len({row["run"] for row in own})
        _console().print(
            f"test split of {dataset}: opened by {recipes} recipe{'s' if recipes > 1 else ''} in this folder, "
            f"{count} evaluations", highlight=False,
        )  # fmt: skip


def _console() -> Console:
    # A table squeezed into the 80 columns that a log file pretends to have cannot be read.
    console = Console()
    return console if console.is_terminal else Console(width=max(console.width, 160))


def _table(rows: pd.DataFrame, pairs: pd.DataFrame, methods: Sequence[str], title: str, baseline: str) -> Table:
    main, *others = SHOWN[rows.iloc[0]["task"]]
    every = rows[rows["condition"] == "all"]
    classes = [name for name in dict.fromkeys(every["class"]) if name != "all"]
    of_class = OF_CLASS[rows.iloc[0]["task"]]
    columns = [(main, "all"), *((name, "all") for name in others), *((of_class, name) for name in classes)]
    heads = [SHORT.get(metric, metric) if name == "all" else name for metric, name in columns]
    table = Table("method", heads[0], "interval", *heads[1:], f"{main} - {baseline}", "Holm p", title=title)
    for column in (table.columns[0], table.columns[2], table.columns[-2]):
        column.no_wrap = True
    means = {column: _over_seeds(every, *column) for column in columns}
    for method in methods:
        cells = [_marked(means[column], method, 4 if column[1] == "all" else 3) for column in columns]
        pair = pairs[(pairs["a"] == method) & (pairs["metric"] == main) & (pairs["class"] == "all")
                     & (pairs["condition"] == "all")]  # fmt: skip
        versus = ("", "") if pair.empty else (_difference(pair.iloc[0]), _p_value(pair.iloc[0]["p_holm"]))
        table.add_row(method, cells[0], _spread(every, method, main), *cells[1:], *versus)
    return table


def _over_seeds(rows: pd.DataFrame, metric: str, name: str) -> pd.Series:
    chosen = rows[(rows["metric"] == metric) & (rows["class"] == name)]
    return chosen.groupby("method", sort=False)["value"].mean()


def _marked(values: pd.Series, method: str, digits: int) -> str:
    if method not in values:
        return "-"
    best = values.sort_values(ascending=False).unique()[:2]
    text = f"{values[method]:.{digits}f}"
    if values[method] == best[0]:
        return f"[bold]{text}[/bold]"
    return f"[underline]{text}[/underline]" if values[method] == best[-1] else text


def _spread(rows: pd.DataFrame, method: str, metric: str) -> str:
    """The interval over images of a single run, the standard deviation over several seeds."""
    chosen = rows[(rows["method"] == method) & (rows["metric"] == metric) & (rows["class"] == "all")]
    if len(chosen) > 1:
        return f"sd {chosen['value'].std():.3f}, {len(chosen)} seeds"
    row = chosen.iloc[0]
    return "-" if pd.isna(row["ci_low"]) else f"{row['ci_low']:.3f}-{row['ci_high']:.3f}"


def _difference(row: pd.Series) -> str:
    if pd.isna(row["ci_low"]):
        return f"{row['difference']:+.4f}"
    return f"{row['difference']:+.4f} ({row['ci_low']:+.3f}, {row['ci_high']:+.3f})"


def _p_value(p: float) -> str:
    return "-" if pd.isna(p) else f"{p:.3f}"


def _footnote(pairs: pd.DataFrame, task: str, baseline: str, images: int) -> str:
    metric, of_class = SHOWN[task][0], OF_CLASS[task]
    own = pairs[(pairs["metric"] == metric) & (pairs["class"] == "all") & (pairs["condition"] == "all")]
    smallest = own["smallest_detectable"].dropna()
    text = f"{images} images; bold best, underlined second; classes: {of_class}. "
    text += f"Differences are paired, against {baseline}."
    if len(smallest):
        low, high = smallest.min(), smallest.max()
        text += f" A true difference in {metric} below {low:.3f} to {high:.3f} would not have been seen (80 % power)."
    return text
