"""Registration recovers what was put in, says how sure it is, and fails loudly where there is nothing to see."""

import cv2
import numpy as np
import pytest
from scipy import stats

from fuse2task.data.images import read_infrared, read_visible
from fuse2task.rig.geometry import CameraView, Lens, transformed
from fuse2task.rig.registration import Registration, align, estimate
from fuse2task.rig.residual import blink, checkerboard, mutual_information, residual
from fuse2task.runtime.errors import RequestError

LENS = Lens((160, 128), ((150.0, 0.0, 79.5), (0.0, 150.0, 63.5), (0.0, 0.0, 1.0)), (-0.15, 0.02, 0.0, 0.0))
INTO = np.array([[1.18, -0.05, -8.0], [0.05, 1.18, -12.0], [0.0, 0.0, 1.0]])  # straight infrared pixels to visible ones


def scene(seed: int) -> np.ndarray:
    """Overlapping rectangles and discs, (160, 192) uint8."""
    rng, image = np.random.default_rng(seed), np.full((160, 192), 120, np.uint8)
    for _ in range(60):
        x, y, w, h = (int(value) for value in rng.integers((0, 0, 6, 6), (192, 160, 40, 40)))
        grey = int(rng.integers(20, 236))
        cv2.rectangle(image, (x, y), (x + w, y + h), grey, -1)
        cv2.circle(image, (int(rng.integers(192)), int(rng.integers(160))), int(rng.integers(3, 14)), 255 - grey, -1)
    return cv2.GaussianBlur(image, (0, 0), 0.7)


def infrared_of(visible: np.ndarray, lens: Lens | None = None) -> np.ndarray:
    """What the other camera sees, other grey levels included."""
    view = CameraView((160, 128), tuple(map(tuple, INTO.tolist())), lens)
    y, x = np.mgrid[0:128, 0:160] + 0.5
    points = view.to_grid(np.stack([x.ravel(), y.ravel()], axis=1)) - 0.5
    maps = (part.reshape(128, 160).astype(np.float32) for part in points.T)
    moved = cv2.remap(visible, *maps, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101).astype(np.float32)
    return np.clip(255 * np.abs(np.sin(moved / 70 + 2)), 0, 255).astype(np.uint8)


def worst_corner(alignment, lens: Lens | None = None) -> float:
    """Distance in pixels, at most over the grid's corners, from where they should come from."""
    width, height = alignment.size
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], dtype=float)
    straight = transformed(INTO, _straight(alignment.views["infrared"].from_grid(corners), lens))
    return float(np.hypot(*(straight - alignment.views["visible"].from_grid(corners)).T).max())


def _straight(points: np.ndarray, lens: Lens | None) -> np.ndarray:
    return points if lens is None else lens.straight(points)


@pytest.mark.parametrize("lens", [pytest.param(None, marks=pytest.mark.slow), LENS])
def test_scale_turn_shift_and_lens_are_recovered_across_sensors(lens):
    visible = [scene(1), scene(2)]
    made = estimate([(infrared_of(image, lens), image) for image in visible], lenses={"infrared": lens} if lens else {})
    assert worst_corner(made, lens) < 0.5
    assert made.error < 1
    assert not made.failed


def test_images_that_have_nothing_in_common_fail_by_their_own_error_bar():
    noise = np.random.default_rng(0).integers(0, 256, (128, 160), dtype=np.uint8)
    made = estimate([(cv2.GaussianBlur(noise, (0, 0), 2), scene(3))])
    assert made.failed


def test_points_need_no_estimate_and_sizes_must_agree(tmp_path):
    source = np.array([[10, 10], [150, 12], [140, 120], [15, 110], [80, 60]], dtype=float)
    rows = np.column_stack([source, transformed(INTO, source)])
    names = "infrared_x,infrared_y,visible_x,visible_y"
    np.savetxt(tmp_path / "points.csv", rows, delimiter=",", header=names, comments="")
    frame = np.zeros((128, 160), np.uint8), np.zeros((160, 192, 3), np.uint8)
    made = align(Registration(points=str(tmp_path / "points.csv")), [frame])
    assert worst_corner(made) < 1e-4
    assert made.error is None
    made.save(tmp_path / "alignment.json")
    assert align(Registration(file=str(tmp_path / "alignment.json")), []) == made
    with pytest.raises(RequestError, match="several sizes"):
        estimate([frame, (frame[0][:100], frame[1])])
    with pytest.raises(RequestError, match="no frames"):
        estimate([])


@pytest.mark.slow
def test_real_cameras_agree_better_after_registration(shared_path):
    root = shared_path("data", "FLIR_aligned")
    names = sorted(path.name.removesuffix("_RGB.jpg") for path in (root / "RGB").glob("*.jpg"))[::5]
    frames = []
    for name in names:
        pair = (
            read_infrared(next((root / "thermal").glob(f"{name}_PreviewData.*"))),
            read_visible(root / "RGB" / f"{name}_RGB.jpg"),
        )
        # Half the size is as good here and four times as fast.
        frames.append(tuple(cv2.resize(image, (320, 256), interpolation=cv2.INTER_AREA) for image in pair))
    turned = [(cv2.warpAffine(i, cv2.getRotationMatrix2D((160, 128), 3, 1.1), (320, 256)), v) for i, v in frames]
    made = estimate(turned)
    assert not made.failed
    before = [residual(*pair) for pair in turned]
    after = [residual(made.apply(pair[0], "infrared"), made.apply(pair[1], "visible")) for pair in turned]
    published = [residual(*pair) for pair in frames]
    # Over the set: single frames have hardly any edge in common, and the common field is smaller than the image.
    assert np.median([one.pixels for one in after]) < 2 < 4 < np.median([one.pixels for one in before])
    shared_bits = [np.mean([one.mutual_information for one in part]) for part in (after, published, before)]
    assert shared_bits == sorted(shared_bits, reverse=True)


def test_residual_checkerboard_and_blink_show_both_cameras():
    visible = scene(4)
    infrared = np.ascontiguousarray(np.roll(visible, (2, -3), axis=(0, 1)))
    found = residual(255 - infrared, visible)
    assert (found.dx, found.dy) == pytest.approx((3, -2), abs=0.2)
    assert found.pixels == pytest.approx(np.hypot(3, 2), abs=0.3)
    assert residual(np.full_like(visible, 9), visible).pixels is None
    board = checkerboard(infrared, np.dstack([visible] * 3), tile=32)
    assert np.array_equal(board[:32, :32, 1], visible[:32, :32])
    assert np.array_equal(board[:32, 32:64, 1], infrared[:32, 32:64])
    assert blink(infrared, visible).startswith(b"GIF8")
    with pytest.raises(RequestError, match="192x160"):
        checkerboard(infrared[:100], visible)


def test_mutual_information_is_scikit_images():
    rng = np.random.default_rng(0)
    one = rng.integers(0, 256, (50, 60), dtype=np.uint8)
    normalised = pytest.importorskip("skimage.metrics").normalized_mutual_information
    for other in (one, rng.integers(0, 256, (50, 60), dtype=np.uint8), one // 2):
        joint = stats.entropy(np.histogram2d(one.ravel() // 4, other.ravel() // 4, bins=64)[0].ravel(), base=2)
        expected = (normalised(one // 4, other // 4, bins=64) - 1) * joint  # it is (H1 + H2) / H12
        assert mutual_information(one, other) == pytest.approx(expected)
