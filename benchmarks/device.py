"""What a device does in at most 8 minutes: golden cases, inference, training, scores, writing; one Markdown table.

    python benchmarks/device.py [--device auto] [--golden ../shared/golden/crossfuse] [--output device.json]
        [--minutes 8] [--quick]
    python benchmarks/device.py --table device.json

Needs neither data nor a network: the faithful network has random weights, crossfuse-plus those shipped. Each part runs
in a process of its own within its share of the time, and a row is in the output as soon as it is measured; --table
prints the table of an output. "Of the bf16 peak" is the arithmetic of the network as trained against the bf16 product
of the same run, by the clock. --quick: tiny sizes, which show that every part runs and nothing else.
"""

import math
import runpy
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from inference import differences, multiply_accumulates, read_pair, speed
from measuring import Row, attempt, calls_a_second, in_own_process, options, product_rate, where
from scores import images, stacked
from training import RELEASE, STAGES, Run, Variant, loading
from writing import disk_to_disk, repeated, synthetic

from fuse2task.config import load_recipe
from fuse2task.data.dataset import Pair
from fuse2task.runtime.compute import pick_device
from fuse2task.runtime.files import read_json, write_json
from fuse2task.runtime.overlap import threads
from fuse2task.runtime.packages import versions
from fuse2task.runtime.progress import say
from fusion.checkpoint import load_crossfuse, save_crossfuse
from fusion.methods import Method, make_method
from fusion.network.crossfuse import CrossFuseNetwork
from fusion.network.inference import InferenceNetwork
from fusion.quality.definitions import score_batch
from fusion.quality.profiles import find_profile
from fusion.recipe import FusionRecipe
from fusion.release import import_release
from fusion.weights import find_checkpoint

PEAK, MINUTES = "bf16 product", "minutes for the release's samples"
RECIPES = {"faithful": "fusion/crossfuse-release", "plus": "fusion/crossfuse-plus"}


class Given(NamedTuple):
    """What is measured on which device: sizes, and seconds that one measurement takes. golden: its folder."""

    device: str
    golden: Path | None
    size: tuple[int, int] = (640, 480)
    batches: tuple[int, ...] = (1, 4, 16, 64)
    sample: int = 256  # side of a training sample
    batch: int | None = None  # of a training step; None: as the recipe has it
    pairs: int = 16  # that are written first, to see how many fit into the time
    seconds: float = 0.7
    steady: float = 40.0  # of a training stage
    short: float = 5.0  # of its other variants; 0: without them
    writing: float = 8.0


TINY: dict[str, Any] = dict.fromkeys(("seconds", "steady", "short", "writing"), 0)
TINY |= {"size": (64, 48), "batches": (1,), "sample": 64, "batch": 1, "pairs": 1}


def main() -> None:
    asked = options(
        __doc__, device="auto", golden=Path, output=Path("device.json"), table=Path, minutes=8.0, quick=False
    )
    if asked.table:
        print(table(read_json(asked.table, "output of benchmarks/device.py")["rows"]))
        return
    given = Given(asked.device, asked.golden, **(TINY if asked.quick else {}))
    found: dict[str, Any] = {"quick": asked.quick, "versions": versions(), "rows": []}
    end, shares = time.monotonic() + 60 * asked.minutes, [share for _, share in PARTS.values()]
    for number, (part, (rows, share)) in enumerate(PARTS.items()):  # what a part leaves over goes to those behind it
        limit = (end - time.monotonic()) * share / sum(shares[number:])
        for row in in_own_process(rows, given, limit, forked=asked.device == "cpu"):
            found["rows"].append({"part": part, **row})
            write_json(asked.output, found, sort_keys=False)
            say(line(found["rows"][-1], math.nan))
    print(table(found["rows"]))


def products(given: Given) -> Iterator[Row]:
    device = pick_device(given.device)
    name = where(device) if device.type == "cuda" else f"{device.type}, {where(device)}"
    for what, dtype in ((PEAK, torch.bfloat16), ("fp32 product", torch.float32)):
        row = attempt(what, lambda dtype: {"value": product_rate(device, dtype) / 1e3, "unit": "TFLOP/s"}, dtype)
        yield row | {"device": name}


