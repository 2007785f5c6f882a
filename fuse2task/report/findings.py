"""What was found, in plain words: who is best, by how much, how sure, and what could not be told apart."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from fuse2task.report.contents import Contents
from fuse2task.report.estimates import SINGLE, Difference, Numbers
from fuse2task.report.metric_tables import variant
from fuse2task.report.tables import fraction, interval, p_value

# From scratch on a hundred images a detector finds next to nothing; a ranking of such numbers is one of noise.
TOO_LOW = {"detection": ("AP50", 0.1)}


@dataclass(frozen=True)
class Finding:
    """Sentences about one table; headline is the shortest answer."""

    title: str
    headline: str
    sentences: tuple[str, ...]


def finding(numbers: Numbers) -> Finding:
    """What the table of one comparable group says."""
    ranked = numbers.ranked()
    if not ranked:
        return Finding(numbers.group.title, "No numbers yet.", ())
    floor_metric, floor = TOO_LOW.get(numbers.task, ("", 0.0))
    highest = max((value for _, value in numbers.ranked(floor_metric)), default=math.nan) if floor else math.nan
    if highest < floor:
        text = f"Nothing can be ranked here: {floor_metric} stays under {fraction(floor)} for every method"
        return Finding(numbers.group.title, f"{text} (highest {fraction(highest)}).", ())
    headline = " ".join(part for part in (_leader(numbers, ranked), _fusion_helps(numbers)) if part)
    return Finding(numbers.group.title, headline, tuple(_against_baseline(numbers) + _against_single(numbers)))


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
        start = f"With {variant(first.group, other.group)} the ranking of {len(common)} methods"
        measure = "" if math.isnan(tau) else f" (Kendall τ {tau:.2f})".replace("-", "−")
        if same:
            sentences.append(f"{start} stays the same{measure}.")
        elif order[0] == common[0]:
            sentences.append(f"{start} changes{measure}; {order[0]} stays first.")
        else:
            sentences.append(f"{start} changes{measure}; {order[0]} comes first instead of {common[0]}.")
    return sentences


def opening_sentences(contents: Contents) -> list[str]:
    """How often each test split was opened: one row of openings.csv is one recipe that did."""
    sentences = []
    # A degraded copy (DATASET@KIND-LEVEL) shows the same images again.
    sources = contents.openings["dataset"].str.partition("@")[0] if len(contents.openings) else "dataset"
    for (dataset, split), rows in contents.openings.groupby([sources, "split"], sort=False):
        recipes, evaluations = rows["run"].nunique(), int(rows["evaluations"].fillna(0).sum())
        sentences.append(
            f"The {split} split of {dataset} was opened by {recipes} recipe{'s' * (recipes > 1)} "
            f"({evaluations} evaluation{'s' * (evaluations != 1)})."
        )
    return sentences or ["No test split was opened: all numbers come from folds of training splits."]


def _leader(numbers: Numbers, ranked: list[tuple[str, float]]) -> str:
    best, *others = (method for method, _ in ranked)
    text = f"{best} has the highest {numbers.main}, {_with_sureness(numbers, best)}"
    if not others:
        return f"{text}; nothing to compare it with."
    found = {other: numbers.difference(best, other, numbers.main) for other in others}
    tied = [other for other, item in found.items() if item is not None and not item.significant]
    untested = [other for other, item in found.items() if item is None]
    if tied:
        return f"{text}, but cannot be told apart from {_and(tied)}."
    if untested:
        second = f"{others[0]} follows with {_with_sureness(numbers, others[0])}"
        return f"{text}. {second}; whether the lead over {_and(untested)} is real was not tested."
    return f"{text}, ahead of every other method beyond chance."


def _fusion_helps(numbers: Numbers) -> str:
    """Whether the best fusion beats the better single camera."""
    fused = [method for method, _ in numbers.ranked() if method not in SINGLE]
    single = [method for method, _ in numbers.ranked() if method in SINGLE]
    if not fused or not single:
        return ""
    if numbers.ranked()[0][0] in SINGLE:
        return "No fusion scores higher than this single camera."
    found = next((item for name in fused if (item := numbers.difference(name, single[0], numbers.main))), None)
    if found is None:
        return f"Fusions score higher than the better single camera, {single[0]}, but none of these pairs was tested."
    if found.significant and found.value > 0:
        return f"Fusing helps: {found.a} beats the better single camera, {single[0]}, beyond chance."
    return f"That fusing helps is not shown: {single[0]} alone could be as good as {found.a}."


def _with_sureness(numbers: Numbers, method: str) -> str:
    estimate = numbers.estimate(method, numbers.main)
    assert estimate is not None  # the method comes from the ranking
    text = fraction(estimate.value)
    if estimate.seeds > 1:
        return f"{text} (mean of {estimate.seeds} seeds, standard deviation {fraction(estimate.deviation)})"
    return f"{text} {interval(estimate.low, estimate.high)}".strip()


def _and(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _against_baseline(numbers: Numbers) -> list[str]:
    found = [numbers.against_baseline(method, numbers.main) for method, _ in numbers.ranked()]
    tested = [item for item in found if item is not None]
    sentences = []
    for text, chosen in (
        ("Better than", [item for item in tested if item.significant and item.value > 0]),
        ("Worse than", [item for item in tested if item.significant and item.value <= 0]),
        ("Cannot be told apart from", [item for item in tested if not item.significant]),
    ):
        if chosen:
            listed = "; ".join(f"{item.a} {_measured(item)}" for item in chosen)
            sentences.append(f"{text} the baseline {numbers.baseline}: {listed}.")
    detectable = [item.detectable for item in tested if not math.isnan(item.detectable)]
    if detectable:
        sentences.append(
            f"With these images, a difference from {numbers.baseline} below about {fraction(max(detectable))} "
            "can go unseen."
        )
    return sentences


def _against_single(numbers: Numbers) -> list[str]:
    ranked = numbers.ranked()
    single = next((item for item in ranked if item[0] in SINGLE), None)
    if single is None:
        return []
    fused = [item for item in ranked if item[0] not in SINGLE]
    tested = [
        found for method, _ in fused if (found := numbers.difference(method, single[0], numbers.main)) is not None
    ]
    above = sum(value > single[1] for _, value in fused)
    text = (
        f"{above} of {len(fused)} fusions score higher than the better single camera, {single[0]} {fraction(single[1])}"
    )
    if not tested:
        return [f"{text}; none of these pairs was tested."]
    outcomes = [f"{item.a} ({'beyond chance' if item.significant else 'could be chance'})" for item in tested]
    return [f"{text}; tested against it: {', '.join(outcomes)}."]


def _measured(found: Difference) -> str:
    span, p = interval(found.low, found.high, signed=True), p_value(found.p)
    parts = [part for part in (span, f"p\u00a0{p}" if p.startswith("<") else f"p\u00a0=\u00a0{p}" if p else "") if part]
    return f"{fraction(found.value, signed=True)} {', '.join(parts)}".strip()
