"""The judge against known boxes of a constant network, and against Ultralytics' own predictor."""

import pickle
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper

from detection.judge import LoadedDetector, load_judge
from detection.weights import load_network, save_network
from fuse2task.runtime.checkpoints import load_checkpoint, save_checkpoint
from fuse2task.runtime.errors import RequestError
from fuse2task.runtime.files import file_digest
from fuse2task.runtime.packages import quiet_ultralytics

NAMES = {0: "person", 1: "dog", 2: "car"}
# Centre x, centre y, width, height in a 64 px square, then the scores of person, dog and car.
BOXES = np.array(
    [
        [32, 32, 20, 10, 0.9, 0.0, 0.0],
        [33, 32, 20, 10, 0.8, 0.0, 0.0],  # suppressed by the first: IoU 0.9
        [32, 32, 20, 10, 0.0, 0.0, 0.5],  # another class: kept
        [32, 32, 20, 10, 0.2, 0.7, 0.0],  # a dog: removed before suppression, not turned into a person
        [60, 32, 20, 10, 0.3, 0.0, 0.0],  # reaches over the border
        [10, 32, 8, 8, 0.0005, 0.0, 0.0],  # below the confidence
        [20, 32, 8, 8, 0.0, 0.0, 0.0],
    ],
    dtype=np.float32,
)


def write_onnx(path: Path, side: int = 64, **metadata: str) -> Path:
    """A network that gives BOXES for any image (plus 0 times its mean, to have an input)."""
    constant = helper.make_tensor("boxes", TensorProto.FLOAT, (1, 7, len(BOXES)), BOXES.T.ravel())
    zero = helper.make_tensor("zero", TensorProto.FLOAT, (), [0.0])
    nodes = [
        helper.make_node("ReduceMean", ["images"], ["mean"], keepdims=0),
        helper.make_node("Mul", ["mean", "zero"], ["nothing"]),
        helper.make_node("Add", ["boxes", "nothing"], ["output0"]),
    ]
    graph = helper.make_graph(
        nodes,
        "constant",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, (1, 3, side, side))],
        [helper.make_tensor_value_info("output0", TensorProto.FLOAT, (1, 7, len(BOXES)))],
        [constant, zero],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    usual = {"names": str(NAMES), "imgsz": f"[{side}, {side}]", "task": "detect"}
    helper.set_model_props(model, {**usual, **metadata})
    onnx.save(model, path)
    return path


def test_boxes_in_pixels_of_the_image(tmp_path: Path) -> None:
    judge = load_judge(write_onnx(tmp_path / "judge.onnx"))
    assert (judge.names, judge.image_size) == (("person", "dog", "car"), 64)
    assert judge.hash == file_digest(tmp_path / "judge.onnx")[:12]
    # 128 x 64 pixels: halved to 64 x 32 and padded by 16 rows above and below.
    boxes = judge.predict(np.zeros((64, 128, 3), np.uint8), [0, 2])
    expected = [
        [44, 22, 84, 42, 0.9, 0],
        [44, 22, 84, 42, 0.5, 2],
        [100, 22, 128, 42, 0.3, 0],
    ]
    np.testing.assert_allclose(boxes, expected, atol=1e-4)


def test_the_network_sees_rgb_in_a_grey_letterbox() -> None:
    seen = []

    def forward(image: torch.Tensor) -> torch.Tensor:
        seen.append(image.clone())
        return torch.zeros(1, 5, 3)

    judge = LoadedDetector(forward, ("a",), 32, "", torch.device("cpu"))
    image = np.zeros((16, 32, 3), np.uint8)
    image[..., 0] = 255  # blue, in BGR
    assert judge.predict(image, [0]).shape == (0, 6)
    assert seen[0].shape == (1, 3, 32, 32)
    assert seen[0][0, :, 16, 16].tolist() == [0, 0, 1]
    assert seen[0][0, :, 0, 0].tolist() == pytest.approx([114 / 255] * 3)


