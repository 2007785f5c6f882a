"""Time of every score of one profile on one image, beside torchmetrics and scikit-image where they have it.

    python benchmarks/scores.py [--infrared A --visible B --fused C] [--profile standard] [--batch 1]

Without files, smooth random 640x480 images. Prints milliseconds an image (median of the repeats), for each score
alone and for the sets; then the growth of memory with the batch.
"""

import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch
from measuring import options, peak_memory, synchronize, where

from fuse2task.data.images import read_visible
from fuse2task.runtime.compute import keep_freed_memory
from fusion.quality.definitions import Profile, score_batch
from fusion.quality.filters import sharing
from fusion.quality.profiles import find_profile

SLOW = ("FMI_pixel", "FMI_dct", "FMI_w", "QCB", "QCV", "TE")
LIMIT = 0.25  # seconds an image for the others together, 640x480 on 2 cores


def main() -> None:
    given = options(__doc__, infrared=Path, visible=Path, fused=Path, profile="standard", batch=1, repeats=7)
    profile = find_profile(given.profile)
    arrays = images([given.infrared, given.visible, given.fused])
    devices = ["cpu"] + (["cuda"] if torch.cuda.is_available() else [])
    keep_freed_memory()
    memory(profile, arrays)
    others = competitors(arrays)
    for device in devices:
        height, width = arrays[0].shape[:2]
        print(f"{device}, {where(torch.device(device))}; {width}x{height}, batch {given.batch}, ms an image")
        report(profile, arrays, torch.device(device), given.batch, given.repeats, others)


def images(paths: list[Path | None], size: tuple[int, int] = (640, 480)) -> list[np.ndarray]:
    """Infrared, visible and fused pixels; without files smooth random ones of `size`."""
    if all(paths):
        return [read_visible(path) for path in paths if path]
    rng = np.random.default_rng(0)
    coarse = [cv2.resize(rng.random((24, 32)), size, interpolation=cv2.INTER_CUBIC) for _ in range(2)]
    sources = [(200 * image + 40 * rng.random(image.shape)).clip(0, 255) for image in coarse]
    return [image.astype(np.uint8) for image in (*sources, np.mean(sources, axis=0))]


def report(
    profile: Profile, arrays: list[np.ndarray], device: torch.device, batch: int, repeats: int,
    others: dict[str, dict[str, Callable[[], object]]],
) -> None:  # fmt: skip
    stacks = stacked(profile, arrays, device, batch)
    doubles = [stack.double() for stack in stacks]

    def timed(run: Callable[[], object]) -> float:
        times = []
        for _ in range(repeats + 1):
            start = time.perf_counter()
            run()
            synchronize()
            times.append(time.perf_counter() - start)
        return statistics.median(times[1:]) / batch

    def alone(compute: Callable[..., object]) -> object:
        with sharing(), torch.inference_mode():
            return compute(*doubles)

    for entry in profile.scores:
        own = timed(partial(alone, entry.compute))
        text = f"  {entry.name:10s}{own * 1e3:9.2f}"
        if device.type == "cpu":
            for library, run in others.get(entry.name, {}).items():
                theirs = timed(run) * batch
                text += f"   {library} {theirs * 1e3:8.2f} ({theirs / own:.1f}x ours)"
        print(text)
    names = [name for name in profile.names if name not in SLOW]
    fast = timed(lambda: score_batch(profile, *stacks, names))
    print(f"  together, without {', '.join(SLOW)}: {fast * 1e3:.1f} ms, {fast / LIMIT:.2f} of the limit {LIMIT} s")
    print(f"  all together: {timed(lambda: score_batch(profile, *stacks)) * 1e3:.1f} ms")


def stacked(profile: Profile, arrays: list[np.ndarray], device: torch.device, batch: int) -> list[torch.Tensor]:
    """Each image `batch` times, as the profile prepares it."""
    return [torch.from_numpy(np.stack([profile.prepare(image)] * batch)).to(device) for image in arrays]


def competitors(arrays: list[np.ndarray]) -> dict[str, dict[str, Callable[[], object]]]:
    """What the other libraries offer, doing the same work: both sources, float64 where they can."""
    from skimage.measure import shannon_entropy
    from skimage.metrics import mean_squared_error, normalized_mutual_information, structural_similarity
    from torchmetrics.functional import image as tm

    infrared, visible, fused = (find_profile("standard").prepare(image) for image in arrays)
    tensors = [torch.from_numpy(image).double()[None, None] for image in (infrared, visible, fused)]

    def both(function: Callable[..., object], *arguments: object, **options: object) -> Callable[[], object]:
        return lambda: [function(tensors[2], source, *arguments, **options) for source in tensors[:2]]

    def both_arrays(function: Callable[..., object], **options: object) -> Callable[[], object]:
        return lambda: [function(source, fused, **options) for source in (infrared, visible)]

    gaussian = {"data_range": 255, "gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    return {
        "EN": {"scikit-image": lambda: shannon_entropy(fused)},
        "NMI": {"scikit-image": both_arrays(normalized_mutual_information, bins=256)},
        "MSE": {"scikit-image": both_arrays(mean_squared_error)},
        "SSIM": {
            "scikit-image": both_arrays(structural_similarity, **gaussian),
            "torchmetrics": both(tm.structural_similarity_index_measure, data_range=255.0),
        },
        "MS_SSIM": {"torchmetrics": both(tm.multiscale_structural_similarity_index_measure, data_range=255.0)},
        "VIF": {"torchmetrics": both(tm.visual_information_fidelity)},
        "PSNR": {"torchmetrics": both(tm.peak_signal_noise_ratio, data_range=255.0)},
    }


def memory(profile: Profile, arrays: list[np.ndarray]) -> None:
    for batch in (1, 2, 4):
        stacks = stacked(profile, arrays, torch.device("cpu"), batch)
        for _ in range(3):
            score_batch(profile, *stacks)
        print(f"peak memory of the process after batches of {batch}, three times each: {peak_memory():.0f} MiB")


if __name__ == "__main__":
    main()
