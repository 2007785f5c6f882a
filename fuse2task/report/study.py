"""Studies: everything that the report says about one comparable group and those beside it, findings in plain words."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fuse2task.report import charts, metric_tables
from fuse2task.report.estimates import Difference, Estimate, Numbers
from fuse2task.report.metric_tables import ONE_TRAINING, summary_table, variant
from fuse2task.report.tables import Table, first_of, fraction, interval, p_text, signed
from fuse2task.results.schema import SINGLE
from fuse2task.results.tables import Group
from fuse2task.tasks import find_task

PANELS = 12  # more bar charts than this side by side are a wall; the table has them all


@dataclass(frozen=True)
class GroupFinding:
    """Sentences about one table; the headline is the shortest answer."""

    title: str
    headline: str
    sentences: tuple[str, ...]


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


def studies(
    groups: Sequence[Group], baseline: str, alpha: float, judges: Sequence[Mapping[str, Any]] = ()
) -> list[Study]:
    """One study for each family of groups; see `families`. judges: content of judges.json."""
    found = []
    for number, (first, others) in enumerate(families(list(groups))):
        numbers, *more = (Numbers(group, baseline, alpha, judges) for group in (first, *others))
        found.append(_study(numbers, more, f"s{number}"))
    return found


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
        for group in members:
            seen.setdefault((group.keys["judge"], group.keys["truth_hash"]), group)
        first, *others = seen.values()
        extra = [group for group in members if not any(group is one for one in seen.values())]
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
    shown = list(found.items())[:PANELS]
    ends = [charts.span(item)[1] for _, values in shown for item in values.values()]
    top = min(1.0, 1.05 * max(ends, default=1.0)) or 1.0  # one scale, so that panels can be compared
    return tuple(charts.bars(title, values, top, f"{name}-{at}") for at, (title, values) in enumerate(shown))


def finding(numbers: Numbers) -> GroupFinding:
    """The finding of one comparable group."""
    ranked = numbers.ranked()
    if not ranked:
        return GroupFinding(numbers.group.title, "No numbers yet.", ())
    floor_metric, floor = numbers.task.floor
    highest = max((value for _, value in numbers.ranked(floor_metric)), default=math.nan) if floor else math.nan
    if highest < floor:
        text = f"Too low to rank: {floor_metric} is below {fraction(floor)} for every method"
        return GroupFinding(numbers.group.title, f"{text} (highest {fraction(highest)}).", ())
    if numbers.one_training:
        text = f"{ranked[0][0]} has the highest {numbers.main}: {_value(numbers, ranked[0][0])}. {ONE_TRAINING}"
        return GroupFinding(numbers.group.title, text, tuple(_of_these_networks(numbers)))
    headline = f"{_leader(numbers, ranked)} {_fusion_helps(numbers, ranked)}".strip()
    return GroupFinding(numbers.group.title, headline, (*_against_baseline(numbers), *_against_single(numbers, ranked)))


def sensitivity_sentences(first: Numbers, others: Sequence[Numbers]) -> list[str]:
    """For each other truth or judge: whether the ranking changes, with Kendall's tau over the common methods."""
    from scipy.stats import kendalltau

    mine = dict(first.ranked())
    sentences = []
    for other in others:
        theirs = dict(other.ranked())
        common = [method for method in mine if method in theirs]
        if len(common) < 2:
            continue
        tau = float(kendalltau([mine[method] for method in common], [theirs[method] for method in common]).statistic)
        order = sorted(common, key=lambda method: -theirs[method])
        same = order == sorted(common, key=lambda method: -mine[method])
        verb, end = ("stays the same", "") if same else ("changes", f"; {order[0]} stays first")
        if order[0] != common[0]:
            end = f"; {order[0]} comes first instead of {common[0]}"
        measure = "" if math.isnan(tau) else f" (Kendall τ {tau:.2f})".replace("-", "−")
        start = f"With {variant(first.group, other.group)} the ranking of {len(common)} methods"
        sentences.append(f"{start} {verb}{measure}{end}.")
    return sentences


def _leader(numbers: Numbers, ranked: list[tuple[str, float]]) -> str:
    best, *others = (method for method, _ in ranked)
    text = f"{best} has the highest {numbers.main}: {_value(numbers, best)}"
    if not others:
        return f"{text}; there is no other method to compare it with."
    found = {other: numbers.difference(best, other, numbers.main) for other in others}
    tied = [other for other, item in found.items() if item is not None and not item.significant]
    untested = [other for other, item in found.items() if item is None]
    if tied:
        return f"{text}. Its lead over {_and(tied)} is not significant."
    if untested:
        second = f"{others[0]} follows with {_value(numbers, others[0])}"
        return f"{text}. {second}. The lead over {_and(untested)} was not tested for significance."
    return f"{text}. It is significantly ahead of every other method."


