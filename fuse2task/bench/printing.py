"""Console tables of a benchmark: plan, results, sweeps, published numbers, opened test splits."""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console
from rich.table import Table

from fuse2task.bench.scheduler import Step, duration
from fuse2task.results.entries import published_sentence, read_entries, read_truths
from fuse2task.results.schema import ABOUT, CLEAN, COMPARISONS, ROBUSTNESS, VERDICTS, BenchFolder, source_of
from fuse2task.results.tables import Group, ResultsTable, comparable_groups, read_frame
from fuse2task.tasks import find_task

SHORT = {"mIoU_foreground": "foregr."}
NONE = pd.Series(dtype=float)


def print_plan(steps: Sequence[Step]) -> None:
    """The jobs with state and estimated time."""
    table = Table("job", "dataset", "method", "judge", "seed", "state", "time", title="Plan")
    for step in steps:
        job, guess = step.job, "" if step.measured else "~"
        seed = "" if job.seed is None else str(job.seed)
        cost = "" if step.done else guess + duration(step.seconds)
        table.add_row(job.kind, job.dataset, job.method, job.judge, seed, "done" if step.done else "to do", cost)
    done, total = sum(step.done for step in steps), duration(sum(step.seconds for step in steps if not step.done))
    console = _console()
    console.print(table)
    console.print(
        f"{done} of {len(steps)} jobs are done; the rest takes about {total} one after the other. "
        "~: a guess for two CPU cores, until a job of its kind has been timed in this folder.", highlight=False,
    )  # fmt: skip


def print_states(rows: Sequence[tuple[str, str, str]], counts: Mapping[str, int]) -> None:
    """The jobs of a bench folder, a line each: name, state and why; then how many there are of each state."""
    console = _console()
    for name, state, why in rows:
        text = f"{state:8}{name}" + (f": {why}" if state == "stale" else "")
        console.print(text, highlight=False, markup=False, soft_wrap=True)
    console.print(", ".join(f"{count} {state}" for state, count in counts.items()), highlight=False)


def print_results(folder: Path, methods: Sequence[str], baseline: str) -> None:
    """One table for each set of comparable rows: value, interval, difference from the baseline with Holm's p.

    Degraded copies are reported by the areas under their curves alone.

    methods: those to print, in this order.
    """
    from fuse2task.report.estimates import Numbers
    from fuse2task.report.judges import sentences
    from fuse2task.report.metric_tables import ONE_TRAINING

    at, results, console = BenchFolder(folder), ResultsTable(folder).read(), _console()
    entries = read_entries(folder, "judges")
    pairs = read_frame(at.table("comparisons"), COMPARISONS)
    for group in comparable_groups(results[results["kind"] == CLEAN["kind"]], pairs, read_truths(folder)):
        if find_task(group.keys["task"]).is_judged:
            numbers = Numbers(group, baseline, math.nan, entries)
            notes = [f" † {method} was trained through this judge." for method in sorted(numbers.through)]
            notes += [f" {ONE_TRAINING}"] if numbers.one_training else []
            console.print(_table(group, methods, baseline, numbers.label))
            console.print("".join([_footnote(group, baseline), *notes]), highlight=False, soft_wrap=True)
    for entry in entries:
        if len(entry["judges"]) > 1:
            for sentence in sentences(entry):
                console.print(sentence, highlight=False, markup=False, soft_wrap=True)
    areas = read_frame(at.table("robustness"), ROBUSTNESS)
    for _, rows in areas[areas["class"] == "all"].groupby(list(ABOUT), sort=False):
        for metric in find_task(rows.iloc[0]["task"]).sweep_metrics:
            if (own := rows[rows["metric"] == metric]).size:
                console.print(_sweep_table(own, metric))


def print_published(folder: Path) -> None:
    """One line for each published number of the recipe: ours, theirs in the same unit, and the caveat."""
    for row in read_entries(folder, "published"):
        _console().print(published_sentence(row), highlight=False, markup=False, soft_wrap=True)


def print_openings(rows: Sequence[Mapping[str, str]]) -> None:
    """How often each test split was opened."""
    for dataset in dict.fromkeys(source_of(row["dataset"]) for row in rows):
        own = [row for row in rows if source_of(row["dataset"]) == dataset]
        count, recipes = sum(int(row["evaluations"]) for row in own), len({row["run"] for row in own})
        opened = f"opened by {recipes} recipe{'s' if recipes > 1 else ''} in this folder, {count} evaluations"
        _console().print(f"test split of {dataset}: {opened}", highlight=False)


def _console() -> Console:
    # A table squeezed into the 80 columns that a log file pretends to have cannot be read.
    console = Console()
    return console if console.is_terminal else Console(width=max(console.width, 160))


