"""Registration by construction: a known scale, turn, shift and lens put on one camera of real pairs, and taken out.

Usage: python benchmarks/registration.py DATA [--frames 20] [--cases 3] [--single 5] [--side 640] [--seed 0]
DATA holds MSRS, FLIR_aligned, LLVIP and M3FD in their layouts. The infrared image is moved: scale 0.6 to 1.6, turn to 5
degrees, shift to 15 %, barrel or pincushion distortion with its calibration known. Below a scale of 1 the visible image
is cut, so that the other camera sees what is really there; where it is not known, it is mirrored.

Error: mean distance in visible pixels over the corners of what both see. "Published" takes the pairs as registered,
which they are not quite; "own" has what `estimate` finds on the unmoved frames of the same field added to the truth.
Which of the two is nearer to the world, mutual information says on frames that no estimate has seen.
"""

import argparse
import time
from pathlib import Path

import cv2
import numpy as np

from fuse2task.data.images import luma, read_infrared, read_visible
from fuse2task.rig.geometry import (
    MOST_ERROR,
    Alignment,
    CameraView,
    Lens,
    centred,
    common_grid,
    matrix_of_points,
    transformed,
)
from fuse2task.rig.registration import estimate
from fuse2task.rig.residual import mutual_information
from fuse2task.runtime.errors import RequestError

UNIT = np.array([[0.0, 0], [1, 0], [1, 1], [0, 1]])
GROSS = 5.0  # pixels from which an error must be known to the error bar
BORDER = 24  # pixels, where one camera may see nothing


def sets(data: Path) -> dict[str, list[tuple[Path, Path]]]:
    """Paths (infrared, visible) of each data set."""
    thermal, m3fd = data / "FLIR_aligned/thermal", ("M3FD", "M3FD_more")
    visible = {
        "MSRS": sorted((data / "MSRS/test/vi").iterdir()),
        "LLVIP": sorted((data / "LLVIP/visible/train").iterdir()),
        "M3FD": [path for name in m3fd for path in sorted((data / name / "Vis").iterdir())],
    }
    other = {"vi": "ir", "Vis": "Ir", "visible": "infrared"}
    found = {
        name: [(Path(*(other.get(part, part) for part in path.parts)), path) for path in paths]
        for name, paths in visible.items()
    }
    colour = sorted((data / "FLIR_aligned/RGB").iterdir())
    return {"FLIR": [(next(thermal.glob(f"{path.stem[:-4]}_PreviewData.*")), path) for path in colour], **found}


def reduced(image: np.ndarray, side: int) -> np.ndarray:
    factor = min(1.0, side / max(image.shape))
    return image if factor == 1 else cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)


