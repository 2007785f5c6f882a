"""Training samples: fixed by their key, inside the images, held-out pairs kept apart."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fuse2task.data.images import luma, read_infrared, read_visible
from fuse2task.data.loading import load_dataset
from fuse2task.runtime.errors import RequestError
from fusion.recipe import FusionRecipe, Jitter, Sampling, Source, Stage1, Stage2
from fusion.training.samples import Draw, KeptTensors, PairSamples, draws_of_epoch, gather, jittered
from fusion.training.stages import learning_rate


@pytest.fixture
def pairs(folder_dataset):
    return load_dataset(folder_dataset(5), "folder").pairs


@pytest.fixture
def make(pairs, tmp_path):
    """`make(**sampling)`: samples of `pairs`, with a memory of their own."""
    return lambda **sampling: PairSamples(pairs, Sampling(**sampling), KeptTensors(tmp_path / "run", "pairs"))


def recipe(root, held_out=2, **changes) -> FusionRecipe:
    stage = {"epochs": 1, "batch": 2, "lr": 1e-3}
    source = Source(root=root, layout="folder", parts=("test",))
    return FusionRecipe(data=(source,), held_out=held_out, stage1=Stage1(**stage), stage2=Stage2(**stage), **changes)


def test_crops_are_cut_at_native_scale_from_both_images_alike(pairs, make):
    samples = make(size=16, flips=False)
    infrared, visible, number = samples[Draw(3, ("key", 1))]
    assert infrared.shape == visible.shape == (1, 16, 16)
    assert number == 3
    whole = [read_infrared(pairs[3].infrared), luma(read_visible(pairs[3].visible))]
    places = [
        (y, x)
        for y in range(32 - 15)
        for x in range(40 - 15)
        if all(np.array_equal(w[y : y + 16, x : x + 16], c[0]) for w, c in zip(whole, (infrared, visible), strict=True))
    ]
    assert len(places) == 1


def test_the_same_key_gives_the_same_sample_and_others_differ(make):
    samples, again = (make(size=16) for _ in range(2))
    first = [samples[Draw(1, ("a", i))][0] for i in range(8)]
    second = [again[Draw(1, ("a", i))][0] for i in reversed(range(8))][::-1]
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
    assert len({a.tobytes() for a in first}) > 4


def test_small_images_are_grown_and_resizing_squashes(make):
    assert make(size=64)[Draw(0, ("k",))][0].shape == (1, 64, 64)
    assert make(size=24, mode="resize")[Draw(0, None)][1].shape == (1, 24, 24)


def test_jitter_inverts_infrared_alone(make):
    plain, inverted = make(size=16), make(size=16, jitter={"invert": 1.0})
    for number in range(4):
        (infrared, visible, _), (changed, same, _) = (part[Draw(number, ("key", number))] for part in (plain, inverted))
        assert np.array_equal(changed, 255 - infrared)
        assert np.array_equal(same, visible)


@given(st.integers(0, 2**31), st.floats(1, 4), st.floats(0, 100))
@settings(max_examples=30, deadline=None)
def test_jitter_is_one_line_of_grey_levels_for_each_camera(seed, gain, offset):
    rng = np.random.default_rng(seed)
    planes = rng.integers(0, 256, (4, 12, 12), dtype=np.uint8)
    changed = jittered(planes, Jitter(gain=gain, offset=offset), rng)
    assert np.array_equal(changed[2:], planes[2:])
    for before, after in zip(planes[:2].astype(float), changed[:2].astype(float), strict=True):
        inside = (after > 0) & (after < 255)
        if inside.sum() < 3:
            continue
        slope, start = np.polyfit(before[inside], after[inside], 1)
        assert np.abs(slope * before[inside] + start - after[inside]).max() < 1.1  # both ends are rounded
        assert 1 / gain - 0.02 <= slope <= gain + 0.02
        assert abs(slope * before.mean() + start - before.mean()) <= offset + 1


def test_zoom_takes_larger_and_smaller_crops_of_both_images(pairs, make):
    ramps = np.stack([np.arange(64, dtype=np.uint8).repeat(64).reshape(64, 64).T * 3] * 2)
    samples = make(size=32, flips=False, jitter={"zoom": 2.0})
    samples._decoded = lambda pair: torch.from_numpy(ramps)
    spans = []
    for number in range(40):
        infrared, visible, _ = samples[Draw(0, ("key", number))]
        assert infrared.shape == (1, 32, 32)
        assert np.array_equal(infrared, visible)
        spans.append((int(infrared[0, 0, -1]) - int(infrared[0, 0, 0])) / 3 / 31)  # pixels of the image a pixel
    assert min(spans) < 0.65
    assert max(spans) > 1.5
    assert min(spans) >= 0.48
    assert max(spans) <= 2.02


def test_samples_that_never_change_are_told(make):
    fixed = make(size=24, mode="resize", flips=False)
    assert fixed.sampling.is_fixed
    assert np.array_equal(fixed[Draw(0, ("a",))][1], fixed[Draw(0, ("b",))][1])
    for changing in ({"mode": "crop", "flips": False}, {"mode": "resize", "flips": True}):
        assert not Sampling(size=24, **changing).is_fixed


@settings(max_examples=30)
@given(pairs=st.integers(1, 5), crops=st.integers(1, 4), epoch=st.integers(0, 3))
def test_of_few_crops_each_is_drawn_once_and_is_the_same_in_every_epoch(pairs, crops, epoch):
    draws = draws_of_epoch(pairs, pairs * crops, (0, "s", epoch), crops)
    first = draws_of_epoch(pairs, pairs * crops, (0, "other", 0), crops)
    assert sorted(draws, key=str) == sorted(first, key=str)
    assert {(draw.number, draw.crop) for draw in draws} == {(n, c) for n in range(pairs) for c in range(crops)}
    assert len({draw.key for draw in draws}) == pairs * crops


def test_crops_are_numbered_through_all_pairs(make):
    samples = make(size=16, crops=3)
    assert samples.sampling.is_fixed
    draws = draws_of_epoch(5, 15, (0, "s", 1), samples.crops)
    assert sorted(samples[draw][-1] for draw in draws) == list(range(15))


@settings(max_examples=30)
@given(pairs=st.integers(1, 9), count=st.integers(1, 30), start=st.integers(0, 30))
def test_an_epoch_resumed_anywhere_draws_the_same(pairs, count, start):
    start = min(start, count)
    whole, again, begun = (draws_of_epoch(pairs, total, (0, "s", 1)) for total in (count, count, start))
    assert again[start:] == whole[start:]
    assert begun == whole[:start]
    assert len(whole) == count
    numbers = [draw.number for draw in whole]
    for begin in range(0, count - pairs + 1, pairs):
        assert sorted(numbers[begin : begin + pairs]) == list(range(pairs))


def test_held_out_pairs_are_not_trained_on(folder_dataset):
    root = folder_dataset(6)
    training, held_out = gather(recipe(root))
    assert len(training) == 4
    assert not {p.id for p in training} & {p.id for p in held_out}
    with pytest.raises(RequestError, match="leave none"):
        gather(recipe(root, held_out=6))
    with pytest.raises(RequestError, match="no split 'train'"):
        gather(recipe(root).model_copy(update={"data": (Source(root=root, layout="folder"),)}))


def test_schedules():
    release = Stage1(epochs=4, batch=2, lr=1e-4, schedule="release")
    assert [learning_rate(release, step, 10) for step in (0, 19, 20, 39)] == pytest.approx([1e-4, 1e-4, 1e-5, 1e-5])
    cosine = Stage1(epochs=2, batch=2, lr=1.0, warmup=0.1)
    rates = [learning_rate(cosine, step, 50) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == rates[10] == pytest.approx(1)
    assert rates[-1] < 0.001
    expected = torch.optim.lr_scheduler.CosineAnnealingLR(torch.optim.SGD([torch.zeros(1)], lr=1.0), 90)
    assert rates[55] == pytest.approx(expected.base_lrs[0] * 0.5 * (1 + np.cos(np.pi * 45 / 90)))
