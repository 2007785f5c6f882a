import numpy as np
import pytest
import torch
from PIL import Image

from fuse2task.data.fused import open_fused
from fuse2task.runtime.errors import RequestError
from fuse2task.training.loop import batches
from segmentation.recipe import Augmentation, Loss
from segmentation.samples import Augment, Normalisation, SegmentationSamples, draws_of_epoch, labelled, survey
from segmentation.training import CrossEntropyDice


def put(path, pixels):
    Image.fromarray(np.asarray(pixels, np.uint8)).save(path)


def test_statistics_equal_numpy(make_fused):
    pairs = labelled(open_fused(make_fused(train=3)), "train")
    stack = np.stack([np.asarray(Image.open(pair.image)) for pair in pairs]) / 255
    found = survey(pairs, 3).normalisation()
    np.testing.assert_allclose(found.mean, stack.mean((0, 1, 2)), rtol=1e-12)
    np.testing.assert_allclose(found.std, stack.std((0, 1, 2)), rtol=1e-9)
    normalised = np.stack([found(pair.read()[0]).numpy() for pair in pairs])
    assert normalised.dtype == np.float32
    np.testing.assert_allclose(normalised.mean((0, 2, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(normalised.std((0, 2, 3)), 1, atol=1e-5)


def test_median_frequency_weights_by_hand(make_fused):
    root = make_fused(train=2, size=10)
    first, second = np.zeros((10, 10)), np.zeros((10, 10))
    first[0, :5] = 1  # class 1: 5 of this image's 90 counted pixels
    first[1] = 255
    put(root / "masks/train/train000.png", first)
    put(root / "masks/train/train001.png", second)
    found = survey(labelled(open_fused(root), "train"), 3)
    background, car = (85 + 100) / 190, 5 / 90
    median = (background + car) / 2
    assert found.median_frequency_weights() == pytest.approx([median / background, median / car, 1])


@pytest.mark.parametrize(
    ("mask", "told"), [(np.full((10, 10), 3), r"values \[3\]"), (np.zeros((10, 9)), "but its image is")]
)
def test_bad_masks_are_found_before_training(make_fused, mask, told):
    root = make_fused(train=2, size=10)
    put(root / "masks/train/train001.png", mask)
    with pytest.raises(RequestError, match=f"train001.png.*{told}"):
        survey(labelled(open_fused(root), "train"), 3)


def test_loss_by_hand_with_ignored_pixels():
    logits = torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(0))
    mask = torch.randint(0, 3, (2, 4, 5), generator=torch.Generator().manual_seed(1))
    mask[0, :2] = 255
    weights = [0.5, 2.0, 1.0]
    found = CrossEntropyDice(Loss(ce=1.0, dice=3.0), weights)(logits, mask)
    counted = mask.numpy() != 255
    chance = torch.softmax(logits.double(), 1).numpy().transpose(0, 2, 3, 1)[counted]
    index = mask.numpy()[counted]
    weight = np.array(weights)[index]
    ce = (-np.log(chance[np.arange(len(index)), index]) * weight).sum() / weight.sum()
    hot = np.eye(3)[index]
    dice = (1 - 2 * (chance * hot).sum(0) / (chance.sum(0) + hot.sum(0))).mean()
    assert found["ce"].item() == pytest.approx(ce, rel=1e-5)
    assert found["dice"].item() == pytest.approx(dice, rel=1e-5)
    assert found["loss"].item() == pytest.approx(ce + 3 * dice, rel=1e-5)


def test_loss_of_nothing_but_ignored_pixels_is_zero_with_no_gradient():
    logits = torch.randn(2, 3, 4, 5, requires_grad=True)
    found = CrossEntropyDice(Loss(ce=1.0, dice=3.0), [0.5, 2.0, 1.0])(logits, torch.full((2, 4, 5), 255))
    found["loss"].backward()
    assert {value.item() for value in found.values()} == {0.0}
    assert torch.equal(logits.grad, torch.zeros_like(logits))


def test_loss_is_float32_even_from_bf16():
    loss = CrossEntropyDice(Loss())(torch.zeros(1, 2, 2, 2, dtype=torch.bfloat16), torch.zeros(1, 2, 2).long())
    assert loss["loss"].dtype == torch.float32


def test_epochs_draw_every_image_once_in_other_orders(make_fused):
    pairs = labelled(open_fused(make_fused(train=11)), "train")
    augment = Augment(Augmentation(), (64, 64), (0, 0, 0))
    samples = SegmentationSamples(pairs, augment, Normalisation((0, 0, 0), (1, 1, 1)), 0)
    first, second = (draws_of_epoch(len(pairs), 0, epoch) for epoch in (0, 1))
    assert sorted(first) == [(0, number) for number in range(11)]
    assert [number for _, number in first] != [number for _, number in second]
    image, mask, number = samples[first[3]]
    assert (image.shape, image.dtype, mask.shape, mask.dtype) == ((3, 64, 64), np.float32, (64, 64), np.int64)
    assert number == first[3][1]


def test_threads_draw_what_one_thread_draws(make_fused):
    pairs = labelled(open_fused(make_fused(train=6)), "train")

    def drawn(threads):
        augment = Augment(Augmentation(), (64, 64), (0, 0, 0))
        samples = SegmentationSamples(pairs, augment, Normalisation((0, 0, 0), (1, 1, 1)), 0)
        draws = [draw for epoch in range(3) for draw in draws_of_epoch(6, 0, epoch)]
        return list(batches(samples, draws, 3, threads, pinned=False))

    for one, four in zip(drawn(1), drawn(4), strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one, four, strict=True))
