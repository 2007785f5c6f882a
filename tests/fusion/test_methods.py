"""What each method makes of a pair."""

import cv2
import numpy as np
import pytest

from fuse2task.data.dataset import Pair
from fuse2task.data.images import luma, with_chroma_of, write_image
from fuse2task.data.loading import load_dataset
from fuse2task.runtime.errors import RequestError
from fusion.checkpoint import save_crossfuse
from fusion.methods import METHODS, make_method
from fusion.network.crossfuse import CrossFuseNetwork


@pytest.fixture
def images():
    rng = np.random.default_rng(1)
    return rng.integers(0, 256, (32, 40), dtype=np.uint8), rng.integers(0, 256, (32, 40, 3), dtype=np.uint8)


@pytest.fixture
def pair(tmp_path):
    return Pair("a", "test", tmp_path / "ir.png", tmp_path / "vi.png", (40, 32))


def test_visible_is_untouched_and_infrared_is_grey(images, pair):
    infrared, visible = images
    np.testing.assert_array_equal(make_method("visible").fuse(pair, infrared, visible).rgb, visible)
    fused = make_method("infrared").fuse(pair, infrared, visible)
    assert all((fused.rgb[..., channel] == infrared).all() for channel in range(3))


def test_average_and_maximum_are_rounded_luma(images, pair):
    infrared, visible = images
    y = luma(visible)
    mean = make_method("average").fuse(pair, infrared, visible).gray
    np.testing.assert_array_equal(mean, np.rint((infrared.astype(float) + y) / 2))
    np.testing.assert_array_equal(make_method("maximum").fuse(pair, infrared, visible).gray, np.maximum(infrared, y))


def test_colour_is_the_visible_images_chroma_in_bt601(images, pair):
    infrared, visible = images
    fused = make_method("average").fuse(pair, infrared, visible)
    weights = np.array([0.299, 0.587, 0.114])
    assert np.abs(luma(visible) - visible @ weights).max() <= 0.51
    soft = cv2.GaussianBlur(visible, (0, 0), 3) // 2 + 64  # away from the gamut's edge colours come back
    chroma = cv2.cvtColor(with_chroma_of(luma(soft), soft), cv2.COLOR_RGB2YCrCb)[..., 1:].astype(int)
    assert np.abs(chroma - cv2.cvtColor(soft, cv2.COLOR_RGB2YCrCb)[..., 1:]).max() <= 1
    assert fused.rgb.shape == visible.shape


def test_grey_visible_gives_a_grey_result(images, pair):
    infrared, visible = images
    fused = make_method("average").fuse(pair, infrared, luma(visible))
    assert all((fused.rgb[..., channel] == fused.gray).all() for channel in range(3))


@pytest.mark.slow
def test_crossfuse_fuses_colour_pairs_by_the_floor_of_its_output(images, pair, tmp_path):
    import torch

    torch.manual_seed(0)
    network = CrossFuseNetwork().eval()
    save_crossfuse(tmp_path / "w.safetensors", network, None)
    method = make_method("crossfuse", tmp_path / "w.safetensors", "cpu", "fp32")  # auto is bf16 on some processors
    infrared, visible = images
    with torch.no_grad():
        expected = network(*(torch.from_numpy(x).float()[None, None] for x in (infrared, luma(visible))))
    found = method.fuse(pair, infrared, visible)
    assert np.abs(found.gray - np.floor(expected[0, 0].numpy())).max() <= 1
    assert found.gray.max() == 254
    with pytest.raises(RequestError, match="16x16"):
        method.check([Pair("tiny", "test", pair.infrared, pair.visible, (15, 40))])


def test_every_name_is_known_and_wrong_ones_are_refused(tmp_path):
    for name in METHODS[1:]:
        assert make_method(name).identity()["name"] == name
    with pytest.raises(RequestError, match="there are crossfuse"):
        make_method("mean")
    with pytest.raises(RequestError, match=r"w\.safetensors: no such checkpoint"):
        make_method("crossfuse", tmp_path / "w.safetensors")
    with pytest.raises(RequestError, match="no weights"):
        make_method("average", tmp_path / "w.safetensors")
    with pytest.raises(RequestError, match="name of its own"):
        make_method(f"visible={tmp_path}")


def test_folder_of_fused_images_is_matched_strictly(folder_dataset, tmp_path):
    dataset = load_dataset(folder_dataset(3), "folder")
    for pair in dataset.pairs[:2]:
        write_image(tmp_path / "theirs" / f"{pair.id}.png", np.zeros((32, 40), np.uint8))
    with pytest.raises(RequestError, match=r"1 of 3 pairs have no fused image"):
        make_method(f"theirs={tmp_path / 'theirs'}").check(dataset.pairs)
    write_image(tmp_path / "theirs" / "p2.png", np.zeros((30, 40), np.uint8))
    with pytest.raises(RequestError, match="40x30, the pair is 40x32"):
        make_method(f"theirs={tmp_path / 'theirs'}").check(dataset.pairs)
    with pytest.raises(RequestError, match="no such folder"):
        make_method(f"theirs={tmp_path / 'nowhere'}")


def test_folder_method_uses_colour_as_it_is_and_colours_grey(folder_dataset, tmp_path, images):
    dataset = load_dataset(folder_dataset(1), "folder")
    infrared, visible = images
    write_image(tmp_path / "rgb" / "p0.png", visible)
    write_image(tmp_path / "grey" / "p0.png", infrared)
    fused = make_method(f"theirs={tmp_path / 'rgb'}").fuse(dataset.pairs[0], infrared, visible)
    np.testing.assert_array_equal(fused.rgb, visible)
    fused = make_method(f"theirs={tmp_path / 'grey'}").fuse(dataset.pairs[0], infrared, visible)
    np.testing.assert_array_equal(fused.gray, infrared)
    np.testing.assert_array_equal(fused.rgb, with_chroma_of(infrared, visible))