class Case:
    """One constructed rig of frames of one size."""

    def __init__(self, frames: list[tuple[np.ndarray, np.ndarray]], rng: np.random.Generator):
        self.scale, turn = float(np.exp(rng.uniform(np.log(0.6), np.log(1.6)))), np.radians(rng.uniform(-5, 5))
        shift, bend = rng.uniform(-0.15, 0.15, 2), rng.choice((-1, 1)) * rng.uniform(0.05, 0.2)
        height, width = frames[0][0].shape
        cut = min(1.0, self.scale)
        size = round(width * cut), round(height * cut)
        x, y = (width - size[0]) // 2, (height - size[1]) // 2
        self.offset = np.array([[1, 0, x], [0, 1, y], [0, 0, 1.0]])  # visible pixels to published infrared ones
        focal = 0.9 * size[0]
        matrix = ((focal, 0.0, size[0] / 2 - 0.5), (0.0, focal, size[1] / 2 - 0.5), (0.0, 0.0, 1.0))
        self.lens = Lens(size, matrix, (bend, 0.02, 0.0, 0.0))
        cos, sin = self.scale * np.cos(turn), self.scale * np.sin(turn)
        move = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1.0]])
        move[:2, 2] = np.multiply(size, 0.5 + shift) - move[:2, :2] @ np.multiply(size, 0.5)
        self.into = move @ np.linalg.inv(self.offset)  # published infrared pixels to straight moved ones
        view = CameraView(size, tuple(map(tuple, np.linalg.inv(self.into).tolist())), self.lens)
        down, across = np.mgrid[0 : size[1], 0 : size[0]] + 0.5
        points = view.to_grid(np.stack([across.ravel(), down.ravel()], axis=1)) - 0.5
        maps = [part.reshape(size[::-1]).astype(np.float32) for part in points.T]
        low = np.clip([part.min() for part in maps], 0, None).astype(int)
        high = np.minimum([part.max() for part in maps], (width - 1, height - 1)).astype(int) + 1
        self.frames, self.unmoved = [], []
        for infrared, visible in frames:
            blur = 0.5 * np.sqrt(max(0.0, 1 / self.scale**2 - 1))
            source = cv2.GaussianBlur(infrared, (0, 0), blur) if blur else infrared
            moved = cv2.remap(source, *maps, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)
            near = np.ascontiguousarray(visible[y : y + size[1], x : x + size[0]])
            self.frames.append((moved, near))
            self.unmoved.append((np.ascontiguousarray(infrared[low[1] : high[1], low[0] : high[0]]), near))
        self.sizes = {"infrared": size, "visible": size}
        self.published = self.offset
        self.field = np.array([[1, 0, low[0]], [0, 1, low[1]], [0, 0, 1.0]])

    def own(self) -> np.ndarray:
        """Visible pixels to published infrared ones, as the unmoved frames say themselves."""
        found = estimate(self.unmoved)
        thermal, visible = (np.array(found.views[name].matrix) for name in ("infrared", "visible"))
        return self.field @ np.linalg.inv(thermal) @ visible

    def error(self, found: Alignment, truth: np.ndarray) -> float:
        """truth: visible pixels to published infrared ones."""
        corners = UNIT * found.size
        moved = self.lens.straight(found.views["infrared"].from_grid(corners))
        back = transformed(np.linalg.inv(self.into @ truth), moved)
        return float(np.hypot(*(back - found.views["visible"].from_grid(corners)).T).mean())

    def aligned(self, matrix: np.ndarray) -> Alignment:
        """matrix: straight infrared pixels to visible ones."""
        return common_grid(self.sizes, matrix, lenses={"infrared": self.lens})

    def grey(self, frame: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """(infrared, visible), both straight and grey, for the other methods."""
        infrared = cv2.undistort(frame[0], np.array(self.lens.matrix), np.array(self.lens.distortion))
        return infrared, frame[1] if frame[1].ndim == 2 else cv2.cvtColor(frame[1], cv2.COLOR_RGB2GRAY)


def ecc(case: Case) -> np.ndarray | None:
    """OpenCV's ECC from the identity, affine, on each frame; the median of where the corners go."""
    size, found = np.array(case.sizes["visible"]), []
    criteria = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 100, 1e-5)
    for infrared, visible in map(case.grey, case.frames):
        try:
            _, matrix = cv2.findTransformECC(
                visible, infrared, np.eye(2, 3, dtype=np.float32), cv2.MOTION_AFFINE, criteria, None, 5
            )
        except cv2.error:  # it did not converge
            continue
        found.append(transformed(np.vstack([matrix, [0, 0, 1]]), UNIT * size))
    return matrix_of_points(np.median(found, axis=0), UNIT * size, "affine") if found else None


def matched(case: Case) -> np.ndarray | None:
    """SIFT, ratio test, a similarity by RANSAC over the matches of all frames."""
    sift, source, target = cv2.SIFT_create(), [], []
    for images in map(case.grey, case.frames):
        (keys, first), (others, second) = (sift.detectAndCompute(image, None) for image in images)
        if first is None or second is None or len(second) < 2:
            continue
        for best, next_best in cv2.BFMatcher().knnMatch(first, second, k=2):
            if best.distance < 0.85 * next_best.distance:
                source.append(keys[best.queryIdx].pt)
                target.append(others[best.trainIdx].pt)
    try:
        return matrix_of_points(np.add(source, 0.5), np.add(target, 0.5), "similarity")
    except RequestError:
        return None


