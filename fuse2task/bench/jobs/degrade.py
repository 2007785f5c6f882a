"""Making one degraded copy of a dataset."""

from fuse2task.bench.degraded import write_copy
from fuse2task.bench.truths import record_truths
from fuse2task.bench.workspace import Workspace


def degrade(bench: Workspace, dataset: str) -> None:
    """Write DIR/degraded/<dataset>, and its truth into truths.json.

    Raises:
        RequestError: the folder holds a copy made otherwise.
    """
    degraded = bench.recipe.degraded[dataset]
    write_copy(bench.folder, bench.dataset(degraded.source), degraded, bench.recipe.datasets[degraded.source])
    record_truths(bench, [dataset])