def _fusion_helps(numbers: Numbers, ranked: list[tuple[str, float]]) -> str:
    """Whether the best fused method beats the better single camera."""
    fused = [method for method, _ in ranked if method not in SINGLE]
    single = [method for method, _ in ranked if method in SINGLE]
    if not fused or not single:
        return ""
    if ranked[0][0] in SINGLE:
        return "No fused method scores above this single camera."
    found = next((item for name in fused if (item := numbers.difference(name, single[0], numbers.main))), None)
    if found is None:
        text = f"{fused[0]} scores above the better single camera, {single[0]}"
        return f"{text}, but no fused method was tested against that camera."
    if found.significant and found.value > 0:
        return f"Fusion helps: {found.a} scores significantly above the better single camera, {single[0]}."
    return f"This does not show that fusion helps: {found.a} is not significantly better than {single[0]} alone."


def _value(numbers: Numbers, method: str) -> str:
    estimate = numbers.estimate(method, numbers.main)
    assert estimate is not None  # the method comes from the ranking
    text = fraction(estimate.value)
    if estimate.seeds > 1:
        return f"{text} (mean of {estimate.seeds} seeds, standard deviation {fraction(estimate.deviation)})"
    return f"{text} {interval(estimate.low, estimate.high)}".strip()


def _and(names: Sequence[str]) -> str:
    *others, last = first_of(names)
    return f"{', '.join(others)} and {last}" if others else last


def _against_baseline(numbers: Numbers) -> list[str]:
    found = [numbers.against_baseline(method, numbers.main) for method, _ in numbers.ranked()]
    tested = [item for item in found if item is not None]
    sentences = []
    texts = {"better": "Significantly better than", "worse": "Significantly worse than",
             "": "No significant difference from"}  # fmt: skip
    for mark, text in texts.items():
        if listed := first_of([_measured(item) for item in tested if item.mark == mark]):
            sentences.append(f"{text} the baseline {numbers.baseline}: {'; '.join(listed)}.")
    if detectable := numbers.detectable():
        size = f"a difference from {numbers.baseline} smaller than about {fraction(max(detectable))}"
        sentences.append(f"With these images, {size} can remain undetected.")
    return sentences


def _of_these_networks(numbers: Numbers) -> list[str]:
    found = [numbers.against_baseline(method, numbers.main) for method, _ in numbers.ranked()]
    listed = "; ".join(first_of([_measured(item) for item in found if item is not None]))
    return [f"Differences from {numbers.baseline}, for these trained networks: {listed}."] if listed else []


def _against_single(numbers: Numbers, ranked: list[tuple[str, float]]) -> list[str]:
    """How many fused methods score above the better single camera, and by how much where tested."""
    single = next((item for item in ranked if item[0] in SINGLE), None)
    fused = [item for item in ranked if item[0] not in SINGLE]
    if single is None or not fused:
        return []
    above = sum(value > single[1] for _, value in fused)
    count = f"{above} of {len(fused)} fused methods score" if len(fused) > 1 else "The only fused method scores"
    count = count if above else "No fused method scores"
    text = f"{count} above the better single camera ({single[0]}, {numbers.main} {fraction(single[1])})."
    tested = [item for method, _ in fused if (item := numbers.difference(method, single[0], numbers.main)) is not None]
    if not tested:
        return [f"{text} None of these differences was tested."]
    level = f"at the {100 * (1 - numbers.alpha):g} % level"
    listed = []
    for item in tested:  # `average: .030 lower, p = .01, a real difference at the 95 % level`
        size = f"{fraction(abs(item.value))} {'higher' if item.value > 0 else 'lower'}"
        verdict = f"{'a real difference' if item.significant else 'not significant'} {level}"
        listed.append(f"{item.a}: {', '.join(part for part in (size, p_text(item.p), verdict) if part)}")
    return [f"{text} {'. '.join(first_of(listed))}."]


def _measured(found: Difference) -> str:
    parts = [part for part in (interval(found.low, found.high, signed=True), p_text(found.p)) if part]
    return f"{found.a} {signed(found.value)} {', '.join(parts)}".strip()
