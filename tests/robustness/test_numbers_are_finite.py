"""NaN and infinity stop work with a cause: in weights, in what networks give, in recipes, in scores."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

import fusion.quality.scorer as scorer
from detection.judge import LoadedDetector
from fuse2task.config.recipes import load_recipe
from fuse2task.data.loading import load_pairs
from fuse2task.runtime.checkpoints import load_checkpoint, save_checkpoint, tensor_hash
from fuse2task.runtime.errors import Fuse2TaskError, RequestError
from fuse2task.training.run_folder import load_state, save_state
from fusion.quality.profiles import PROFILES
from fusion.recipe import FusionRecipe
from segmentation.model import Segmenter
from segmentation.samples import Normalisation

BAD = st.sampled_from([float("nan"), float("inf"), -float("inf")])


@settings(max_examples=50)
@given(BAD, st.integers(0, 11))
def test_weights_that_are_not_finite_are_neither_written_nor_read(tmp_path_factory, value, place):
    folder = tmp_path_factory.mktemp("weights")
    good = {"a": torch.ones(3, 4), "b": torch.zeros(2, dtype=torch.int64)}
    bad = {**good, "a": good["a"].reshape(-1).index_fill(0, torch.tensor(place), value).reshape(3, 4)}
    save_checkpoint(folder / "good.safetensors", good, "kind")
    load_checkpoint(folder / "good.safetensors", "kind")
    with pytest.raises(Fuse2TaskError, match=r"bad\.safetensors: not written.*first: a"):
        save_checkpoint(folder / "bad.safetensors", bad, "kind")
    save_file(bad, folder / "bad.safetensors", {"format": "kind", "tensor_hash": tensor_hash(bad), "version": "1"})
    with pytest.raises(RequestError, match=r"bad\.safetensors: .*NaN or infinite"):
        load_checkpoint(folder / "bad.safetensors", "kind")


def test_metadata_and_states_are_under_a_hash_too(tmp_path):
    save_checkpoint(tmp_path / "a.safetensors", {"a": torch.ones(3)}, "kind", mean=0.456)
    data = (tmp_path / "a.safetensors").read_bytes()
    (tmp_path / "a.safetensors").write_bytes(data.replace(b"0.456", b"0.457"))
    with pytest.raises(RequestError, match=r"a\.safetensors: the metadata do not match"):
        load_checkpoint(tmp_path / "a.safetensors", "kind")
    module = torch.nn.Linear(2, 2)
    optimizer = torch.optim.SGD(module.parameters())
    save_state(tmp_path, {"network": module}, optimizer, {"epoch": 1})
    assert load_state(tmp_path, {"network": module}, optimizer) == {"epoch": 1}
    state = (tmp_path / "state.safetensors").read_bytes()
    counters = b'{\\"epoch\\": %d}'
    assert counters % 1 in state
    for altered in (state[:-1] + bytes([state[-1] ^ 1]), state.replace(counters % 1, counters % 2)):
        (tmp_path / "state.safetensors").write_bytes(altered)
        with pytest.raises(RequestError, match=r"state\.safetensors: cannot be resumed from"):
            load_state(tmp_path, {"network": module}, optimizer)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_judge_whose_network_overflows_stops(value):
    def forward(image: torch.Tensor) -> torch.Tensor:
        return torch.full((1, 6, 4), value if image.max() > 0.5 else 0.0)

    judge = LoadedDetector(forward, ("a", "b"), 32, "", torch.device("cpu"))
    assert len(judge.predict(np.zeros((32, 32, 3), np.uint8), [0, 1])) == 0
    with pytest.raises(Fuse2TaskError, match="not finite"):
        judge.predict(np.full((32, 32, 3), 255, np.uint8), [0, 1])


def test_a_segmenter_that_overflows_stops():
    class Network(torch.nn.Module):
        encoder = torch.nn.Identity()

        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.ones(1))

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return image.log() * self.weight

    segmenter = Segmenter(Network(), ("a", "b", "c"), Normalisation((0, 0, 0), (1, 1, 1)))
    assert segmenter(np.full((32, 32, 3), 9, np.uint8)).shape == (32, 32)
    with pytest.raises(Fuse2TaskError, match="not finite"):
        segmenter(np.zeros((32, 32, 3), np.uint8))


@pytest.mark.parametrize(
    "override", ["stage1.lr=.nan", "stage1.lr=.inf", "save_every=.inf", "stage2.gradient_weight=.nan"]
)
def test_recipes_hold_finite_numbers(override):
    with pytest.raises(RequestError, match=override.partition("=")[0].rpartition(".")[2]):
        load_recipe(FusionRecipe, "fusion/crossfuse-demo", [override])


@pytest.mark.slow
@pytest.mark.parametrize("profile", list(PROFILES))
def test_scores_of_rich_images_are_numbers_and_of_flat_ones_never_infinite(profile):
    rows, columns = np.mgrid[0:192, 0:200]  # large enough for five scales
    rng = np.random.default_rng(3)
    rich = [np.clip(rows + rng.normal(0, 30, rows.shape), 0, 255).astype(np.uint8) for _ in range(3)]
    values = scorer.score(*rich, profile)
    assert [name for name, value in values.items() if not np.isfinite(value)] == []
    flat, step = np.zeros((192, 200), np.uint8), np.where(columns < 100, 0, 255).astype(np.uint8)
    for images in ((flat, flat, flat), (flat, step, flat), (step, step, step), (rich[0], rich[0], rich[0])):
        assert not [name for name, value in scorer.score(*images, profile).items() if np.isinf(value)]


def test_an_infinite_score_names_score_and_image(folder_dataset, tmp_path, monkeypatch):
    root = folder_dataset(2, size=(64, 48))
    pairs = load_pairs(root, "folder")
    monkeypatch.setattr(scorer, "score_batch", lambda *_: {"EN": torch.tensor([1.0, float("inf")])})
    with pytest.raises(Fuse2TaskError, match=r"mine, image p1: score EN is infinite"):
        scorer.score_folders(pairs, {"mine": root / "vi"}, "standard", tmp_path / "scores.csv", ["EN"], "cpu")
    assert not (tmp_path / "scores.csv").exists()
