"""Tone mapping of 16-bit infrared and repair of defective pixels."""

import cv2
import numpy as np
import pytest
from pydantic import ValidationError

from fuse2task.rig.radiometry import (
    BadPixels,
    Radiometry,
    ToneMap,
    bad_pixels,
    find_bad_pixels,
    histogram,
    read_set,
    repaired,
    set_histogram,
)
from fuse2task.runtime.errors import RequestError

NONE = np.zeros((0, 2), int)


def scene(seed, size=(64, 48), low=29000, high=31000, noise=5):
    """A smooth scene in centikelvin with sharp warm objects, (H, W) uint16."""
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(low, high, (6, 8)).astype(np.float32)
    pixels = cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC)
    for _ in range(4):
        x, y = rng.integers(0, size[0] - 8), rng.integers(0, size[1] - 8)
        pixels[y : y + 8, x : x + 3] += 800
    return np.rint(pixels + rng.normal(0, noise, pixels.shape)).clip(0, 65535).astype(np.uint16)


def mapped(section, *frames):
    return ToneMap.of(section, sum(histogram(frame) for frame in frames))


def test_percentiles_are_those_of_the_whole_set():
    frames = [scene(seed) for seed in range(3)]
    tone = mapped(Radiometry(percentiles=(1, 99)), *frames)
    everything = np.sort(np.concatenate([frame.ravel() for frame in frames]))
    expected = np.percentile(everything, [1, 99], method="inverted_cdf")
    assert [tone.low, tone.high] == expected.tolist()
    grey = tone.apply(frames[1])
    share = (frames[1].astype(float) - tone.low) / (tone.high - tone.low)
    assert np.array_equal(grey, np.rint(np.clip(share, 0, 1) * 255).astype(np.uint8))


def test_a_range_in_kelvin_is_one_of_counts():
    tone = mapped(Radiometry(unit="centikelvin", map="range", range=(290, 300)), scene(0))
    assert tone.apply(np.array([[28000, 29000, 29500, 30000, 40000]], np.uint16)).tolist() == [[0, 0, 128, 255, 255]]
    assert tone.as_json()["kelvin"] == [290, 300]
    assert tone.as_json()["counts"] == [29000, 30000]
    counts = mapped(Radiometry(map="range", range=(7000, 8000)), scene(0)).as_json()
    assert counts == {"unit": "counts", "map": "range", "counts": [7000, 8000]}


def test_a_plateau_of_all_pixels_is_equalisation_and_a_tiny_one_is_linear_over_counts_that_there_are():
    pixels = np.repeat(np.array([10, 20, 30, 40, 50], np.uint16), [1, 1, 96, 1, 1])[None]
    full = mapped(Radiometry(map="plateau", plateau=1), pixels).apply(pixels)
    levels = [int(full[0, at]) for at in (0, 1, 2, 98, 99)]
    assert levels == [0, 3, 5, 252, 255]  # counts below of 99: 0, 1, 2, 98, 99
    tiny = mapped(Radiometry(map="plateau", plateau=0.001), pixels).apply(pixels)
    assert [int(tiny[0, at]) for at in (0, 1, 2, 98, 99)] == [0, 64, 128, 191, 255]


@pytest.mark.parametrize("kind", ["percentiles", "plateau", "clahe"])
def test_a_fixed_scene_does_not_flicker_when_something_hot_enters(kind):
    """What a map per frame does to a street when a lorry drives in, a map of the set does not."""
    still = scene(1, noise=0)
    frames = []
    for number in range(8):
        noisy = still + np.random.default_rng(number).normal(0, 4, still.shape)
        if number % 2:
            noisy[30:, 40:] = 36000
        frames.append(np.rint(noisy).astype(np.uint16))
    section = Radiometry(map=kind, tiles=2)
    levels = {}
    for per_frame in (False, True):
        chosen = section.model_copy(update={"per_frame": per_frame})
        tone = ToneMap(chosen) if per_frame else mapped(chosen, *frames)
        part = np.stack([tone.apply(frame)[:20, :30] for frame in frames]).astype(float)
        levels[per_frame] = np.abs(np.diff(part.mean(axis=(1, 2)))).max()
    assert levels[False] < 1
    assert levels[True] > 10 * levels[False]


def test_an_image_of_one_value_and_wrong_ranges_are_refused():
    with pytest.raises(RequestError, match="all pixels are 7"):
        mapped(Radiometry(), np.full((4, 4), 7, np.uint16))
    for values in ({"map": "range"}, {"range": (1, 2)}, {"map": "range", "range": (3, 2)}, {"percentiles": (50, 50)}):
        with pytest.raises(ValidationError):
            Radiometry(**values)


