"""Where methods and their images come from, as the manifests of the fused datasets say."""

from typing import Any

from fuse2task.data.fused import open_fused
from fuse2task.report.contents import Contents
from fuse2task.report.tables import Cell, Table, name_cell
from fuse2task.runtime.errors import Fuse2TaskError
from fuse2task.runtime.packages import versions, versions_hash
from fusion.weights import shipped_weights


def method_rows(contents: Contents) -> list[Table]:
    """Methods with their hashes, settings and images; the packages behind the numbers where they are known here."""
    rows: list[tuple[Cell, ...]] = []
    fused_with: dict[str, None] = {}
    found = contents.results[["dataset", "method", "method_hash", "color"]].drop_duplicates()
    for dataset, method, method_hash, color in found.itertuples(index=False):
        settings, images, packages = _manifest(contents, dataset, method)
        fused_with |= {packages: None} if packages else {}
        texts = (dataset, method_hash, color, settings, images)
        rows.append((name_cell(method), *(Cell(text or "–", text) for text in texts)))
    headings = ("method", "data set", "hash", "colour", "settings", "images")
    notes = tuple(f"Fused with {packages}." for packages in fused_with)
    tables = [Table("methods", "Methods", headings, tuple(rows), notes)]
    if versions_hash() in set(contents.results["versions_hash"]):
        packages_rows = tuple((name_cell(name), Cell(version, version)) for name, version in versions().items())
        caption = f"Package versions {versions_hash()}"
        tables.append(Table("versions", caption, ("package", "version"), packages_rows))
    return tables


def _manifest(contents: Contents, dataset: str, method: str) -> tuple[str, str, str]:
    try:
        manifest = open_fused(contents.folder / "fused" / dataset / method).manifest
    except Fuse2TaskError:
        return "", "", ""
    about, split, source, packages = (_section(manifest, key) for key in ("method", "split", "source", "versions"))
    own = {key: str(value) for key, value in about.items() if key not in ("name", "hash")}
    settings = ", ".join(_checkpoint(value) if key == "checkpoint" else f"{key} {value}" for key, value in own.items())
    images = f"{len(manifest['files'])} of {source.get('layout', '?')}, split {split.get('name', '?')}"
    return settings, images, ", ".join(f"{name} {value}" for name, value in packages.items())


def _section(manifest: dict[str, Any], key: str) -> dict[str, Any]:
    value = manifest.get(key)
    return value if isinstance(value, dict) else {}


def _checkpoint(tensor_hash: str) -> str:
    """Hash of the weights, and their name where they come with the package."""
    names = [weights.name for weights in shipped_weights() if weights.card["tensor_hash"] == tensor_hash]
    return " ".join(["checkpoint", tensor_hash[:12], *(f"({name})" for name in names)])
