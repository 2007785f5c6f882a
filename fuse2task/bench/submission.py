"""Submissions: the rows of a bench folder with hashes of all files behind them, to be checked and merged by others.

A submission has no images, no predictions and no absolute paths. Its manifest has the sha256 of each of its files, and
of what stays with whoever submits (predictions, manifests of fused images), so that these can be asked for.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field

from fuse2task.bench.jobs import EVALUATED
from fuse2task.bench.recipe import Name
from fuse2task.bench.statistics import holm
from fuse2task.config.recipes import Recipe, checked
from fuse2task.results.entries import read_entries, read_truths
from fuse2task.results.schema import COMPARISONS, KEYS, RESULTS, BenchFolder
from fuse2task.results.tables import ResultsTable, Row, identity, number, read_frame, read_table, write_table
from fuse2task.runtime.errors import RequestError, listing
from fuse2task.runtime.files import (
    file_digest,
    filling,
    read_json,
    refuse_links,
    refuse_overlap,
    write_json,
    write_text,
)
from fuse2task.runtime.packages import versions, versions_hash
from fuse2task.runtime.progress import say
from fuse2task.runtime.reading import one_line, read_yaml
from fuse2task.runtime.records import Record
from fuse2task.tasks import find_task

MANIFEST, MERGED = "submission.json", "submissions.csv"
TABLES = ("results.csv", "comparisons.csv", "truths.json")
FILES = (*TABLES, "recipe.yaml")
AGAIN = "ask for the submission again"
COLUMNS = ("submission", "sha256", "dataset", "method", "method_hash", "trained_through", "rows")
"""Of submissions.csv: which method came from where; sha256 is that of the manifest."""
PAIR = ("a", "b", *KEYS, "metric", "class", "condition")
"""What identifies a comparison."""
Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class Manifest(Recipe):
    """Content of submission.json. versions: of packages, by the `versions_hash` of rows; methods: hash by dataset and
    name; trained_through: judges by method; files, evidence: sha256 by path in the submission, in the bench folder."""

    format: Literal["fuse2task.submission"] = "fuse2task.submission"
    version: Literal[1] = 1
    versions: dict[str, dict[str, str]]
    methods: dict[str, dict[Name, str]]
    trained_through: dict[str, list[str]]
    files: dict[str, Digest]
    evidence: dict[str, Digest]


@dataclass(frozen=True)
class Submission:
    """A submission whose hashes all fit."""

    folder: Path
    manifest: Manifest
    rows: list[dict[str, str]]
    comparisons: list[dict[str, str]]
    truths: dict[str, dict[str, Any]]


def submit(folder: Path, output: Path) -> Path:
    """Pack the bench folder `folder` as the submission `output`; returns the manifest's path.

    Raises:
        RequestError: not a bench folder, a result whose files are not those that were recorded, no result at all, or
            an `output` that holds something else.
    """
    refuse_links(folder)
    refuse_overlap(output, folder)
    at = BenchFolder(Path(folder))
    if not at.recipe.is_file() or not at.table("results").is_file():
        raise RequestError(f"{folder}: not a finished bench folder; run `fuse2task bench run RECIPE -o {folder}` first")
    rows, evidence = _evaluated(at)
    if not rows:
        raise RequestError(f"{at.table('results')}: no finished evaluation; let `fuse2task bench run` finish one")
    methods: dict[str, dict[str, str]] = {}
    for row in rows:
        methods.setdefault(row["dataset"], {})[row["method"]] = row["method_hash"]
    kept = {(row["method"], *_keys(row)) for row in rows}
    pairs = [
        row
        for row in read_table(at.table("comparisons"), COMPARISONS)
        if {(row["a"], *_keys(row)), (row["b"], *_keys(row))} <= kept
    ]
    through = {
        one["method"]: one["trained_through"]
        for entry in read_entries(at.root, "judges")
        for one in entry["methods"]
        if one["trained_through"]
    }
    truths = {key: about for key, about in read_truths(at.root).items() if key in {row["truth_hash"] for row in rows}}
    found = {versions_hash(): versions()}
    with filling(output, {"of": at.root.name}, lambda: _refuse_other(output, MANIFEST)):
        write_table(output / "results.csv", RESULTS, rows)
        write_table(output / "comparisons.csv", COMPARISONS, pairs)
        write_json(output / "truths.json", truths)
        recipe = _without_places(read_yaml(at.recipe, "recipe"))
        write_text(output / "recipe.yaml", yaml.safe_dump(recipe, sort_keys=False, allow_unicode=True))
        manifest = Manifest(
            versions={key: found[key] for key in found if key in {row["versions_hash"] for row in rows}},
            methods=methods,
            trained_through=through,
            files={name: file_digest(output / name) for name in FILES},
            evidence=evidence,
        )
        write_json(output / MANIFEST, manifest.model_dump())
    say(f"{output}: {len(rows)} rows of {len({row['method'] for row in rows})} methods")
    return output / MANIFEST


def _evaluated(at: BenchFolder) -> tuple[list[dict[str, str]], dict[str, str]]:
    """Rows whose evaluation lies in the folder as it was recorded, and the digests of the files behind them.

    Image scores have no record: their newest rows count.
    """
    rows, kept = ResultsTable(at.root).rows(), []
    evidence: dict[str, str] = {}
    newest = {(row["dataset"], row["method"]): row["method_hash"] for row in rows}
    recorded: dict[Path, set[tuple[str, ...]]] = {}
    for row in rows:
        if row["method_hash"] != newest[row["dataset"], row["method"]]:
            continue
        fused = at.fused(row["dataset"], row["method"]) / "manifest.json"
        if find_task(row["task"]).is_judged:
            folder = at.predictions(row["dataset"], row["method"], row["judge"], row["seed"])
            if folder not in recorded:
                record = Record(folder / EVALUATED, {})
                found = record.read().get("identities")
                recorded[folder] = {tuple(about) for about in found.values()} if isinstance(found, dict) else set()
                evidence |= {_place(at, path): file_digest(path) for path in record.files()}
            if identity(row) not in recorded[folder]:
                continue
        if fused.is_file() and _place(at, fused) not in evidence:
            evidence[_place(at, fused)] = file_digest(fused)
        kept.append(row)
    if left := len(rows) - len(kept):
        say(f"{at.table('results')}: {left} rows of other versions of methods, judges or truths are left out")
    return kept, evidence


def _keys(row: Row) -> tuple[str, ...]:
    return tuple(row[key] for key in KEYS)


def _place(at: BenchFolder, path: Path) -> str:
    return path.relative_to(at.root).as_posix()


def _without_places(value: Any) -> Any:
    """A recipe with the last part alone of every path that tells where it lies on this machine."""
    if isinstance(value, dict):
        return {key: _without_places(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_places(item) for item in value]
    if isinstance(value, str) and (value[:1] in ("/", "~", ".") or PureWindowsPath(value).drive):
        return PureWindowsPath(value).name
    return value


def verify(folder: Path) -> Submission:
    """The submission in `folder`, whose files are all those of its manifest.

    RequestError, which names the file: one that is missing, not listed, or of another hash; tables that are not those
    of a bench folder; rows of a method or truth that the submission does not name.
    """
    refuse_links(folder)
    path = Path(folder) / MANIFEST
    manifest = checked(Manifest, read_json(path, "submission"), path, "submission")
    if set(manifest.files) != set(FILES):
        raise RequestError(f"{path}: lists {', '.join(map(one_line, manifest.files))}, not {', '.join(FILES)}; {AGAIN}")
    if others := sorted(other.name for other in path.parent.iterdir() if other.name not in (*FILES, MANIFEST)):
        raise RequestError(f"{path.parent / others[0]}: no file of a submission; remove it, or submit again")
    for name, digest in manifest.files.items():
        if file_digest(path.parent / name) != digest:
            raise RequestError(f"{path.parent / name}: not the file that {MANIFEST} has the hash of; {AGAIN}")
    at = BenchFolder(path.parent)
    table, compared = ResultsTable(at.root), read_frame(at.table("comparisons"), COMPARISONS)
    table.read()  # whether numbers are numbers
    if not compared["p_value"].dropna().between(0, 1).all():
        raise RequestError(f"{at.table('comparisons')}: a p value outside [0, 1]; {AGAIN}")
    rows, truths = table.rows(), read_truths(at.root)
    known = manifest.methods
    if wrong := [row for row in rows if known.get(row["dataset"], {}).get(row["method"]) != row["method_hash"]]:
        name, found = (one_line(wrong[0][key]) for key in ("method", "method_hash"))
        raise RequestError(f"{at.table('results')}: {name} has the hash {found}, in {MANIFEST} another; {AGAIN}")
    if missing := {row["truth_hash"] for row in rows} - {"", *truths}:
        raise RequestError(f"{at.entries('truths')}: says nothing about truth {one_line(min(missing))}; {AGAIN}")
    return Submission(at.root, manifest, rows, read_table(at.table("comparisons"), COMPARISONS), truths)


def merge(folders: Sequence[Path], output: Path) -> Path:
    """Verify submissions, and write results.csv, comparisons.csv, truths.json and submissions.csv of all to `output`.

    A number that several have (everybody runs `average`) is the first one's; how far the others' are off is said.
    Holm's correction is over the methods of all. Returns the path of results.csv.

    RequestError: as `verify`; methods of one name with other images; an `output` that holds something else.
    """
    refuse_overlap(output, *folders)
    submissions = [verify(folder) for folder in folders]
    _refuse_one_name_for_two(submissions)
    rows: dict[tuple[str, ...], dict[str, str]] = {}
    pairs: dict[tuple[str, ...], dict[str, str]] = {}
    truths: dict[str, dict[str, Any]] = {}
    origins: list[Row] = []
    for one in submissions:
        _say_differences(one, rows)
        new = [row for row in one.rows if number(row) not in rows]
        rows |= {number(row): row for row in new}
        for row in one.comparisons:
            pairs.setdefault(tuple(row[key] for key in PAIR), row)
        truths = one.truths | truths
        counts = Counter((row["dataset"], row["method"], row["method_hash"]) for row in new)
        for (dataset, method, method_hash), count in counts.items():
            digest = file_digest(one.folder / MANIFEST)
            through = " ".join(one.manifest.trained_through.get(method, []))
            values = (one.folder.resolve().name, digest, dataset, method, method_hash, through, count)
            origins.append(dict(zip(COLUMNS, values, strict=True)))
            if through:
                say(f"† {method} was trained through {through}")
    at = BenchFolder(Path(output))
    with filling(at.root, {"of": [row["sha256"] for row in origins]}, lambda: _refuse_other(output, MERGED)):
        write_table(at.table("results"), RESULTS, rows.values())
        write_table(at.table("comparisons"), COMPARISONS, _corrected(pairs.values()))
        write_json(at.entries("truths"), truths)
        write_table(at.root / MERGED, COLUMNS, origins)
    say(f"{output}: {len(rows)} rows of {len(submissions)} submissions")
    return at.table("results")


def _corrected(pairs: Iterable[dict[str, str]]) -> list[Row]:
    """Comparisons with Holm's correction over all methods that are compared with the same one in the same number."""
    families: dict[tuple[str, ...], list[dict[str, str]]] = {}
    for row in pairs:
        families.setdefault(tuple(row[key] for key in PAIR[1:]), []).append(row)
    return [
        row | {"p_holm": p}
        for family in families.values()
        for row, p in zip(family, holm([float(row["p_value"] or "nan") for row in family]), strict=True)
    ]