def golden_cases(given: Given) -> Iterator[Row]:
    if given.golden is None:
        yield {"what": "golden cases", "reason": "no --golden folder"}
        return
    device, state = pick_device(given.device), runpy.run_path(str(given.golden / "reference_state.py"))["state"]
    # As users get it, a GPU's convolutions round fp32 to TF32.
    ways = {"fp32": ("fp32", True), "fp32 without TF32": ("fp32", False), "bf16": ("bf16", True)}
    for file in sorted(given.golden.glob("case_*.npz")):
        case = np.load(file)
        network = with_release_weights(state, int(case["seed"]))
        for way, (precision, tf32) in ways.items():
            if tf32 or device.type == "cuda":
                yield attempt(f"{file.stem}, {way}", golden_case, network, case, device, precision, tf32)


def golden_case(network: CrossFuseNetwork, case: Any, device: torch.device, precision: Any, tf32: bool) -> Row:
    infrared, visible = (torch.from_numpy(case[side]).float()[:, None].to(device) for side in ("ir", "vi"))
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=tf32):
        fused = InferenceNetwork(network, device, precision)(infrared, visible)[:, 0].cpu()
    largest, tail, _ = differences(fused, torch.from_numpy(case["fused"]))
    return {"value": tail, "unit": "grey levels at 99.9 %", "beside": {"largest": largest}}


def with_release_weights(state: Callable[[str, int], dict[str, np.ndarray]], seed: int) -> CrossFuseNetwork:
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / part for part in ("auto_ir", "auto_vi", "fusion")]
        for file in files:
            torch.save({key: torch.from_numpy(np.array(value)) for key, value in state(file.name, seed).items()}, file)
        return import_release(*files)


def inference(given: Given) -> Iterator[Row]:
    device, pair = pick_device(given.device), read_pair(None, None, "x".join(map(str, given.size)))
    trained = {"faithful": CrossFuseNetwork().eval(), "crossfuse-plus": load_crossfuse(find_checkpoint(None))[0]}
    gflop = {name: 2 * multiply_accumulates(network, *pair) for name, network in trained.items()}
    cases = [(name, precision) for name in trained for precision in ("fp32", "bf16")]
    networks = {(name, precision): InferenceNetwork(trained[name], device, precision) for name, precision in cases}
    compiled = {case: torch.compile(network, dynamic=False) for case, network in networks.items()}  # at its first call
    plan = [("eager", networks, False, batch) for batch in given.batches]
    if device.type == "cuda":  # compiling last, and for two batches only: it may take minutes
        plan += [("CUDA graph", networks, True, batch) for batch in given.batches]
        for batch in given.batches[::2]:
            plan += [("compiled", compiled, False, batch), ("compiled, CUDA graph", compiled, True, batch)]
    for way, runs, in_graph, batch in plan:
        batched = [image.to(device).expand(batch, -1, -1, -1).contiguous() for image in pair]
        for name, precision in cases if way == "eager" else [case for case in cases if case[1] == "bf16"]:
            settings = runs[name, precision], networks[name, precision], batched, given.seconds, in_graph
            yield attempt(f"{name}, {precision}, batch {batch}, {way}", speed, *settings) | {"gflop": gflop[name]}
    if device.type != "cuda":
        yield {"what": "compiled, CUDA graphs", "reason": f"needs a CUDA device, this is {device.type}"}


def training(given: Given) -> Iterator[Row]:
    recipes = {name: load_recipe(FusionRecipe, reference) for name, reference in RECIPES.items()}
    plan = []
    for stage, (_, _, variants) in STAGES.items():
        name, number = stage.split(", ")
        batch = given.batch or (recipes[name].stage1 if number == "stage 1" else recipes[name].stage2).batch
        for variant in (variant for variant in variants if variant.today):
            is_main = variant.bf16 and variant.frozen != "kept"
            if is_main or given.short:
                plan.append((not is_main, stage, variant, batch, given.steady if is_main else given.short))
            if is_main and given.short:
                plan.append((True, stage, variant, given.batches[-1], given.short))
    minutes: dict[str, float] = {}  # of the main variants, by stage
    for is_extra, stage, variant, batch, seconds in sorted(plan, key=lambda entry: entry[0]):
        what = f"{stage}, {variant.name.removeprefix('today, ')}, batch {batch}"
        row = attempt(what, samples_a_second, stage, variant, batch, seconds, given)
        yield row
        if not is_extra and "value" in row:
            minutes[stage] = row["beside"][MINUTES]
            if stage.endswith("2") and (first := stage.replace("2", "1")) in minutes:
                both, name = minutes[first] + minutes[stage], stage.split(", ")[0]
                yield {"what": f"{name}, all stages of the release", "value": both, "unit": "minutes"}
    with tempfile.TemporaryDirectory() as folder:
        pairs = synthetic(Path(folder) / "source", 16, given.size)
        for how, rate in loading(pairs, given.sample, 8, Path(folder)).items():
            yield {"what": f"loading, {how}, {threads()} threads", "value": rate, "unit": "samples/s"}


