"""Everything that the report says about one comparable group and those beside it."""

from collections.abc import Sequence
from dataclasses import dataclass

from fuse2task.report import charts, metric_tables
from fuse2task.report.estimates import Estimate, Numbers
from fuse2task.report.findings import GroupFinding, finding, sensitivity_sentences
from fuse2task.report.metric_tables import summary_table
from fuse2task.report.tables import Table
from fuse2task.results.tables import Group
from fuse2task.tasks import find_task

PANELS = 12  # more bar charts than this side by side are a wall; the table has them all


@dataclass(frozen=True)
class Panel:
    """A heading with its table and its drawings (SVG text); `fold`: what to click to unfold the table, "" if open."""

    heading: str
    table: Table | None
    drawings: tuple[str, ...] = ()
    sentences: tuple[str, ...] = ()
    fold: str = ""


@dataclass(frozen=True)
class Study:
    """One comparable group: finding, summary, panels, and the same numbers by other truths and judges."""

    numbers: Numbers
    finding: GroupFinding
    summary: Table
    forest: str
    panels: tuple[Panel, ...]
    sensitivity: Panel | None
    others: tuple[Table, ...]


def studies(groups: Sequence[Group], baseline: str, alpha: float) -> list[Study]:
    """One study for each family of groups; see `families`."""
    return [
        _study(Numbers(first, baseline, alpha), [Numbers(other, baseline, alpha) for other in others], f"s{number}")
        for number, (first, others) in enumerate(families(list(groups)))
    ]


def families(groups: list[Group]) -> list[tuple[Group, list[Group]]]:
    """Groups of one dataset, split, size, colour, task and protocol: the one to read first, and other truths or judges.

    First is the first with the primary truth. A group that differs in something else (another recipe of the same
    judge) is no check of sensitivity and stands for itself. Image scores are not in here.
    """
    found: dict[tuple[str, ...], list[Group]] = {}
    for group in sorted(groups, key=lambda group: not group.primary):
        keys = group.keys
        if find_task(keys["task"]).is_judged:
            family = tuple(keys[key] for key in ("dataset", "split_hash", "image_size", "color", "task", "protocol"))
            found.setdefault(family, []).append(group)
    pairs = []
    for members in found.values():
        seen: dict[tuple[str, str], Group] = {}
        extra = []
        for group in members:
            if seen.setdefault((group.keys["judge"], group.keys["truth_hash"]), group) is not group:
                extra.append(group)
        first, *others = seen.values()
        pairs += [(first, others), *((group, []) for group in extra)]
    return pairs


def _study(numbers: Numbers, others: list[Numbers], name: str) -> Study:
    panels = [*_class_panels(numbers, name), *_condition_panels(numbers, name)]
    if seeds := metric_tables.seed_table(numbers):
        panels.append(Panel("Seeds", seeds))
    sensitivity = None
    if others:
        table, sentences = metric_tables.sensitivity_table(numbers, others), sensitivity_sentences(numbers, others)
        sensitivity = Panel("Other truths and judges", table, (), tuple(sentences))
    differences = [numbers.against_baseline(method, numbers.main) for method, _ in numbers.ranked()]
    tested = [item for item in differences if item is not None]
    forest = charts.forest(tested, numbers.main, f"{name}-forest") if tested else ""
    tables = tuple(summary_table(other) for other in others)
    return Study(numbers, finding(numbers), summary_table(numbers), forest, tuple(panels), sensitivity, tables)


def _class_panels(numbers: Numbers, name: str) -> list[Panel]:
    panels = []
    for metric in numbers.task.class_metrics:
        if table := metric_tables.class_table(numbers, metric):
            titles = {kind: (metric, kind, "all") for kind in numbers.kinds("class", metric)}
            drawings = _bars(numbers, titles, f"{name}-{metric}") if metric == numbers.task.class_metrics[0] else ()
            panels.append(Panel(f"Classes, {metric}", table, drawings))
    return panels


def _condition_panels(numbers: Numbers, name: str) -> list[Panel]:
    panels = []
    for number, (what, conditions) in enumerate(metric_tables.conditions_of(numbers).items()):
        if table := metric_tables.condition_table(numbers, conditions, what):
            titles = {condition.removeprefix("scene:"): (numbers.main, "all", condition) for condition in conditions}
            drawings = _bars(numbers, titles, f"{name}-c{number}") if what != "scene" else ()
            panels.append(Panel(f"{what.capitalize()}, {numbers.main}", table, drawings))
    return panels


def _bars(numbers: Numbers, titles: dict[str, tuple[str, str, str]], name: str) -> tuple[str, ...]:
    methods = [method for method, _ in numbers.ranked()]
    found: dict[str, dict[str, Estimate]] = {}
    for title, (metric, kind, condition) in titles.items():
        values = {method: numbers.estimate(method, metric, kind, condition) for method in methods}
        if present := {method: value for method, value in values.items() if value is not None}:
            found[title] = present
    found = dict(list(found.items())[:PANELS])
    ends = [charts.span(item)[1] for values in found.values() for item in values.values()]
    top = min(1.0, 1.05 * max(ends, default=1.0)) or 1.0  # one scale, so that panels can be compared
    return tuple(
        charts.bars(title, values, top, f"{name}-{number}") for number, (title, values) in enumerate(found.items())
    )