def defective(seed=0, frames=16):
    """Frames of moving scenes, what they were before, and the defects that were put in: x, y."""
    rng = np.random.default_rng(seed)
    places = [(0, 0), (63, 47), (5, 20), (6, 20), (40, 7), (30, 0)]  # corners, two that touch, an edge
    places += [(int(x), int(y)) for x, y in zip(rng.choice(28, 6, False) * 2 + 8, rng.choice(9, 6, False) * 2 + 24,
                                                strict=True)]  # fmt: skip
    clean = [scene(seed + number) for number in range(frames)]
    damaged = [frame.copy() for frame in clean]
    for number, (x, y) in enumerate(places):
        for frame in damaged:
            kind = number % 3
            frame[y, x] = (min(int(frame[y, x]) + 3000, 65535), 0, 30100)[kind]
    return clean, damaged, sorted(places, key=lambda place: place[::-1])


@pytest.mark.parametrize("seed", range(3))
def test_defects_are_found_one_by_one_and_nothing_else_is(seed):
    clean, damaged, places = defective(100 * seed)
    assert [tuple(place) for place in find_bad_pixels(iter(damaged)).tolist()] == places
    assert find_bad_pixels(iter(clean)).tolist() == []


def test_parts_of_the_scene_that_are_always_clipped_are_no_defects():
    frames = [scene(number).clip(29000, 65535) for number in range(10)]
    for number, frame in enumerate(frames):
        frame[:2, 10:20] = 29000  # a strip of sky, its lower row not always
        frame[1, 10:20] += number % 3
    assert find_bad_pixels(iter(frames)).tolist() == []


def test_repaired_pixels_are_near_what_was_there_and_all_others_are_unchanged():
    clean, damaged, places = defective()
    bad = np.array(places)
    fixed = repaired(damaged[0], bad)
    at = bad[:, 1], bad[:, 0]
    others = np.ones(fixed.shape, bool)
    others[at] = False
    assert np.array_equal(fixed[others], clean[0][others])
    wrong = np.abs(fixed[at].astype(int) - clean[0][at])
    assert np.median(wrong) < 60
    assert np.median(np.abs(damaged[0][at].astype(int) - clean[0][at])) > 500


def test_too_few_frames_and_a_scene_of_points_are_refused():
    _, damaged, _ = defective()
    with pytest.raises(RequestError, match="7 frames are too few"):
        find_bad_pixels(iter(damaged[:7]))
    starry = np.full((40, 40), 29000, np.uint16)
    starry[::5, ::5] = 32000
    noise = np.random.default_rng(0).integers(0, 9, (8, 40, 40), np.uint16)
    with pytest.raises(RequestError, match=r"4.0 % of the infrared pixels look defective"):
        find_bad_pixels(iter(starry + noise))


def test_a_map_of_defects_is_read_and_checked(tmp_path):
    (tmp_path / "map.csv").write_text("x,y\n3,1\n0,0\n")
    section = BadPixels(map=str(tmp_path / "map.csv"))
    assert bad_pixels([], section, (4, 4)).tolist() == [[0, 0], [3, 1]]
    with pytest.raises(RequestError, match=r"pixel \(3, 1\) is outside"):
        bad_pixels([], section, (3, 3))
    (tmp_path / "map.csv").write_text("x,y\n3,a\n")
    with pytest.raises(RequestError, match="whole numbers"):
        bad_pixels([], section, (4, 4))


def test_a_set_is_read_once_and_its_depth_is_one(tmp_path):
    paths = []
    for number in range(3):
        paths.append(tmp_path / f"{number}.{('png', 'tif', 'pgm')[number]}")
        cv2.imwrite(str(paths[-1]), scene(number))
    assert np.array_equal(set_histogram(paths, NONE), sum(histogram(scene(number)) for number in range(3)))
    cv2.imwrite(str(tmp_path / "8.png"), np.zeros((48, 64), np.uint8))
    with pytest.raises(RequestError, match=r"8.png: 8 bits, but .*0.png has 16"):
        list(read_set([*paths, tmp_path / "8.png"], "test"))
    (tmp_path / "short.pgm").write_bytes(b"P5\n2 1\n16383\n" + bytes(4))  # Pillow would stretch it
    with pytest.raises(RequestError, match="more than 8 bits"):
        list(read_set([tmp_path / "short.pgm"], "test"))
