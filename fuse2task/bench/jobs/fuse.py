"""Fusing one dataset by one method."""

from fuse2task.bench.workspace import Workspace
from fuse2task.runtime.files import read_json, value_hash


def is_fused(bench: Workspace, dataset: str, method: str) -> bool:
    """Whether the fused dataset is finished, and is the one that the recipe means."""
    manifest = bench.fused(dataset, method) / "manifest.json"
    if not manifest.is_file():
        return False
    found, data = read_json(manifest, "manifest"), bench.dataset(dataset)
    truth = data.truths[0].hash if data.truths else ""
    return (
        found["method"]["hash"] == bench.method_hash(dataset, method)
        and found["split"]["hash"] == data.dataset.split_hash
        and found["truth"]["hash"] == truth
        and found["color"] == bench.recipe.color
    )


def fuse(bench: Workspace, dataset: str, method: str) -> None:
    """Write DIR/fused/<dataset>/<method>.

    Raises:
        RequestError: the folder holds the same dataset fused otherwise, or the method cannot fuse a pair.
    """
    from fusion.dataset_writer import write_fused

    write_fused(
        bench.dataset(dataset).dataset, bench.make_method(method), bench.fused(dataset, method), bench.recipe.color
    )


def images_hash(bench: Workspace, dataset: str, method: str) -> str:
    """Hash of a finished fused dataset with every file in it."""
    return value_hash(read_json(bench.fused(dataset, method) / "manifest.json", "manifest"))