def samples_a_second(stage: str, variant: Variant, batch: int, seconds: float, given: Given) -> Row:
    device, (network, loss, _) = pick_device(given.device), STAGES[stage]
    samples = torch.randint(0, 256, (2, batch, 1, given.sample, given.sample)).float().to(device)
    run = Run(network(), loss, variant, samples, device)
    rate, gflop = run.steady(seconds), run.flops / batch / 1e9
    minutes = RELEASE[stage.split(", ")[1]] / rate / 60
    return {"value": rate, "unit": "samples/s", "gflop": gflop, "beside": {MINUTES: minutes}}


def scores(given: Given) -> Iterator[Row]:
    device, profile, arrays = pick_device(given.device), find_profile("standard"), images([None], given.size)
    expected = score_batch(profile, *stacked(profile, arrays, torch.device("cpu"), 1))

    def scored(batch: int) -> Row:
        stacks = stacked(profile, arrays, device, batch)
        found = score_batch(profile, *stacks)
        apart = {name: relative(found[name][0].item(), value.item()) for name, value in expected.items()}
        worst = max(apart, key=lambda name: (math.isnan(apart[name]), apart[name]))
        rate = batch * calls_a_second(lambda: score_batch(profile, *stacks), given.seconds)
        beside = {f"relative difference from the CPU at most ({worst})": apart[worst]}
        return {"value": rate, "unit": "images/s", "beside": beside}

    for batch in given.batches[::2]:
        yield attempt(f"{len(expected)} scores, batch {batch}", scored, batch)


def relative(found: float, expected: float) -> float:
    is_same = found == expected or (math.isnan(found) and math.isnan(expected))
    return 0.0 if is_same else abs(found - expected) / max(abs(expected), 1e-9)


def writing(given: Given) -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pairs = synthetic(folder / "source", 8, given.size)
        save_crossfuse(folder / "faithful.safetensors", CrossFuseNetwork(), {})
        for method, checkpoint in (("crossfuse", folder / "faithful.safetensors"), ("crossfuse-plus", None)):
            make = partial(make_method, method, checkpoint, given.device)
            yield attempt(f"{method}, disk to disk", pairs_written, make, pairs, folder, given)


def pairs_written(make: Callable[[], Method], pairs: tuple[Pair, ...], folder: Path, given: Given) -> Row:
    def run(count: int) -> tuple[int, float]:
        return count, disk_to_disk(make, repeated(pairs, count), folder).wall

    count, seconds = run(given.pairs)
    if (more := int(count * given.writing / seconds)) > count:
        count, seconds = run(more)
    return {"value": count / seconds, "unit": "pairs/s", "beside": {"pairs": count}}


PARTS: dict[str, tuple[Callable[[Given], Iterator[Row]], float]] = {  # with its share of the time
    "products": (products, 25), "golden cases": (golden_cases, 30), "inference": (inference, 120),
    "training": (training, 235), "scores": (scores, 30), "writing": (writing, 35),
}  # fmt: skip


def table(rows: list[Row]) -> str:
    name = next((row["device"] for row in rows if "device" in row), "no device")
    peak = next((1e3 * row["value"] for row in rows if row["what"] == PEAK and "value" in row), math.nan)
    head = f"| {name} | measured | of the bf16 peak | beside |", "|---|---|---|---|"
    return "\n".join([*head, *(line(row, peak) for row in rows)])


def line(row: Row, peak: float) -> str:
    """A row of the table. peak: GFLOP/s."""
    measured = f"{row['value']:.4g} {row['unit']}" if "value" in row else f"not measured: {row['reason']}"
    share = f"{row['value'] * row['gflop'] / peak:.3f}" if {"value", "gflop"} <= row.keys() and peak == peak else ""
    beside = ", ".join(f"{name} {value:.3g}" for name, value in row.get("beside", {}).items())
    return f"| {row['part']}: {row['what']} | {measured} | {share} | {beside} |"


if __name__ == "__main__":
    main()