def information(frames: list[tuple[np.ndarray, np.ndarray]], into: np.ndarray) -> np.ndarray:
    """Mutual information of each frame in bits, without a border. into: visible pixels to infrared ones."""
    flags, found = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP, []
    for infrared, visible in frames:
        size = visible.shape[1::-1]
        moved = cv2.warpPerspective(infrared, centred(into), size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
        inner = (slice(BORDER, -BORDER),) * 2
        found.append(mutual_information(moved[inner], luma(visible)[inner]))
    return np.array(found)


def summary(errors: list[float]) -> str:
    if not errors:
        return "none"
    middle, most = np.quantile(errors, [0.5, 0.95], method="higher")  # no interpolation: some are infinite
    return f"median {middle:6.2f}, 95 % {most:7.2f} px"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    for name, value in {"frames": 20, "cases": 3, "single": 5, "side": 640, "seed": 0}.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--only", nargs="*", help="names of data sets")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    results: dict[str, list[float]] = {name: [] for name in ("published", "own", "ECC", "SIFT")}
    alone: list[tuple[float, float]] = []
    for name, paths in sets(options.data).items():
        if options.only and name not in options.only:
            continue
        chosen = paths[:: max(1, len(paths) // options.frames)][: options.frames]
        others = [path for path in paths if path not in chosen][: options.frames]
        drawn = [
            (reduced(read_infrared(infrared), options.side), reduced(read_visible(visible), options.side))
            for infrared, visible in chosen + others
        ]
        sizes = [visible.shape for _, visible in drawn[: len(chosen)]]
        usual = max(sizes, key=sizes.count)
        frames, unseen = (
            [frame for frame in part if frame[1].shape == usual]
            for part in (drawn[: len(chosen)], drawn[len(chosen) :])
        )
        for number in range(options.cases):
            case = Case(frames, np.random.default_rng([options.seed, number, *name.encode()]))
            start = time.perf_counter()
            found = estimate(case.frames, lenses={"infrared": case.lens})
            duration, own = time.perf_counter() - start, case.own()
            row = {"published": case.error(found, case.published), "own": case.error(found, own)}
            for key, matrix in {"ECC": ecc(case), "SIFT": matched(case)}.items():
                try:
                    row[key] = float("inf") if matrix is None else case.error(case.aligned(matrix), own)
                except RequestError:  # nothing in common
                    row[key] = float("inf")
            for key, value in row.items():
                results[key].append(value)
            row["bar"] = found.error or 0.0
            if unseen and number == 0:
                whole = own @ np.linalg.inv(case.offset)  # visible images are not cut here
                gain = information(unseen, whole) - information(unseen, np.eye(3))
                more = f"{gain.mean():+.4f} bits, in {np.mean(gain > 0):.0%} of {len(unseen)} unseen frames more"
                print(f"{name}: mutual information of own beside published {more}", flush=True)
            values = ", ".join(f"{key} {value:.2f}" for key, value in row.items())
            print(f"{name} {len(frames)} frames, scale {case.scale:.2f}: {values}; {duration:.0f} s", flush=True)
            for frame in case.frames[:: max(1, len(frames) // max(1, options.single))][: options.single]:
                try:
                    by_itself = estimate([frame], lenses={"infrared": case.lens})
                    alone.append((case.error(by_itself, own), by_itself.error or 0.0))
                    print(f"  one frame: own {alone[-1][0]:.2f}, bar {alone[-1][1]:.2f}", flush=True)
                except RequestError:  # nothing in common, which it says
                    alone.append((float("inf"), float("inf")))
    for key, errors in results.items():
        print(f"set, {key:9} {summary(errors)}")
    if alone:
        gross = [bar > MOST_ERROR for error, bar in alone if error > GROSS]
        fine = [bar > MOST_ERROR for error, bar in alone if error <= GROSS]
        print(f"frames    {summary([error for error, _ in alone])}")
        print(f"{len(gross)} of {len(alone)} frames above {GROSS:g} px, {sum(gross)} of them by the error bar too")
        print(f"{sum(fine)} of the {len(fine)} others called failed")


if __name__ == "__main__":
    main()