def _table(group: Group, methods: Sequence[str], baseline: str, label: Callable[[str], str]) -> Table:
    keys, task = group.keys, find_task(group.keys["task"])
    every = group.results[(group.results["condition"] == "all") & group.results["method"].isin(methods)]
    classes = [name for name in dict.fromkeys(every["class"]) if name != "all"]
    columns = [*((name, "all") for name in task.metrics[:2]), *((task.class_metrics[0], name) for name in classes)]
    heads = [SHORT.get(metric, metric) if name == "all" else name for metric, name in columns]
    title = f"{keys['dataset']}, {keys['protocol']} {keys['judge']}, truth {group.truth}"
    table = Table("method", heads[0], "interval", *heads[1:], f"{task.headline} - {baseline}", "Holm p", title=title)
    for column in (table.columns[0], table.columns[2], table.columns[-2]):
        column.no_wrap = True
    values = every.groupby(["metric", "class", "method"])["value"].mean()
    present = [name for name in methods if name in set(group.results["method"])]
    pairs = _of_headline(group, baseline).set_index("a")
    for method in present:
        cells = [_marked(values.get(column, NONE), method, 4 if column[1] == "all" else 3) for column in columns]
        versus = ("", "")
        if method in pairs.index:
            row = pairs.loc[[method]].iloc[0]
            versus = (_difference(row), _p_value(row["p_holm"]))
        own = every[(every["method"] == method) & (every["metric"] == task.headline) & (every["class"] == "all")]
        # The interval over images of a single run, the standard deviation over several seeds.
        spread = f"sd {own['value'].std():.3f}, {len(own)} seeds" if len(own) > 1 else _interval(own.iloc[0])
        table.add_row(label(method), cells[0], spread, *cells[1:], *versus)
    return table


def _of_headline(group: Group, baseline: str) -> pd.DataFrame:
    pairs, main = group.comparisons, find_task(group.keys["task"]).headline
    whole = (pairs["metric"] == main) & (pairs["class"] == "all") & (pairs["condition"] == "all")
    return pairs[whole & (pairs["b"] == baseline)]


def _marked(values: pd.Series, method: str, digits: int) -> str:
    if method not in values:
        return "-"
    best = values.sort_values(ascending=False).unique()[:2]
    text = f"{values[method]:.{digits}f}"
    if values[method] == best[0]:
        return f"[bold]{text}[/bold]"
    return f"[underline]{text}[/underline]" if values[method] == best[-1] else text


def _interval(row: Mapping[Any, Any] | pd.Series) -> str:
    return "-" if pd.isna(row["ci_low"]) else f"{row['ci_low']:.3f}-{row['ci_high']:.3f}"


def _difference(row: Mapping[Any, Any] | pd.Series, prefix: str = "ci", value: str = "difference") -> str:
    if pd.isna(row[value]):
        return ""
    low, high = row[f"{prefix}_low"], row[f"{prefix}_high"]
    return f"{row[value]:+.4f}" + ("" if pd.isna(low) else f" ({low:+.3f}, {high:+.3f})")


def _p_value(p: float, missing: str = "-") -> str:
    return missing if pd.isna(p) else f"{p:.3f}"


def _footnote(group: Group, baseline: str) -> str:
    task = find_task(group.keys["task"])
    smallest = _of_headline(group, baseline)["smallest_detectable"].dropna()
    images = int(group.results.iloc[0]["n_images"])
    unseen = ""
    if len(smallest):
        ends = f"{smallest.min():.3f} to {smallest.max():.3f}"
        unseen = f" True differences in {task.headline} below {ends} can go unseen (80 % power)."
    return (
        f"{images} images; bold best, underlined second; classes: {task.class_metrics[0]}. "
        f"Differences are paired, against {baseline}.{unseen}"
    )


def _sweep_table(rows: pd.DataFrame, metric: str) -> Table:
    """Areas and drops, and differences from the best camera and the baseline."""
    about = rows.iloc[0]
    title = f"{about['dataset']} under {about['kind']}, levels {about['levels']}, {about['protocol']} {about['judge']}"
    baseline = next((name for name in rows["baseline"] if name), "baseline")
    references = ("- best camera", "", "Holm p", f"- {baseline}", "Holm p")
    table = Table("method", f"area of {metric}", "interval", "drop", *references, *VERDICTS.values(), title=title)
    for row in rows.to_dict("records"):
        levels = [row[name] or "-" if row["best_single"] else "" for name in VERDICTS]
        table.add_row(
            row["method"], f"{row['area']:.4f}", _interval(row), f"{row['drop']:.3f}",
            _difference(row, "difference"), row["best_single"], _p_value(row["p_holm"], ""),
            _difference(row, "to_baseline", "to_baseline"), _p_value(row["to_baseline_p_holm"], ""), *levels,
        )  # fmt: skip
    return table
