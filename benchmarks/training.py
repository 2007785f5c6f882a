"""Samples a second of CrossFuse's training: as first written, and with what was done since, in one run.

    python benchmarks/training.py [--data ROOT --layout LAYOUT] [--size 256] [--batch 4] [--steps 6] [--device auto]

"As first written" is the network with PyTorch's own linear layers, encoders in every step, the optimiser unfused, in
fp32. Variants run in turn and each one's fastest step counts, by the clock. Beside it: the loss of the first step,
relative to the first variant's, and the share of the product rate that was measured in the same run (bf16's own for
bf16). Then the loading of samples alone; without --data the pairs are noise, 1024x768. The last table says how long
the release's number of samples takes at these rates.
"""

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import torch
from measuring import calls_a_second, options, product_rate, synchronize, where
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode
from writing import synthetic

from fuse2task.data.dataset import Pair
from fuse2task.data.loading import load_pairs
from fuse2task.runtime.compute import keep_freed_memory, pick_device
from fuse2task.runtime.overlap import threads
from fuse2task.training.loop import batches
from fusion.losses import fusion_loss, plus_loss, reconstruction_loss
from fusion.network.attention import TokenLinear
from fusion.network.crossfuse import CrossFuseNetwork
from fusion.network.layers import AutoEncoder
from fusion.network.plus import CrossFusePlus, PlusAutoEncoder
from fusion.recipe import Sampling
from fusion.training.samples import KeptTensors, PairSamples, draws_of_epoch
from fusion.training.stages import FrozenEncoders

RELEASE = {"stage 1": 2 * 4 * 40_000, "stage 2": 32 * 20_000}  # samples; docs/crossfuse.md
Loss = Callable[[nn.Module, Tensor, Tensor], Tensor]


class Variant(NamedTuple):
    """One way to train: what of today's is used, in which precision."""

    name: str
    today: bool = True
    bf16: bool = False
    frozen: str = ""  # "computed" or "kept" features of frozen encoders, "" where they run inside the network


AS_FIRST = Variant("as first written", today=False)
OF_ALL = (AS_FIRST, Variant("today, fp32"), Variant("today, bf16", bf16=True))
OF_FROZEN = (
    AS_FIRST, Variant("today, fp32", frozen="computed"), Variant("today, fp32, features kept", frozen="kept"),
    Variant("today, bf16", bf16=True, frozen="computed"),
    Variant("today, bf16, features kept", bf16=True, frozen="kept"),
)  # fmt: skip


def main() -> None:
    given = options(__doc__, data=Path, layout=str, size=256, batch=4, steps=6, device="auto")
    keep_freed_memory()
    device = pick_device(given.device)
    rates = {bf16: product_rate(device, torch.bfloat16 if bf16 else torch.float32) for bf16 in (False, True)}
    print(
        f"{device.type}, {where(device)}, torch {torch.__version__}, {given.batch} samples of {given.size} a step; "
        f"products {rates[False]:.0f} (fp32), {rates[True]:.0f} GFLOP/s (bf16)"
    )
    images = torch.randint(0, 256, (2, given.batch, 1, given.size, given.size)).float().to(device)
    speeds = {}
    for stage, (network, loss, variants) in STAGES.items():
        torch.manual_seed(0)
        runs = [Run(network(), loss, variant, images, device) for variant in variants]
        for _ in range(given.steps):
            for run in runs:
                run.step()
        speeds[stage] = report(stage, runs, rates)
    with tempfile.TemporaryDirectory() as name:
        pairs = load_pairs(given.data, given.layout) if given.data else synthetic(Path(name) / "source", 16)
        rates_of_loading = loading(pairs, given.size, given.batch, Path(name))
    texts = (f"{how} {rate:.0f} samples/s" for how, rate in rates_of_loading.items())
    print(f"\nloading, {threads()} threads, {len(pairs)} pairs:  {'  '.join(texts)}")
    for stage, count in RELEASE.items():
        print(f"\nthe release's {count} samples of {stage}:", end="")
        for name, speed in speeds[f"faithful, {stage}"].items():
            print(f"  {name} {count / speed / 3600:.2f} h", end="")
    print()


