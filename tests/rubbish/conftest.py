"""The generators of bad input live beside their benchmark."""

from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def formats(monkeypatch):
    """Module `rubbish_formats`."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    import rubbish_formats

    return rubbish_formats


@pytest.fixture
def fused_dataset(folder_dataset, tmp_path):
    """A fused dataset of four pairs with boxes, written by the method `average`; all in the split test."""
    from fuse2task.data.loading import load_dataset
    from fusion.dataset_writer import write_fused
    from fusion.methods import make_method

    root = folder_dataset(boxes=True)
    write_fused(load_dataset(root, "folder", boxes=root / "boxes"), make_method("average"), tmp_path / "fused")
    return tmp_path / "fused"
