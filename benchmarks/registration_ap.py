"""What registration is worth to a detector: AP of a frozen judge on aligned, misaligned and registered pairs.

    OMP_NUM_THREADS=1 python benchmarks/registration_ap.py --data MSRS --boxes MSRS/boxes/fusion --weights yolov8n.onnx
        [--methods average] [--kinds rig frames] [--levels 1 3 5] [--move visible] [--pairs 0] [--replicates 1000]

The images of one camera of MSRS/test (`--move`) are moved as `data degrade --kind misalign` moves them; truth and the
other camera stay. "frames": by its own draw for each pair, and each pair is registered by itself, as with `per_frame`;
a pair whose error bar says that it failed stays as it was. "rig": all by the draw for one name, and one registration
from 20 pairs brings all back. All are cut to what both cameras see after registration: the judge has the same field.

"Undone" moves the images back by the very motion: what a perfect registration would leave of the loss, the images
being resampled twice. "Back" is the share of the lost AP that registration brings back; differences are paired over
the images. The last interval is that of (registered - misaligned) - 0.8 (aligned - misaligned): above 0 where at least
80 % come back.
"""

import argparse
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from detection.average_precision import match, weighted_ap
from detection.judge import LoadedDetector, load_judge, predict_images
from fuse2task.bench.statistics import Distribution, bootstrap, compare, jackknife
from fuse2task.data.class_maps import match_classes
from fuse2task.data.dataset import BoxTruth, Pair
from fuse2task.data.degradation.geometry import Motion, motion_of, move_image
from fuse2task.data.images import CAMERAS, OTHER, Camera, read_pair
from fuse2task.data.loading import load_dataset
from fuse2task.data.truth.coco import coco_truth
from fuse2task.rig.geometry import Alignment, common_grid
from fuse2task.rig.pairing import spread
from fuse2task.rig.registration import Registration, align
from fuse2task.runtime.errors import RequestError
from fusion.methods.base import Method
from fusion.methods.registry import make_method

SHARE = 0.8
ARMS = ("aligned", "misaligned", "registered", "undone")
Images = dict[str, tuple[np.ndarray, np.ndarray]]


def inverse(motion: Motion) -> Motion:
    """What takes a moved image back."""
    turn = math.radians(motion.degrees)
    cos, sin = math.cos(turn), math.sin(turn)
    return Motion(-cos * motion.dx - sin * motion.dy, sin * motion.dx - cos * motion.dy, -motion.degrees)


def registered(pairs: Sequence[Pair], moved: Images, kind: str, onto: Camera) -> dict[str, Alignment]:
    """The alignment of each pair."""
    if kind == "rig":
        found = align(Registration(onto=onto), [moved[pair.id] for pair in spread(pairs, 20)])
        print(f"  one registration, error bar {found.error} px", flush=True)
        return dict.fromkeys(moved, found)
    ways, failed = {}, 0
    for name, images in moved.items():
        try:
            ways[name] = align(Registration(onto=onto, per_frame=True), [images])
        except RequestError:  # nothing in common
            ways[name] = Alignment(images[1].shape[1::-1], {}, error=np.inf)
        if ways[name].failed:
            failed += 1
            ways[name] = common_grid({"infrared": images[0].shape[1::-1], "visible": images[1].shape[1::-1]})
    print(f"  {failed} of {len(ways)} pairs called failed by their error bar", flush=True)
    return ways


def judged(
    judge: LoadedDetector, method: Method, pairs: Sequence[Pair], truth: BoxTruth, arms: Mapping[str, Images],
    ways: Mapping[str, Alignment], onto: Camera, replicates: int,
) -> dict[str, dict[str, Distribution]]:  # fmt: skip
    """Distributions of AP50 and AP of each arm, whose images are on the grids of `ways`."""
    boxes = replace(truth, boxes={pair.id: ways[pair.id].moved(truth.boxes[pair.id], onto) for pair in pairs})
    content = coco_truth([replace(pair, size=ways[pair.id].size) for pair in pairs], boxes)
    matching = match_classes(judge.names, {item["name"]: item["id"] for item in content["categories"]})
    weights = bootstrap(len(pairs), replicates, 0), jackknife(len(pairs)), np.ones((1, len(pairs)))
    found: dict[str, dict[str, Distribution]] = {}
    for arm, images in arms.items():
        results = []
        for number, pair in enumerate(pairs, 1):
            fused = method.fuse(pair, *images[pair.id]).rgb
            results += predict_images(judge, matching, [fused], [number])
        matches = match(content, results)
        drawn, without, point = (weighted_ap(matches, part) for part in weights)
        found[arm] = {
            name: (getattr(point, name), getattr(drawn, name)[None], getattr(without, name)[None])
            for name in ("AP50", "AP")
        }
    return found