class Run:
    """One variant under way, with a network of its own that starts from the same weights."""

    def __init__(self, network: nn.Module, loss: Loss, variant: Variant, images: Tensor, device: torch.device):
        torch.manual_seed(0)
        network.apply(lambda module: getattr(module, "reset_parameters", lambda: None)())
        self.variant, self.loss, self.images, self.device = variant, loss, images, device
        self.network = network.train().to(memory_format=torch.channels_last).to(device)  # type: ignore[call-overload]
        self.encoders: FrozenEncoders | None = None
        if isinstance(network, CrossFuseNetwork):
            network.encoder_ir.requires_grad_(False)
            network.encoder_vi.requires_grad_(False)
            if variant.frozen:
                kept = KeptTensors(Path("unused"), "features") if variant.frozen == "kept" else None
                with torch.autocast(device.type, torch.bfloat16, enabled=variant.bf16):
                    self.encoders = FrozenEncoders(network, kept)
        trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
        self.optimizer = torch.optim.AdamW(trained, lr=1e-4, fused=variant.today)
        self.seconds: list[float] = []
        self.first_loss = float("nan")
        self.step()  # the features that are kept are there from now on
        with FlopCounterMode(display=False) as counter:
            self.step()
        self.flops = counter.get_total_flops()

    def step(self) -> None:
        """One step, timed, on the same images each time."""
        synchronize()
        began = time.perf_counter()
        value = self._train().item()
        synchronize()
        if not self.seconds:
            self.first_loss = value
        self.seconds.append(time.perf_counter() - began)

    def steady(self, seconds: float) -> float:
        """Samples a second over about as long; losses are read one step late, as the training loop does."""
        losses: list[Tensor] = []

        def step() -> None:
            losses.append(self._train())
            if len(losses) > 1:
                losses.pop(0).item()

        return self.images.shape[1] * calls_a_second(step, seconds)

    def _train(self) -> Tensor:
        with linear_layers_of_pytorch(not self.variant.today):
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.variant.bf16):
                deep = self.encoders(*self.images, torch.arange(self.images.shape[1])) if self.encoders else ()
                loss = self.loss(self.network, *self.images, *deep)
            loss.backward()
            self.optimizer.step()
            self.optimizer.zero_grad()
        return loss.detach()


def _reconstruction(network: nn.Module, infrared: Tensor, _: Tensor) -> Tensor:
    return reconstruction_loss(network(infrared).float(), infrared)["total"]


def _fusion(network: nn.Module, *images: Tensor) -> Tensor:
    return fusion_loss(network(*images), *images[:2])["total"]


def _plus(network: nn.Module, *images: Tensor) -> Tensor:
    return plus_loss(network(*images), *images, 5.0, 20.0)["total"]


STAGES: dict[str, tuple[type[nn.Module], Loss, tuple[Variant, ...]]] = {
    "faithful, stage 1": (AutoEncoder, _reconstruction, OF_ALL),
    "faithful, stage 2": (CrossFuseNetwork, _fusion, OF_FROZEN),
    "plus, stage 1": (PlusAutoEncoder, _reconstruction, OF_ALL),
    "plus, stage 2": (CrossFusePlus, _plus, OF_ALL),
}


def report(stage: str, runs: list[Run], rates: dict[bool, float]) -> dict[str, float]:
    """Print a table; returns samples a second by variant."""
    print(f"\n{stage:28s} samples/s  ratio  loss of step 1, relative  GFLOP a sample  of the products' rate")
    speeds = {}
    for run in runs:
        batch, first = run.images.shape[1], runs[0]
        speed = speeds[run.variant.name] = batch / min(run.seconds[2:])
        print(
            f"  {run.variant.name:26s}{speed:10.2f}{speed / speeds[first.variant.name]:7.2f}"
            f"{run.first_loss / first.first_loss - 1:+26.1e}{run.flops / batch / 1e9:16.0f}"
            f"{run.flops / min(run.seconds[2:]) / 1e9 / rates[run.variant.bf16]:23.2f}"
        )
    return speeds


def loading(pairs: Sequence[Pair], size: int, batch: int, folder: Path) -> dict[str, float]:
    """Samples a second that the threads make, when a pair is new and when it is kept."""
    samples, rates = PairSamples(pairs, Sampling(size=size), KeptTensors(folder, "pairs")), {}
    for name, epochs in (("decoded", 1), ("kept", 20)):
        draws = [draw for epoch in range(epochs) for draw in draws_of_epoch(len(pairs), len(pairs), (0, name, epoch))]
        began = time.perf_counter()
        made = sum(len(part[-1]) for part in batches(samples, draws, batch, threads(), pinned=False))
        rates[name] = made / (time.perf_counter() - began)
    return rates


@contextmanager
def linear_layers_of_pytorch(wanted: bool) -> Iterator[None]:
    """Train with `nn.Linear`'s own products in the block, if wanted."""
    own = TokenLinear.forward
    try:
        if wanted:
            TokenLinear.forward = nn.Linear.forward  # type: ignore[method-assign]
        yield
    finally:
        TokenLinear.forward = own  # type: ignore[method-assign]


if __name__ == "__main__":
    main()
