"""truths.json: what the truth hashes of the results mean, and further truths as COCO files."""

from collections.abc import Sequence
from typing import Any

from fuse2task.bench.workspace import Workspace
from fuse2task.data.truth.coco import coco_truth
from fuse2task.results.entries import read_truths
from fuse2task.results.folder import BenchFolder
from fuse2task.results.schema import source_of
from fuse2task.runtime.files import remove_halves, remove_leftovers, write_json


def record_truths(bench: Workspace, datasets: Sequence[str]) -> None:
    """Bring truths.json and DIR/truth up to date for these datasets, as far as their files are there."""
    with BenchFolder(bench.folder).lock("truths"):
        path = bench.folder / "truths.json"
        remove_halves(path)
        remove_leftovers(bench.folder / "truth")
        known: dict[str, Any] = read_truths(bench.folder)
        for name in datasets:
            data = bench.dataset(name)
            for truth in data.truths if data.ready else ():
                # A copy whose truth stayed where it was shares the hash; it is described as the first one's.
                if name == source_of(name) or truth.hash not in known:
                    known[truth.hash] = truth.describe(name)
                if not truth.primary and truth.boxes is not None:
                    content = coco_truth(data.dataset.part(data.part), truth.boxes)
                    write_json(bench.folder / "truth" / name / truth.name / f"{data.part}.json", content)
        write_json(path, known)
