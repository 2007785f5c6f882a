import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from fuse2task.data.classes import class_colours
from fuse2task.data.fused import open_fused
from fuse2task.runtime.checkpoints import save_checkpoint
from fuse2task.runtime.errors import RequestError
from segmentation.model import KIND, Segmenter, build_model, load_segmenter, save_segmenter
from segmentation.prediction import overlay, predict, sheet
from segmentation.samples import Normalisation

UNIT = Normalisation((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
CLASSES = ("background", "car", "person")


class Pixelwise(torch.nn.Module):
    """Class 1 where red leads, 2 where blue does; refuses what is not a multiple of its stride."""

    def __init__(self, stride=32):
        super().__init__()
        self.encoder = torch.nn.Module()
        self.encoder.output_stride = stride
        self.zero = torch.nn.Parameter(torch.zeros(()))

    def forward(self, x):
        assert x.shape[2] % self.encoder.output_stride == 0
        assert x.shape[3] % self.encoder.output_stride == 0
        return torch.stack([x[:, 1], x[:, 0], x[:, 2]], dim=1) + self.zero


@given(st.integers(1, 70), st.integers(1, 70), st.sampled_from([8, 16, 32]))
@settings(max_examples=40)
def test_padding_moves_nothing(height, width, stride):
    image = np.random.default_rng(height * 100 + width).permutation(256**2 * 3)[: height * width * 3]
    image = (image % 256).astype(np.uint8).reshape(height, width, 3)
    mask = Segmenter(Pixelwise(stride), CLASSES, UNIT)(image)
    assert mask.dtype == np.uint8
    expected = np.stack([image[..., 1], image[..., 0], image[..., 2]]).argmax(0)
    np.testing.assert_array_equal(mask, expected)


@pytest.mark.parametrize(
    ("architecture", "encoder"),
    [
        ("Unet", "resnet18"), ("deeplabv3plus", "resnet18"), ("segformer", "mit_b0"), ("upernet", "tu-convnext_atto"),
    ],
)  # fmt: skip
def test_smp_networks_take_any_size(architecture, encoder):
    segmenter = Segmenter(build_model(architecture, encoder, 3).eval(), CLASSES, UNIT)
    assert segmenter(np.zeros((50, 71, 3), np.uint8)).shape == (50, 71)


@pytest.mark.parametrize(
    ("architecture", "encoder", "told"),
    [
        ("unett", "resnet18", "deeplabv3plus"), ("unet", "resnet19", "tu-resnet19"),
        ("unet", "tu-nothing", "nothing"), ("dpt", "resnet18", "dpt cannot be built"),
    ],
)  # fmt: skip
def test_unknown_networks_are_named(architecture, encoder, told):
    with pytest.raises(RequestError, match=told):
        build_model(architecture, encoder, 3)


def test_checkpoint_predicts_the_same_and_others_are_refused(tmp_path, make_recipe):
    recipe = make_recipe(tmp_path)
    torch.manual_seed(0)
    model = build_model(recipe.architecture, recipe.encoder, 3).eval()
    segmenter = Segmenter(model, CLASSES, Normalisation((0.1, 0.2, 0.3), (0.4, 0.5, 0.6)))
    path = tmp_path / "best.safetensors"
    digest = save_segmenter(path, segmenter, recipe)
    loaded = load_segmenter(path, torch.device("cpu"))
    image = np.random.default_rng(0).integers(0, 256, (40, 33, 3)).astype(np.uint8)
    np.testing.assert_array_equal(loaded(image), segmenter(image))
    assert (loaded.hash, loaded.classes, loaded.normalisation) == (digest, CLASSES, segmenter.normalisation)

    about = {"recipe": recipe.model_dump(mode="json"), "classes": CLASSES, "mean": [0] * 3, "std": [1] * 3}
    tensors = {"weight": torch.zeros(2)}
    wrong = {
        "fuse2task.crossfuse": ("fuse2task.crossfuse", about),
        "another network": (KIND, about),
        "incomplete": (KIND, {"recipe": about["recipe"]}),
        "its recipe is not": (KIND, about | {"recipe": {"epochs": 3}}),
    }
    for told, (kind, metadata) in wrong.items():
        save_checkpoint(tmp_path / "wrong.safetensors", tensors, kind, **metadata)
        with pytest.raises(RequestError, match=told):
            load_segmenter(tmp_path / "wrong.safetensors", torch.device("cpu"))


def test_prediction_writes_a_mask_per_image(make_fused, tmp_path):
    data = open_fused(make_fused(test=3, train=1))
    segmenter = Segmenter(Pixelwise(), CLASSES, UNIT)
    assert predict(segmenter, data, "test", tmp_path / "p", tmp_path / "o") == 3
    assert sorted(path.stem for path in (tmp_path / "p").iterdir()) == data.ids("test")
    for name, path in zip(data.ids("test"), data.images("test"), strict=True):
        expected = segmenter(np.asarray(Image.open(path)))
        np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "p" / f"{name}.png")), expected)
        assert Image.open(tmp_path / "o" / f"{name}.png").size[0] == 3 * 64
    with pytest.raises(RequestError, match="no split 'val'"):
        predict(segmenter, data, "val", tmp_path / "p")
    with pytest.raises(RequestError, match="its classes are background, car, person"):
        predict(Segmenter(Pixelwise(), ("a", "b", "c"), UNIT), data, "test", tmp_path / "p")
    with pytest.raises(RequestError, match="would replace the masks"):
        predict(segmenter, data, "test", tmp_path / "p", tmp_path / "p")


def test_overlay_shows_classes_and_leaves_the_ground_bare():
    image = np.full((4, 300, 3), 100, np.uint8)
    mask = np.zeros((4, 300), np.uint8)
    mask[0, 0], mask[0, 1] = 1, 255
    drawn = overlay(image, mask, class_colours(CLASSES))
    assert (drawn[1:] == 100).all()
    np.testing.assert_array_equal(drawn[0, 1], np.rint(0.3 * 100 + 0.7 * np.array([255] * 3)))
    assert (drawn[0, 0] != 100).any()
    both = sheet(image, mask, CLASSES, mask)
    assert both.shape[1] == 900
    assert both.shape[0] > 4
    assert class_colours(CLASSES)[1] in {tuple(pixel) for pixel in both[4:].reshape(-1, 3).tolist()}
    assert len(set(class_colours([str(i) for i in range(40)]))) == 40
