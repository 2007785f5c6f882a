"""The JSON files of a bench folder, each entry checked when it is read: they may be damaged."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from fuse2task.runtime.errors import RequestError
from fuse2task.runtime.files import read_json
from fuse2task.runtime.reading import one_line

SUFFIX = {"fraction": "", "percent": " %", "bits": " bits"}


class _Entry(BaseModel):
    """What reports use of an entry; anything else in it is kept as it is."""

    model_config = ConfigDict(extra="allow", allow_inf_nan=False)


class TruthEntry(_Entry):
    """An entry of truths.json."""

    name: str
    primary: bool


class _OfTable(_Entry):
    dataset: str
    task: str
    judge: str
    metric: str


class RankingEntry(_OfTable):
    """An entry of ranking.json: the average rank of every method."""

    truth_hash: str = ""
    methods: list[str] = Field(min_length=1)
    ranks: list[float]
    p_value: float
    critical_difference: float
    blocks: str
    n: int

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if len(self.ranks) != len(self.methods):
            raise ValueError(f"{len(self.methods)} methods, but {len(self.ranks)} ranks")
        return self


class ExtremeEntry(_OfTable):
    """An entry of extremes.json: an image on which method a is far from method b."""

    a: str
    b: str
    image: str
    difference: float


class PublishedEntry(_Entry):
    """An entry of published.json: a number of others beside ours."""

    label: str
    dataset: str
    method: str
    judge: str
    metric: str
    unit: Literal["fraction", "percent", "bits"]
    decimals: Annotated[int, Field(ge=0, le=15)]
    source: str
    caveat: str
    value: float | None
    ours: float | None
    ci_low: float | None
    ci_high: float | None
    deviation: float | None
    seeds: int


class JudgedMethod(_Entry):
    """A method in an entry of judges.json. The dictionaries are by judge."""

    method: str
    values: dict[str, float]
    ranks: dict[str, float]
    mean_rank: float
    rank_low: float | None
    rank_high: float | None
    standardised: float | None
    standardised_low: float | None
    standardised_high: float | None
    differences: dict[str, float | None]
    significant: list[str]
    trained_through: list[str]
    verdict: str
    verdict_without: str


class JudgesEntry(_Entry):
    """An entry of judges.json: what all judges say about one dataset, task and truth."""

    dataset: str
    task: str
    truth_hash: str
    metric: str
    baseline: str
    level: Annotated[float, Field(gt=0, lt=1)]
    judges: list[str] = Field(min_length=1)
    judge_hashes: dict[str, str]
    one_training: list[str]
    w: float | None
    w_low: float | None
    w_high: float | None
    w_p: float | None
    methods: list[JudgedMethod] = Field(min_length=1)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        for row in self.methods:
            if any(name not in found for name in self.judges for found in (row.values, row.ranks)):
                raise ValueError(f"{row.method} has not a number of every judge")
            if row.verdict and any(name not in row.differences for name in self.judges):
                raise ValueError(f"{row.method} has a verdict, but not a difference of every judge")
        if (self.w is None) != (self.w_p is None) or set(self.judge_hashes) != set(self.judges):
            raise ValueError("w and w_p, judges and judge_hashes do not belong together")
        return self


class Definition(_Entry):
    """What the definitions beside a table of scores say about one score."""

    better: str | None = None


class Definitions(_Entry):
    """A JSON file beside a table of scores."""

    definitions: dict[str, Definition] = {}


def read_truths(folder: Path) -> dict[str, dict[str, Any]]:
    """truths.json: truth hash -> what it is the hash of; empty where there is no file.

    RequestError: the file is not what it should be.
    """
    fix = "remove it, and let `fuse2task bench run` write it again"
    found = _read(folder / "truths.json", dict[str, TruthEntry], fix) or {}
    return {truth_hash: truth.model_dump() for truth_hash, truth in found.items()}


def read_entries(folder: Path, name: str) -> list[dict[str, Any]]:
    """The entries of ranking, extremes, judges or published.json; none without the file; raises as `read_truths`."""
    kinds = {"ranking": RankingEntry, "extremes": ExtremeEntry, "judges": JudgesEntry, "published": PublishedEntry}
    kind: Any = kinds[name]
    found = _read(folder / f"{name}.json", list[kind], "run `fuse2task bench report` to rewrite it")
    return [entry.model_dump() for entry in found or []]


def published_sentence(row: Mapping[str, Any]) -> str:
    """One row of published.json: label, method, our number with its spread, the published one, caveat."""
    missing = f"no result here (no {row['metric']} of {row['method']} on {row['dataset']} by {row['judge']})"
    ours = missing if row["ours"] is None else f"{ours_text(row)} {spread_text(row)}".rstrip() + " here"
    return f"{row['label']}, {row['method']}: {ours}, {theirs_text(row)} published. {row['caveat']}"


def ours_text(row: Mapping[str, Any]) -> str:
    """Our number of a row of published.json, in its unit."""
    return "no result" if row["ours"] is None else _in_unit(row, row["ours"], ours=True)


def theirs_text(row: Mapping[str, Any]) -> str:
    """The published number, in its unit."""
    return "none found" if row["value"] is None else _in_unit(row, row["value"])


def spread_text(row: Mapping[str, Any]) -> str:
    """Standard deviation over seeds or interval of our number, in brackets; "" without."""
    if row["deviation"] is not None:
        return f"(± {_in_unit(row, row['deviation'], ours=True)}, {row['seeds']} seeds)"
    if row["ci_low"] is None or row["ci_high"] is None:
        return ""
    return f"({_in_unit(row, row['ci_low'], ours=True)} to {_in_unit(row, row['ci_high'], ours=True)})"


def _in_unit(row: Mapping[str, Any], value: float, ours: bool = False) -> str:
    scale = 100 if ours and row["unit"] == "percent" else 1  # ours are fractions or bits
    return f"{value * scale:.{row['decimals']}f}{SUFFIX[row['unit']]}".replace("-", "−")


def read_directions(folder: Path) -> dict[str, bool]:
    """Name of an image score -> whether higher is better, of all scores whose definitions say so.

    RequestError: a file of definitions is not what it should be.
    """
    fix = "remove it with the table beside it, and let `fuse2task bench run` write both again"
    files = [_read(path, Definitions, fix) for path in sorted((folder / "scores").glob("*/*.json"))]
    return {name: one.better == "higher" for file in files for name, one in file.definitions.items()}


def _read(path: Path, kind: Any, fix: str) -> Any:
    """The file as a `kind`; None where there is none."""
    if not path.is_file():
        return None
    try:
        return TypeAdapter(kind).validate_python(read_json(path, "file of the bench"))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "as a whole"
        reason = f"{place}: {one_line(first['msg'])}"
    raise RequestError(f"{path}: not a readable file of the bench ({reason}); {fix}")