def combined(weights: Mapping[str, float], values: Mapping[str, Distribution]) -> Distribution:
    """A weighted sum over arms, replicate by replicate."""
    parts = zip(*(values[arm] for arm in weights), strict=True)
    first, second, third = (np.tensordot([*weights.values()], np.stack(part), 1) for part in parts)
    return first, second, third


def line(name: str, found: Mapping[str, Mapping[str, Distribution]]) -> str:
    values = {arm: distributions[name] for arm, distributions in found.items()}
    aligned, misaligned, back, undone = (float(values[arm][0][0]) for arm in ARMS)
    differences = [
        compare(values["misaligned"], values["aligned"]),
        compare(values["registered"], values["misaligned"]),
        compare(combined({"registered": 1, "misaligned": SHARE}, values),
                combined({"misaligned": 1, "aligned": SHARE}, values)),
    ]  # fmt: skip
    shown = [f"{one.difference:+.4f} [{one.ends[0]:+.4f}, {one.ends[1]:+.4f}]" for one in differences if one.interval]
    share = (back - misaligned) / (aligned - misaligned) if aligned > misaligned else np.nan
    numbers = f"{aligned:.4f} {misaligned:.4f} {back:.4f} {undone:.4f}"
    return f"  {name:4} {numbers}  lost, back, above {SHARE:.0%}: {'; '.join(shown)}  back {share:.0%}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("data", "boxes", "weights"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--methods", nargs="+", default=["average"])
    parser.add_argument("--kinds", nargs="+", choices=("rig", "frames"), default=["rig", "frames"])
    parser.add_argument("--levels", nargs="+", type=int, default=[1, 3, 5])
    parser.add_argument("--move", choices=CAMERAS, default="visible")
    for name, value in {"pairs": 0, "replicates": 1000}.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    onto = OTHER[options.move]
    dataset = load_dataset(options.data, "msrs", boxes=options.boxes)
    pairs, truth, judge = dataset.part("test")[: options.pairs or None], dataset.boxes, load_judge(options.weights)
    assert truth is not None
    recorded = {pair.id: read_pair(pair) for pair in pairs}
    methods = {name: make_method(name) for name in options.methods}
    for kind in options.kinds:
        for level in options.levels:
            print(f"{kind}, level {level}", flush=True)
            moved, undone = {}, {}
            for pair in pairs:
                motion = motion_of(0, "rig" if kind == "rig" else pair.id, level)
                images = dict(zip(CAMERAS, recorded[pair.id], strict=True))
                images[options.move] = move_image(images[options.move], motion)
                moved[pair.id] = images["infrared"], images["visible"]
                images[options.move] = move_image(images[options.move], inverse(motion))
                undone[pair.id] = images["infrared"], images["visible"]
            ways = registered(pairs, moved, kind, onto)
            # As `onto` both images are only cut, to what both cameras see in the end.
            views = {
                "aligned": (recorded, (onto, onto)),
                "misaligned": (moved, (onto, onto)),
                "registered": (moved, CAMERAS),
                "undone": (undone, (onto, onto)),
            }
            arms: dict[str, Images] = {}
            for arm, (shown, (first, second)) in views.items():
                arms[arm] = {
                    key: (ways[key].apply(both[0], first), ways[key].apply(both[1], second))
                    for key, both in shown.items()
                }
            for name, method in methods.items():
                found = judged(judge, method, pairs, truth, arms, ways, onto, options.replicates)
                print(f" {name}: AP of {', '.join(ARMS)}", flush=True)
                for number in ("AP50", "AP"):
                    print(line(number, found), flush=True)


if __name__ == "__main__":
    main()
