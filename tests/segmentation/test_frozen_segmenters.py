"""Frozen segmenters: files of other libraries, class maps for masks, masks that others predicted."""

from pathlib import Path

import numpy as np
import pytest
import torch

from fuse2task.data.class_maps import load_class_map
from fuse2task.data.classes import MSRS
from fuse2task.data.images import read_mask, write_image
from fuse2task.judges import SegmentationJudge
from fuse2task.runtime.errors import Fuse2TaskError, RequestError
from fuse2task.runtime.reading import VARIABLE
from segmentation.evaluation import class_names, scores
from segmentation.frozen import MappedSegmenter, SegmenterFile, map_masks, masks_left_out, match_masks


class Reddest(torch.nn.Module):
    """Scores of two classes at half the size: how dark, how red a pixel is after normalisation by 0 and 1."""

    def forward(self, image):
        red = torch.nn.functional.avg_pool2d(image[:, :1], 2)
        return torch.cat([1 - red, red], 1)


@pytest.fixture
def names(tmp_path):
    path = tmp_path / "names.txt"
    path.write_text("dark\nred\n")
    return str(path)


@pytest.fixture
def trusted(monkeypatch):
    monkeypatch.setenv(VARIABLE, "1")


def picture():
    """40 x 24 pixels whose right half is red."""
    image = np.zeros((24, 40, 3), np.uint8)
    image[:, 20:, 0] = 255
    return image


def saved(folder: Path, kind: str) -> Path:
    module, example, path = Reddest().eval(), torch.zeros(1, 3, 24, 40), folder / f"net{kind}"
    if kind == ".ts":
        torch.jit.trace(module, example).save(str(path))
    elif kind == ".pt2":
        torch.export.save(torch.export.export(module, (example,)), path)
    else:
        pytest.importorskip("onnxscript")
        torch.onnx.export(module, (example,), str(path), dynamo=True, verbose=False)
    return path


@pytest.mark.slow
@pytest.mark.parametrize("kind", [".onnx", ".ts", ".pt2"])
def test_files_of_other_libraries(tmp_path, names, trusted, kind):
    path = saved(tmp_path, kind)
    judge = SegmenterFile(path, names, mean=(0, 0, 0), std=(1, 1, 1), device="cpu")
    mask = judge.segment(picture()).argmax(axis=0)
    assert mask[:, :19].max() == 0
    assert mask[:, 21:].min() == 1
    resized = SegmenterFile(path, names, size=(40, 24), mean=(0, 0, 0), std=(1, 1, 1), device="cpu")
    assert resized.segment(np.repeat(picture(), 2, axis=0)).shape == (2, 48, 40)
    assert resized.image_size == "40x24"
    assert resized.digest != judge.digest
    with pytest.raises(RequestError, match=r"of shape \(1, 2, 12, 20\) .*of the 9 classes"):
        SegmenterFile(path, "msrs", device="cpu").segment(picture())


def test_programs_need_trust(tmp_path, names, monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    path = tmp_path / "net.ts"
    torch.jit.trace(Reddest(), torch.zeros(1, 3, 4, 4)).save(str(path))
    with pytest.raises(RequestError, match="trust-pickle"):
        SegmenterFile(path, names)
    (tmp_path / "net.bin").write_text("x")
    with pytest.raises(RequestError, match=r"net\.bin: segmenters are \.onnx"):
        SegmenterFile(tmp_path / "net.bin", names)
    with pytest.raises(RequestError, match="no such weights file"):
        SegmenterFile(tmp_path / "none.onnx", names)


@pytest.mark.slow
def test_a_folder_of_smp(tmp_path):
    import segmentation_models_pytorch as smp

    torch.manual_seed(0)
    model = smp.Unet(
        "mobilenet_v2", encoder_weights=None, encoder_depth=3, decoder_channels=(16, 8, 8), classes=9
    ).eval()
    model.save_pretrained(str(tmp_path / "unet"))
    judge = SegmenterFile(tmp_path / "unet", "msrs", device="cpu")
    image = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    found = judge.segment(image)
    with torch.inference_mode():
        mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
        expected = model(((torch.from_numpy(image) / 255 - mean) / std).permute(2, 0, 1)[None])[0]
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-4)
    assert judge.segment(image[:50, :70]).shape == (9, 50, 70)


@pytest.mark.parametrize(("kind", "judge"), [("cityscapes", "cityscapes"), ("voc", "voc"), ("ade20k", "ade20k")])
def test_shipped_maps_onto_msrs(kind, judge):
    known = class_names(judge)
    table, left_out = match_masks(known, MSRS, load_class_map(f"msrs-{kind}"))
    assert left_out == ("curve", "car_stop", "guardrail", "color_cone", "bump")
    assert {MSRS[table[known.index(name)]] for name in ("person", "car", "bicycle")} == {"person", "car", "bike"}
    assert [name for name, index in zip(known, table, strict=True) if MSRS[index] == "person"] in (
        ["person"], ["person", "rider"]
    )  # fmt: skip
    assert (table == 0).sum() >= len(known) - 4, "all else is background"


