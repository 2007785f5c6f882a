"""The detector as a loss: equal to Ultralytics' own, and to onnxruntime where it was an ONNX file."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from detection.differentiable import GAINS, DetectionLoss, load_onnx_network
from detection.judge import load_judge
from detection.weights import load_network
from fuse2task.data.images import read_visible
from fuse2task.runtime.errors import RequestError

BOXES = torch.tensor([[[0, 0.5, 0.5, 0.5, 0.25], [1, 0.25, 0.7, 0.2, 0.5]], [[-1.0] * 5] * 2])


def test_with_all_classes_the_loss_is_ultralytics_own(detector_file):
    from ultralytics.utils.loss import v8DetectionLoss

    loss = DetectionLoss(detector_file, ("car", "tree", "person")).train()
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    own = load_network(detector_file).module.eval()
    own.args = SimpleNamespace(**GAINS)
    own.model[-1].train()
    batch = {"batch_idx": torch.zeros(2), "cls": BOXES[0, :, :1], "bboxes": BOXES[0, :, 1:]}
    expected, _ = v8DetectionLoss(own)(own(images), batch)
    torch.testing.assert_close(loss(images, BOXES), expected.sum() / 2)


def test_other_classes_are_left_out_and_the_detector_stays_frozen(detector_file):
    loss = DetectionLoss(detector_file, ("person", "car")).train()
    whole = load_network(detector_file).module.eval()
    whole.model[-1].train()
    images = torch.rand(1, 3, 64, 64, requires_grad=True)
    kept, full = (module(images)["scores"] for module in (loss.module, whole))
    torch.testing.assert_close(kept, full[:, [2, 0]])
    loss(images, BOXES[:1]).backward()
    assert images.grad is not None
    assert images.grad.abs().sum() > 0
    assert all(parameter.grad is None for parameter in loss.parameters())
    assert not loss.module.model[0].training


def test_a_class_that_the_detector_lacks_is_named(detector_file):
    with pytest.raises(RequestError, match=r"does not know bus; it has car, tree, person"):
        DetectionLoss(detector_file, ("car", "bus"))


def test_rubbish_is_no_onnx_detector(tmp_path):
    (tmp_path / "x.onnx").write_bytes(b"not onnx")
    with pytest.raises(RequestError, match=r"x\.onnx: not a YOLO detector"):
        load_onnx_network(tmp_path / "x.onnx")


def test_dequantised_weights_find_what_onnxruntime_finds(shared_path):
    file, image = shared_path("weights") / "yolov8n_int8.onnx", shared_path("data", "MSRS", "test", "vi")
    network = load_onnx_network(file)
    judge = load_judge(file)
    assert network.names == judge.names
    pixels = read_visible(sorted(image.glob("*D.png"))[0])
    square = np.full((640, 640, 3), 114, np.uint8)
    square[80:560] = pixels
    tensor = torch.from_numpy(square.transpose(2, 0, 1).copy())[None].float() / 255
    with torch.no_grad():
        found, expected = network.module(tensor)[0][0], judge._forward(tensor)[0]
    sure = expected[4:].max(dim=0).values > 0.4
    assert sure.sum() > 3
    assert torch.equal(found[4:, sure].argmax(dim=0), expected[4:, sure].argmax(dim=0))
    assert (found[4:, sure] - expected[4:, sure]).abs().mean() < 0.1  # activations of the file are quantised as well
    assert (found[:4, sure] - expected[:4, sure]).abs().mean() < 4  # pixels
