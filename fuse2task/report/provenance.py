"""Provenance and limits: versions and settings of methods, keys of comparability, opened test splits, warnings."""

from collections.abc import Sequence

import pandas as pd

from fuse2task.data.fused import open_fused
from fuse2task.report.contents import Contents
from fuse2task.report.tables import Cell, Table, name_cell, text_cell
from fuse2task.results.schema import KEYS, source_of
from fuse2task.results.tables import Group
from fuse2task.runtime.errors import Fuse2TaskError
from fuse2task.runtime.packages import versions, versions_hash
from fuse2task.tasks import find_task
from fusion.weights import shipped_weights

SPOKEN = {
    "split_hash": "split", "truth_hash": "truth", "image_size": "image size", "color": "colour mode",
    "protocol": "protocol", "judge": "judge", "judge_hash": "hash of the judge",
    "recipe_hash": "hash of the evaluation recipe",
    "source_hash": "hash of the source images",
    "resampled": "what intervals resample",
}  # fmt: skip


def opening_sentences(contents: Contents) -> list[str]:
    """How often each test split was evaluated; a row of openings.csv is one recipe that did."""
    sentences = []
    sources = contents.openings["dataset"].map(source_of)  # degraded copies show the same images again
    for (dataset, split), rows in contents.openings.groupby([sources, "split"], sort=False):
        recipes, evaluations = rows["run"].nunique(), int(rows["evaluations"].fillna(0).sum())
        sentences.append(
            f"The {split} split of {dataset} was opened by {recipes} recipe{'s' * (recipes > 1)} "
            f"({evaluations} evaluation{'s' * (evaluations != 1)} in all)."
        )
    if sentences or not any(find_task(group.keys["task"]).is_judged for group in contents.groups):
        return sentences  # image scores use no truth
    return ["No test split was opened: all numbers come from folds of training splits."]


def refusals(groups: list[Group]) -> list[str]:
    """One sentence for each dataset and task whose rows cannot share a table: which keys differ, and their values."""
    families: dict[tuple[str, str], list[Group]] = {}
    for group in groups:
        families.setdefault((group.keys["dataset"], group.keys["task"]), []).append(group)
    sentences = []
    for (dataset, task), members in families.items():
        if len(members) == 1 or not find_task(task).is_judged:  # profiles of scores are separate tables anyway
            continue
        reasons = []
        for key, spoken in SPOKEN.items():
            shown = [(group.truth if key == "truth_hash" else group.keys[key]) or "none" for group in members]
            values, judges = dict.fromkeys(shown), [(one.keys["judge"], one.keys["protocol"]) for one in members]
            # Where judge and protocol determine a hash, naming these is enough.
            told = key in ("judge_hash", "recipe_hash") and len({*zip(judges, shown, strict=True)}) == len({*judges})
            if len(values) > 1 and not told:
                reasons.append(f"{spoken} ({', '.join(values)})")
        count = f"{dataset} {task}: {len(members)} tables"
        sentences.append(f"{count}, not ranked together because they differ in {'; '.join(reasons)}.")
    return sentences


def warnings(groups: list[Group], results: pd.DataFrame) -> list[str]:
    """What does not forbid a comparison but weakens it."""
    sentences = []
    for group in groups:
        values = sorted(set(group.results["versions_hash"]))
        if len(values) > 1:
            sentences.append(f"{group.title}: rows were made with different package versions ({', '.join(values)}).")
    for (dataset, method), rows in results.groupby(["dataset", "method"], sort=False):
        hashes = list(dict.fromkeys(rows["method_hash"]))
        if len(hashes) > 1:
            listed = f"{method} in {len(hashes)} versions (hashes {', '.join(hashes)})"
            sentences.append(f"{dataset}: results.csv has {listed}; each table shows the newest.")
    return sentences


def keys_table(groups: Sequence[Group]) -> Table:
    """The keys that must agree for rows to be compared; one row a table."""
    columns = [*KEYS, "runs", "package versions"]
    rows = []
    for number, group in enumerate(groups, 1):
        values = [group.keys[key] for key in KEYS]
        values[KEYS.index("truth_hash")] = " ".join(dict.fromkeys([group.truth, group.keys["truth_hash"]]))
        values += [", ".join(dict.fromkeys(group.results[name])) for name in ("run", "versions_hash")]
        rows.append((name_cell(str(number)), *(text_cell(value) for value in values)))
    headings = ("table", *(name.replace("_", " ") for name in columns))
    return Table("keys", "Keys of every table: rows are compared only where all agree", headings, tuple(rows))


def method_tables(contents: Contents) -> list[Table]:
    """Methods with their hashes, settings and images; the packages behind the numbers where they are known here."""
    rows: list[tuple[Cell, ...]] = []
    fused_with: dict[str, None] = {}
    found = contents.results[["dataset", "method", "method_hash", "color"]].drop_duplicates()
    for dataset, method, method_hash, color in found.itertuples(index=False):
        *about, packages = _manifest(contents, dataset, method)
        fused_with |= {packages: None} if packages else {}
        rows.append((name_cell(method), *map(text_cell, (dataset, method_hash, color, *about))))
    headings = ("method", "data set", "hash", "colour", "settings", "images")
    notes = tuple(f"Fused with {packages}." for packages in fused_with)
    tables = [Table("methods", "Methods", headings, tuple(rows), notes)]
    if versions_hash() in set(contents.results["versions_hash"]):
        cells = tuple((name_cell(name), text_cell(version)) for name, version in versions().items())
        tables.append(Table("versions", f"Package versions {versions_hash()}", ("package", "version"), cells))
    return tables


def _manifest(contents: Contents, dataset: str, method: str) -> tuple[str, str, str]:
    try:
        manifest = open_fused(contents.folder / "fused" / dataset / method).manifest
    except Fuse2TaskError:
        return "", "", ""
    sections = (manifest.get(key) for key in ("method", "split", "source", "versions"))
    about, split, source, packages = (section if isinstance(section, dict) else {} for section in sections)
    own = {key: str(value) for key, value in about.items() if key not in ("name", "hash")}
    if "checkpoint" in own:  # the hash of the weights, and their name where they come with the package
        names = [one.name for one in shipped_weights() if one.card["tensor_hash"] == own["checkpoint"]]
        own["checkpoint"] = " ".join([own["checkpoint"][:12], *(f"({name})" for name in names)])
    settings = ", ".join(f"{key} {value}" for key, value in own.items())
    images = f"{len(manifest['files'])} of {source.get('layout', '?')}, split {split.get('name', '?')}"
    return settings, images, ", ".join(f"{name} {value}" for name, value in packages.items())