def _say_differences(one: Submission, known: dict[tuple[str, ...], dict[str, str]]) -> None:
    """How far numbers that others have submitted as well are from theirs: processors and versions move them."""
    both = [(row, known[number(row)]) for row in one.rows if number(row) in known]
    off = [(abs(float(row["value"] or "nan") - float(other["value"] or "nan")), row) for row, other in both]
    if differing := [(difference, row) for difference, row in off if difference > 0]:
        worst, row = max(differing, key=lambda item: item[0])
        where = f"{row['metric']} ({row['class']}, {row['condition']}) of {row['method']} by {row['judge']}"
        count = f"{len(differing)} of {len(both)} numbers that others have too differ from theirs"
        say(f"{one.folder}: {count}, at most by {worst:.2g}: {where}")


def _refuse_one_name_for_two(submissions: Sequence[Submission]) -> None:
    owners: dict[tuple[str, ...], tuple[str, Path]] = {}
    problems = []
    for one in submissions:
        for row in one.rows:
            found, first = owners.setdefault((row["method"], *_keys(row)), (row["method_hash"], one.folder))
            if found != row["method_hash"]:
                problems.append(f"{first} and {one.folder}: {row['method']}")
    if problems:
        raise RequestError(
            "methods of one name with other images or weights cannot stand in one table; give one of them another name "
            f"in its recipe, and submit again\n{listing(dict.fromkeys(problems))}"
        )


def _refuse_other(output: Path, mark: str) -> None:
    """RequestError where `output` is neither new or empty nor what the same command has written."""
    if not output.exists() or (output / mark).is_file() or (output / ".fuse2task").is_dir():
        return
    if not output.is_dir() or any(output.iterdir()):
        raise RequestError(f"{output}: holds something else; give a new folder with -o")
