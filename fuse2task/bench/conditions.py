"""Degraded copies as datasets of their own: `msrs@haze-3` is dataset `msrs` under haze of level 3."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, Self

from pydantic import model_validator

from fuse2task.config.recipes import Recipe
from fuse2task.data.degradation.kinds import KINDS, LEVELS
from fuse2task.results.schema import name_at

Modality = Literal["infrared", "visible"]


class ConditionSection(Recipe):
    """A sweep: one kind of degradation at several levels, of which 0 is the dataset as it is.

    move, truth_on: of kind misalign, as for `fuse2task data degrade`.
    """

    kind: str
    levels: list[int]
    move: Modality | None = None
    truth_on: Modality | None = None

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.kind not in KINDS:
            raise ValueError(f"unknown kind {self.kind!r}; known are {', '.join(KINDS)}")
        if len(self.levels) < 2 or not set(self.levels) <= set(LEVELS) or self.levels != sorted(set(self.levels)):
            raise ValueError(f"levels {self.levels}: two or more of {LEVELS[0]} to {LEVELS[-1]}, in rising order")
        if (self.move or self.truth_on) and self.kind != "misalign":
            raise ValueError("move and truth_on are for misalign")
        return self

    @property
    def moves_truth(self) -> bool:
        """Whether the image moves that the truth was drawn on."""
        return self.kind == "misalign" and (self.move or "infrared") == (self.truth_on or "visible")


@dataclass(frozen=True)
class DegradedCopy:
    """Dataset `source` of the recipe under `section`'s kind at `level`, 1 to 5."""

    source: str
    section: ConditionSection
    level: int

    @property
    def name(self) -> str:
        """The dataset's name in tables and folders."""
        return name_at(self.source, self.section.kind, self.level)


def degraded_datasets(sources: Iterable[str], sections: Iterable[ConditionSection]) -> dict[str, DegradedCopy]:
    """Name -> degraded dataset, for all levels but 0, dataset by dataset and kind by kind."""
    sections = list(sections)
    found = [DegradedCopy(source, section, level) for source in sources for section in sections
             for level in section.levels if level]  # fmt: skip
    return {degraded.name: degraded for degraded in found}