def test_at_most_300_boxes() -> None:
    corners = torch.cartesian_prod(torch.arange(20.0), torch.arange(20.0)) * 3 + 1.5
    raw = torch.cat([corners, torch.full((400, 2), 2.0), torch.linspace(0.1, 0.9, 400)[:, None]], 1).T[None]
    judge = LoadedDetector(lambda image: raw.clone(), ("a",), 64, "", torch.device("cpu"))
    boxes = judge.predict(np.zeros((64, 64, 3), np.uint8), [0])
    assert len(boxes) == 300
    assert boxes[:, 4].tolist() == sorted(raw[0, 4].tolist(), reverse=True)[:300]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random YOLOv8n in an Ultralytics checkpoint, sure enough of itself to give boxes."""
    quiet_ultralytics()
    from ultralytics.nn.tasks import DetectionModel

    torch.manual_seed(5)
    model = DetectionModel("yolov8n.yaml", nc=3, verbose=False)
    for layer in model.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.momentum = 1.0  # one batch sets the statistics, so that signals neither vanish nor tie
    model.train()(torch.rand(4, 3, 96, 96))
    for branch in model.model[-1].cv3:
        branch[-1].bias.data.fill_(-3.0)
    model.names, model.args = NAMES, {}
    path = tmp_path_factory.mktemp("weights") / "random.pt"
    torch.save({"model": model.half(), "train_args": {"imgsz": 96, "task": "detect"}}, path)
    return path


def picture(height: int = 60, width: int = 80) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_pickle_and_safetensors_give_ultralytics_own_boxes(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from ultralytics import YOLO

    judge = load_judge(checkpoint, "cpu")
    assert "pickle" in capsys.readouterr().err
    assert (judge.names, judge.image_size) == (tuple(NAMES.values()), 96)
    boxes = judge.predict(picture(), [0, 2])
    options = {"imgsz": 96, "conf": 0.001, "iou": 0.7, "max_det": 300, "classes": [0, 2], "rect": False}
    reference = YOLO(checkpoint)(picture(), verbose=False, device="cpu", **options)[0].boxes.data.numpy()
    assert 20 < len(boxes) <= 300
    assert set(boxes[:, 5]) == {0, 2}
    np.testing.assert_allclose(boxes, reference, atol=1e-4)

    save_network(tmp_path / "best.safetensors", checkpoint, 96, {"seed": 3})
    capsys.readouterr()
    ours = load_judge(tmp_path / "best.safetensors", "cpu")
    np.testing.assert_array_equal(ours.predict(picture(), [0, 2]), boxes)
    assert capsys.readouterr().err == ""
    tensors, about = load_checkpoint(tmp_path / "best.safetensors", "fuse2task.yolo")
    assert (about["version"], about["recipe"], about["image_size"]) == (1, {"seed": 3}, 96)
    stored = torch.load(checkpoint, weights_only=False)["model"].state_dict()
    assert all(torch.equal(tensors[name], value) for name, value in stored.items())


class Harmful:
    def __init__(self, target: Path):
        self.target = target

    def __reduce__(self):
        return (Path.touch, (self.target,))


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_a_pickle_runs_no_code(tmp_path: Path) -> None:
    torch.save({"model": Harmful(tmp_path / "ran")}, tmp_path / "evil.pt")
    (tmp_path / "bare.pt").write_bytes(pickle.dumps(Harmful(tmp_path / "ran")))
    for name in ("evil.pt", "bare.pt"):
        with pytest.raises(RequestError, match=name):
            load_network(tmp_path / name)
    assert not (tmp_path / "ran").exists()


def test_an_architecture_runs_no_code(checkpoint: Path, tmp_path: Path) -> None:
    save_network(tmp_path / "good.safetensors", checkpoint, 96, {})
    tensors, about = load_checkpoint(tmp_path / "good.safetensors", "fuse2task.yolo")
    model = {**about["model"], "activation": f"__import__('pathlib').Path({str(tmp_path / 'ran')!r}).touch()"}
    save_checkpoint(
        tmp_path / "evil.safetensors",
        tensors,
        "fuse2task.yolo",
        model=model,
        names=about["names"],
        image_size=96,
    )
    with pytest.raises(RequestError, match=r"evil\.safetensors"):
        load_network(tmp_path / "evil.safetensors")
    assert not (tmp_path / "ran").exists()


def test_files_that_are_no_judge(checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "text.onnx").write_text("no")
    (tmp_path / "text.pt").write_text("no")
    write_onnx(tmp_path / "masks.onnx", task="segment")
    write_onnx(tmp_path / "nameless.onnx", names="?")
    save_checkpoint(tmp_path / "other.safetensors", {"a": torch.zeros(1)}, "fuse2task.crossfuse")
    for name, message in (
        ("text.onnx", "not readable as ONNX"),
        ("text.pt", "not readable"),
        ("masks.onnx", "'segment'"),
        ("nameless.onnx", "not a YOLO detector"),
        ("other.safetensors", "fuse2task.crossfuse"),
        ("absent.pt", "nothing is downloaded"),
        ("yolo.engine", "judge weights are"),
    ):
        with pytest.raises(RequestError, match=message) as caught:
            load_judge(tmp_path / name)
        assert name in str(caught.value)
    with pytest.raises(RequestError, match="runs on the CPU"):
        load_judge(write_onnx(tmp_path / "judge.onnx"), "cuda")


def test_onnxruntime_missing_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    with pytest.raises(RequestError, match=r"fuse2task\[onnx\]"):
        load_judge(write_onnx(tmp_path / "judge.onnx"))