@pytest.mark.parametrize(
    ("class_map", "message"),
    [
        (None, "give a class_map"),
        ({"tree": "red"}, "tree: not among the judge's"),
        ({"a": "green"}, "green: not among the truth's"),
        ({"a": "red"}, "maps b to nothing, and the truth has no class background"),
    ],
)
def test_maps_that_do_not_fit_are_refused(class_map, message):
    with pytest.raises(RequestError, match=message):
        match_masks(("a", "b"), ("red", "blue"), class_map)


def test_background_is_left_out_only_by_name():
    truth = ("background", "car", "person")
    assert masks_left_out(truth, {"car": "car"}) == ("person",)
    assert masks_left_out(truth, {"car": "car", "background": None}) == ("background", "person")
    with pytest.raises(RequestError, match="maps tree to nothing"):
        match_masks(("car", "tree"), truth, {"car": "car", "background": None})


class Fixed(SegmentationJudge):
    classes = ("a", "b")

    def __init__(self, answer):
        self.answer = answer

    def identity(self):
        return {}

    def segment(self, image):
        return self.answer


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (np.full((2, 4, 5), np.nan), "not finite"),
        (np.zeros((5, 4), int), r"shape \(5, 4\)"),
        (np.full((4, 5), 2), "index 2"),
        (np.zeros((4, 5)), "float64"),
    ],
)
def test_answers_that_make_no_sense_are_named(answer, message):
    mapped = MappedSegmenter(Fixed(answer), ("a", "b"), np.arange(2, dtype=np.uint8), ())
    with pytest.raises(Fuse2TaskError, match=message):
        mapped(np.zeros((4, 5, 3), np.uint8))


def test_masks_of_others_are_mapped_and_checked(tmp_path):
    given, out = tmp_path / "given", tmp_path / "out"
    write_image(given / "p1.png", np.array([[0, 1, 2]], np.uint8))
    table = np.array([0, 3, 3], np.uint8)
    map_masks(given, {"p1": (3, 1)}, table, out)
    assert read_mask(out / "p1.png").tolist() == [[0, 3, 3]]
    with pytest.raises(RequestError, match="p2: no mask"):
        map_masks(given, {"p1": (3, 1), "p2": (3, 1)}, table, out)
    with pytest.raises(RequestError, match="3x1, but the image is 1x3"):
        map_masks(given, {"p1": (1, 3)}, table, out)
    with pytest.raises(RequestError, match="value 2 is not among 2 classes"):
        map_masks(given, {"p1": (3, 1)}, table[:2], out)


def test_the_definition_names_classes_that_the_judge_lacks():
    matrix = np.array([[6, 2, 0], [1, 3, 0], [0, 0, 0]])
    found = scores(matrix, ("background", "car", "bump"), ("bump",))
    assert found["per_class"]["bump"]["IoU"] is None
    assert found["mIoU"] == pytest.approx((6 / 9 + 3 / 6) / 2)
    assert "does not know bump" in found["definition"]
    assert "does not know" not in scores(matrix, ("background", "car", "bump"))["definition"]


def test_a_plug_in_and_a_map_on_the_command_line(make_fused, tmp_path, monkeypatch):
    from importlib.metadata import EntryPoint

    from fuse2task.cli.segmentation import predict

    class Levels(Fixed):
        """Class 1 where it is brighter than `level`."""

        classes = ("dark", "bright")

        def __init__(self, level: int):
            self.level = level

        def segment(self, image):
            return (image.mean(axis=2) > self.level).astype(int)

    entry = EntryPoint("levels", "m:x", "fuse2task.judges")
    monkeypatch.setattr(EntryPoint, "load", lambda _: Levels)
    monkeypatch.setattr("fuse2task.runtime.packages.entry_points", lambda **_: [entry])
    (tmp_path / "map.yaml").write_text("bright: person\n")
    request = {"data": make_fused(test=2), "split": "test", "plugin": "levels", "class_map": str(tmp_path / "map.yaml")}
    predict(**request, output=tmp_path / "p", option=["level=70"])
    masks = [read_mask(path) for path in sorted((tmp_path / "p").glob("*.png"))]
    assert len(masks) == 2
    assert set(np.unique(masks)) == {0, 2}
    with pytest.raises(RequestError, match="levels needs level"):
        predict(**request, output=tmp_path / "q")
    with pytest.raises(RequestError, match="--option level: give KEY=VALUE"):
        predict(**request, output=tmp_path / "q", option=["level"])
    with pytest.raises(RequestError, match="give a file of weights, or --plugin"):
        predict(**request | {"plugin": None}, output=tmp_path / "q")


def test_a_trained_checkpoint_takes_a_map_as_well():
    from segmentation.model import Segmenter
    from segmentation.samples import Normalisation

    class Channels(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = torch.nn.Parameter(torch.ones(1))
            self.encoder = torch.nn.Module()
            self.encoder.output_stride = 2

        def forward(self, x):
            return x * self.scale

    trained = Segmenter(Channels().eval(), ("r", "g", "b"), Normalisation((0.0,) * 3, (1.0,) * 3))
    table, left_out = match_masks(trained.classes, ("background", "sky"), {"b": "sky"})
    image = np.zeros((4, 6, 3), np.uint8)
    image[..., 0], image[:2, :, 2] = 100, 200
    mask = MappedSegmenter(trained, ("background", "sky"), table, left_out)(image)
    assert mask[:2].min() == 1
    assert mask[2:].max() == 0
