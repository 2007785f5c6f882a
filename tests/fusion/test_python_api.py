"""CrossFuse from Python: as the command line fuses, in folders as on the hub, and what it refuses."""

import numpy as np
import pytest
import torch

import fusion
from fuse2task.data.dataset import Pair
from fuse2task.runtime.errors import Fuse2TaskError, RequestError
from fusion.checkpoint import save_crossfuse
from fusion.methods import make_method
from fusion.network.crossfuse import CrossFuseNetwork

RNG = np.random.default_rng(0)
INFRARED = RNG.integers(0, 256, (24, 40), dtype=np.uint8)
VISIBLE = RNG.integers(0, 256, (24, 40, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("api") / "weights.safetensors"
    save_crossfuse(path, CrossFuseNetwork(), {})
    return path


@pytest.fixture(scope="module")
def crossfuse(weights):
    return fusion.CrossFuse(weights, device="cpu")


@pytest.mark.slow
def test_the_same_pixels_as_the_method(crossfuse, weights, tmp_path):
    pair = Pair("a", "test", tmp_path, tmp_path, (40, 24))
    expected = make_method("crossfuse", weights, "cpu").fuse(pair, INFRARED, VISIBLE)
    assert np.array_equal(crossfuse.fuse(INFRARED, VISIBLE), expected.rgb)
    assert np.array_equal(crossfuse.fuse(INFRARED, VISIBLE, "gray"), expected.gray)


@pytest.mark.parametrize(
    ("infrared", "visible", "message"),
    [
        (INFRARED.astype(float), VISIBLE, "images are uint8"),
        (VISIBLE, VISIBLE, r"infrared is \(H, W\)"),
        (INFRARED, VISIBLE[:, :-1], "a pair has one size"),
        (INFRARED[:8], VISIBLE[:8], "at least 16x16"),
    ],
)
def test_what_is_no_pair_is_refused(crossfuse, infrared, visible, message):
    with pytest.raises(RequestError, match=message):
        crossfuse.fuse(infrared, visible)


@pytest.mark.slow
def test_a_saved_folder_comes_back_without_network(crossfuse, tmp_path, monkeypatch):
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("a connection"))
    crossfuse.save_pretrained(tmp_path / "model")
    again = fusion.CrossFuse.from_pretrained(tmp_path / "model", device="cpu")
    assert np.array_equal(again.fuse(INFRARED, VISIBLE), crossfuse.fuse(INFRARED, VISIBLE))
    assert "library_name: fuse2task" in (tmp_path / "model" / "README.md").read_text()


def test_what_is_not_there_is_named(tmp_path, monkeypatch):
    import huggingface_hub

    def unreachable(*_, **__):
        raise OSError("no network\nand more")

    with pytest.raises(RequestError, match=r"no crossfuse\.safetensors in it"):
        fusion.CrossFuse.from_pretrained(tmp_path)
    with pytest.raises(RequestError, match="owner/model"):
        fusion.CrossFuse.from_pretrained(tmp_path / "nowhere")
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", unreachable)
    with pytest.raises(RequestError, match=r"someone/model: .*hub \(no network\)"):
        fusion.CrossFuse.from_pretrained("someone/model")


@pytest.mark.slow
def test_upload_sends_weights_and_card(crossfuse, monkeypatch):
    import huggingface_hub

    sent = {}

    class Hub:
        def __init__(self, token=None):
            sent["token"] = token

        def create_repo(self, name, private, exist_ok):
            return f"page of {name}"

        def upload_folder(self, repo_id, folder_path, commit_message):
            from pathlib import Path

            sent["files"] = sorted(path.name for path in Path(folder_path).iterdir())
            sent["loads"] = fusion.CrossFuse.from_pretrained(folder_path, device="cpu")

    monkeypatch.setattr(huggingface_hub, "HfApi", Hub)
    assert crossfuse.push_to_hub("me/model", token="t") == "page of me/model"
    assert sent["files"] == ["README.md", "crossfuse.safetensors"]
    monkeypatch.setattr(Hub, "upload_folder", lambda *_, **__: 1 / 0)
    with pytest.raises(Fuse2TaskError, match="me/model: the hub did not take"):
        crossfuse.push_to_hub("me/model")
