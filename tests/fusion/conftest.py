"""Reproducible weights in the public release's three files, and the folder of its outputs for them."""

import importlib.util

import numpy as np
import pytest
import torch


@pytest.fixture(scope="session")
def golden(shared_path):
    return shared_path("golden", "crossfuse")


@pytest.fixture(scope="session")
def release_files(golden, tmp_path_factory):
    """`release_files(seed)`: the three `.model` files with the release's names and reproducible weights."""
    spec = importlib.util.spec_from_file_location("reference_state", golden / "reference_state.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def make(seed: int):
        folder = tmp_path_factory.mktemp(f"release{seed}")
        for part in ("auto_ir", "auto_vi", "fusion"):
            weights = {name: torch.from_numpy(np.array(value)) for name, value in module.state(part, seed).items()}
            torch.save(weights, folder / f"{part}.model")
        return [folder / f"{part}.model" for part in ("auto_ir", "auto_vi", "fusion")]

    return make
