"""The paths of a bench folder, and its locks."""

from dataclasses import dataclass
from pathlib import Path

from fuse2task.results.schema import source_of
from fuse2task.runtime import locks
from fuse2task.runtime.files import lines_hash


@dataclass(frozen=True)
class BenchFolder:
    """Where each thing of a benchmark lies; nothing is read or written. seed: None where weights were given."""

    root: Path

    def table(self, name: str) -> Path:
        """A table by its name: results, comparisons, costs, correlations, openings, conditions, robustness, timings."""
        return self.root / f"{name}.csv"

    def entries(self, name: str) -> Path:
        """A JSON file by its name: truths, ranking, extremes, published."""
        return self.root / f"{name}.json"

    @property
    def recipe(self) -> Path:
        """The resolved recipe."""
        return self.root / "recipe.yaml"

    @property
    def report(self) -> Path:
        """The folder of the report."""
        return self.root / "report"

    @property
    def truth(self) -> Path:
        """The folder of further truths."""
        return self.root / "truth"

    def further_truth(self, dataset: str, truth: str, part: str) -> Path:
        """A further truth as a COCO file."""
        return self.truth / dataset / truth / f"{part}.json"

    def degraded(self, name: str, source_root: Path) -> Path:
        """A degraded copy. It ends as the source's root does: layout awmm tells the weather by that name."""
        return self.root / "degraded" / name / source_root.resolve().name

    def degraded_split(self, source: str) -> Path:
        """The split list of a dataset's degraded copies."""
        return self.root / "degraded" / f"{source}.txt"

    def fused(self, dataset: str, method: str) -> Path:
        """A fused dataset."""
        return self.root / "fused" / dataset / method

    def scores(self, dataset: str, label: str) -> Path:
        """The image scores of a dataset; their definitions lie beside it as JSON."""
        return self.root / "scores" / dataset / f"{label}.csv"

    def definitions(self) -> list[Path]:
        """The files of definitions beside all tables of scores."""
        return sorted((self.root / "scores").glob("*/*.json"))

    def training(self, dataset: str, method: str, judge: str, seed: int) -> Path:
        """The run folder of a judge's training; what judges a degraded copy was trained on the source."""
        return self.root / "judges" / source_of(dataset) / method / f"{judge}-s{seed}"

    def predictions(self, dataset: str, method: str, judge: str, seed: int | str | None) -> Path:
        """The folder of an evaluation."""
        name = judge if seed in (None, "") else f"{judge}-s{seed}"
        return self.root / "predictions" / dataset / method / name

    def lock(self, name: str) -> locks.Lock:
        """The exclusive lock of that name between processes that share the folder; its file stays."""
        # A job's name may hold more than a file's may.
        return locks.Lock(self.root / ".locks" / f"{lines_hash([name])}.lock", guards=self.root)


def suffixed(name: str, truth: str, primary: bool) -> str:
    """The file's name for a truth: as it is for the primary one, `STEM-<truth>.SUFFIX` for others."""
    stem, dot, suffix = name.partition(".")
    return name if primary else f"{stem}-{truth}{dot}{suffix}"
