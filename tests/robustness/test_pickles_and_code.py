"""Nothing in a file of weights or a recipe is run: pickles, architectures, YAML tags."""

import pickle
import zipfile
from pathlib import Path

import pytest
import torch
import weight_files

from detection.weights import load_network
from fuse2task.runtime.checkpoints import read_state_dict
from fuse2task.runtime.errors import RequestError
from fuse2task.runtime.reading import VARIABLE, read_yaml, trust_pickles
from segmentation.encoder_weights import load_encoder_weights


class Harmful:
    def __init__(self, target: Path):
        self.target = target

    def __reduce__(self):
        return Path.touch, (self.target,)


@pytest.fixture
def ran(tmp_path):
    """What a harmful file makes when it is run; a plain unpickler does run it."""
    target = tmp_path / "ran"
    pickle.loads(pickle.dumps(Harmful(target)))
    target.unlink()
    yield target
    assert not target.exists()


@pytest.mark.parametrize("trusted", [False, True])
@pytest.mark.parametrize("zipped", [False, True])
def test_a_harmful_pt_is_never_run_not_even_when_trusted(ran, tmp_path, monkeypatch, trusted, zipped):
    monkeypatch.delenv(VARIABLE, raising=False)
    if trusted:
        monkeypatch.setenv(VARIABLE, "1")
    path = tmp_path / "evil.pt"
    torch.save({"model": Harmful(ran), "ema": None}, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(RequestError, match=r"evil\.pt") as caught:
        load_network(path)
    assert ("--trust-pickle" in str(caught.value)) != trusted


def test_a_bare_pickle_is_not_run(ran, tmp_path, monkeypatch):
    monkeypatch.setenv(VARIABLE, "1")
    for name in ("bare.pt", "bare.pth", "bare.model"):
        (tmp_path / name).write_bytes(pickle.dumps(Harmful(ran)))
    with pytest.raises(RequestError, match=r"bare\.pt"):
        load_network(tmp_path / "bare.pt")
    with pytest.raises(RequestError, match=r"bare\.pth"):
        load_encoder_weights(torch.nn.Linear(2, 2), "resnet18", str(tmp_path / "bare.pth"))
    with pytest.raises(RequestError, match=r"bare\.model"):
        read_state_dict(tmp_path / "bare.model")


def test_the_flag_lets_the_pickle_be_tried_and_warns(tmp_path, monkeypatch, run_cli):
    monkeypatch.setenv(VARIABLE, "")
    (tmp_path / "manifest.json").write_text(
        '{"format": "fuse2task.fused", "version": 1, "truth": {"kind": "none", "classes": []}, '
        '"files": [{"id": "a", "split": "test"}]}'
    )
    torch.save({"model": 1}, tmp_path / "yolo.pt")
    command = ["detection", "predict", "--weights", tmp_path / "yolo.pt", "--data", tmp_path, "--split", "test"]
    command += ["-o", tmp_path / "dets.json"]
    assert run_cli(*command) == 2
    assert "--trust-pickle" in run_cli.error
    assert run_cli(*command, "--trust-pickle") == 2
    assert "warning:" in run_cli.error
    assert "is a pickle" in run_cli.error
    assert "not readable as YOLO detection weights" in run_cli.error
    assert trust_pickles(False) is False


def test_yaml_tags_make_no_objects(ran, tmp_path):
    for tag in (
        "!!python/object/apply:pathlib.Path.touch",
        "!!python/object/new:pathlib.Path",
        "!!python/name:os.system",
    ):
        (tmp_path / "evil.yaml").write_text(f"a: {tag} [{str(ran)!r}]\n")
        with pytest.raises(RequestError, match=r"evil\.yaml"):
            read_yaml(tmp_path / "evil.yaml", "recipe")


LAYERS = {
    "a function": [-1, 1, "check_requirements", ["x"]],
    "a layer that downloads": [-1, 1, "TorchVision", [8, "convnext_tiny", "DEFAULT", True, 2, True]],
    "endless repeats": [-1, 10**9, "Conv", [8, 3, 2]],
    "another size": [-1, 1, "Conv", [10**6, 3, 2]],
}


@pytest.mark.parametrize("what", LAYERS)
def test_the_architecture_of_a_checkpoint_is_checked_before_it_is_built(tmp_path, what):
    tensors, about = weight_files.yolo_state()
    model = {**weight_files.ARCHITECTURE, "backbone": [LAYERS[what], *weight_files.ARCHITECTURE["backbone"][1:]]}
    (tmp_path / "evil.safetensors").write_bytes(weight_files.yolo_file({**about, "model": model}))
    (tmp_path / "good.safetensors").write_bytes(weight_files.yolo())
    with pytest.raises(RequestError, match=r"evil\.safetensors"):
        load_network(tmp_path / "evil.safetensors")
    found = load_network(tmp_path / "good.safetensors")
    assert found.names == ("person", "car")
    assert {name: value.shape for name, value in found.module.state_dict().items()} == {
        name: value.shape for name, value in tensors.items()
    }


def test_a_compressed_archive_of_weights_is_a_bomb(tmp_path):
    path = tmp_path / "bomb.pth"
    torch.save({"a": torch.zeros(3)}, tmp_path / "good.pth")
    with zipfile.ZipFile(tmp_path / "good.pth") as old, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name) + bytes(10**6))
    assert list(read_state_dict(tmp_path / "good.pth")) == ["a"]
    with pytest.raises(RequestError, match=r"bomb\.pth.*bomb"):
        read_state_dict(path)
    torch.save({"a": torch.zeros(1).expand(10**6, 10**6)}, path)
    with pytest.raises(RequestError, match=r"bomb\.pth"):
        read_state_dict(path)
