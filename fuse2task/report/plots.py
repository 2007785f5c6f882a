"""Task metrics and their differences as inline SVG."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from fuse2task.report import drawing
from fuse2task.report.drawing import BEST, DOUBT, FUSED, PAPER, QUIET, SOURCE, STYLE, TEXT
from fuse2task.report.estimates import SINGLE, Difference, Estimate

if TYPE_CHECKING:
    pass


def bars(title: str, values: Mapping[str, Estimate], top: float, name: str) -> str:
    """Horizontal bars with intervals (or deviations over seeds), one for each method, from 0 to `top`.

    Single cameras are hatched and grey, the best bar is outlined and its name bold.
    """
    import matplotlib as mpl

    with mpl.rc_context(STYLE):
        figure = drawing.new_figure(drawing.WIDTH, 46 + 22 * len(values))
        axes = figure.add_subplot()
        best = max(values, key=lambda method: values[method].value)
        for place, (method, item) in enumerate(values.items()):
            single = method in SINGLE
            axes.barh(
                place, item.value, 0.62, color=PAPER if single else FUSED, alpha=None if single else 0.5,
                edgecolor=SOURCE if single else "none", linewidth=0.8 if single else 0,
                hatch="////" if single else None,
            )  # fmt: skip
            if method == best:
                axes.barh(place, item.value, 0.62, color="none", edgecolor=BEST, linewidth=1.8)
            low, high = span(item)
            axes.plot([low, high], [place, place], color=TEXT, linewidth=1.1, solid_capstyle="butt")
        axes.set_yticks(range(len(values)), [drawing.short(method) for method in values])
        for tick in axes.get_yticklabels():
            tick.set_fontweight("bold" if tick.get_text() == drawing.short(best) else "normal")
        axes.invert_yaxis()
        axes.set_xlim(0, top)
        axes.grid(axis="x")
        axes.tick_params(length=0)
        axes.spines[["bottom"]].set_visible(False)
        axes.xaxis.set_major_locator(mpl.ticker.MaxNLocator(4))
        axes.set_title(drawing.short(title, 44))
        label = f"{title}: " + ", ".join(f"{method} {item.value:.3f}" for method, item in values.items())
        return drawing.inline_svg(figure, name, label)


def forest(differences: Sequence[Difference], metric: str, name: str) -> str:
    """Paired differences to the baseline: filled where beyond chance; the band is what could not have been seen."""
    import matplotlib as mpl

    with mpl.rc_context(STYLE):
        figure = drawing.new_figure(drawing.WIDTH * 1.2, 62 + 26 * len(differences))
        axes = figure.add_subplot()
        axes.axvline(0, color=QUIET, linewidth=1)
        for place, item in enumerate(differences):
            if not math.isnan(item.detectable):
                axes.barh(place, 2 * item.detectable, 0.6, left=-item.detectable, color=DOUBT, linewidth=0)
            if not math.isnan(item.low + item.high):
                axes.plot([item.low, item.high], [place, place], color=TEXT, linewidth=1.3, solid_capstyle="butt")
            colour = SOURCE if item.a in SINGLE else FUSED
            face = colour if item.significant else PAPER
            axes.plot(item.value, place, "D" if item.a in SINGLE else "o", color=face, markeredgecolor=colour,
                      markersize=7, markeredgewidth=1.6)  # fmt: skip
        axes.set_yticks(range(len(differences)), [drawing.short(item.a) for item in differences])
        axes.set_ylim(len(differences) - 0.5, -0.5)
        axes.grid(axis="x")
        axes.tick_params(length=0)
        axes.spines[["left", "bottom"]].set_visible(False)
        axes.xaxis.set_major_locator(mpl.ticker.MaxNLocator(5))
        axes.set_xlabel(f"{metric} minus that of {drawing.short(differences[0].b)}")
        label = f"Differences of {metric} to {differences[0].b}: "
        return drawing.inline_svg(
            figure, name, label + ", ".join(f"{item.a} {item.value:+.3f}" for item in differences)
        )


def span(item: Estimate) -> tuple[float, float]:
    if not math.isnan(item.low + item.high):
        return item.low, item.high
    spread = 0.0 if math.isnan(item.deviation) else item.deviation
    return item.value - spread, item.value + spread
