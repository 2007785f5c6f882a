"""The three stages of training CrossFuse: two auto-encoders, then cross attention and fusion decoder."""

import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from fuse2task.data.images import write_image
from fuse2task.runtime.compute import generator
from fuse2task.runtime.errors import RequestError
from fuse2task.runtime.files import write_bytes
from fuse2task.training.loop import TrainingStage
from fusion.checkpoint import (
    AnyAutoEncoder,
    AnyCrossFuse,
    load_autoencoder,
    load_crossfuse,
    network_name,
    save_autoencoder,
    save_crossfuse,
)
from fusion.losses import fusion_loss, plus_loss, reconstruction_loss
from fusion.network.crossfuse import CrossFuseNetwork
from fusion.network.layers import AutoEncoder
from fusion.network.plus import CrossFusePlus, PlusAutoEncoder
from fusion.network.spectral_block import spectral_encoder
from fusion.quality.information import entropy, mutual_information
from fusion.quality.similarity import ssim
from fusion.recipe import AnyStage2, PlusStage2, Stage, Stage1, Stage2
from fusion.training.samples import Draw, KeptTensors, PairDataset, TrainingPairs, centres, draws_of_epoch
from fusion.weights import find_checkpoint

CALIBRATION = 8  # samples by which batch norms begin as the identity


class PairStage(TrainingStage):
    """A stage on infrared and visible samples (B, 1, S, S) in [0, 255]; checkpoints are those of whole networks."""

    def __init__(self, name: str, settings: Stage, pairs: TrainingPairs, samples: PairDataset | None = None):
        self.name, self.settings, self.pairs = name, settings, pairs
        self.samples = self.pool = samples or pairs.training
        self.epochs, self.batch, self.clip = settings.epochs, settings.batch, settings.clip
        self.count = settings.samples or len(self.pool.pairs)
        self.seed = int(generator(pairs.recipe.seed, name).integers(2**31))
        self.held_out = [pair.id for pair in pairs.held_out.pairs]
        self.weights_file = pairs.root / f"{name}.safetensors"

    @abstractmethod
    def network(self) -> nn.Module:
        """A fresh network; only what is trained requires a gradient."""

    def build(self) -> nn.Module:
        # A quarter faster on the CPU, and what tensor cores want on a GPU.
        return self.network().to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]

    def optimizer(self, network: nn.Module) -> torch.optim.Optimizer:
        """Adam (weight decay as L2 in the gradient, as the release) or AdamW (decoupled)."""
        kind = torch.optim.Adam if self.settings.optimizer == "adam" else torch.optim.AdamW
        trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
        return kind(trained, lr=self.settings.lr, weight_decay=self.settings.weight_decay, fused=True)

    def rate(self, step: int) -> float:
        return learning_rate(self.settings, step, self.steps)

    def draws(self, epoch: int) -> list[Draw]:
        key = self.pairs.recipe.seed, self.name, epoch
        return draws_of_epoch(len(self.pool.pairs), self.steps * self.batch, key, self.pool.crops)

    def ids(self, numbers: Sequence[int]) -> list[str]:
        return [self.pairs.training.pairs[number // (self.pool.crops or 1)].id for number in numbers]

    @abstractmethod
    def evaluated(self, network: nn.Module, infrared: Tensor, visible: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """Losses (`total` first) and scores of held-out samples, and the output images (B, 1, S, S) in [0, 255]."""

    def validate(self, network: nn.Module, epoch: int, sheets: Path) -> dict[str, float]:
        sums: dict[str, float] = {}
        held_out = self.pairs.held_out_batches(self.batch, next(network.parameters()).device)
        for number, (infrared, visible) in enumerate(held_out):
            values, out = self.evaluated(network, infrared, visible)
            for name, value in values.items():
                sums[name] = sums.get(name, 0.0) + value.item() * len(infrared)
            if number == 0:
                # Up to four rows of infrared, visible, output side by side.
                sheet = torch.cat([images[:4, 0].flatten(0, 1) for images in (infrared, visible, out)], dim=1)
                pixels = np.clip(sheet.float().cpu().numpy(), 0, 255).astype(np.uint8)
                write_image(sheets / f"{self.name}-{epoch + 1:03d}.png", pixels)
        return {name: value / len(self.held_out) for name, value in sums.items()}

    def cost(self, found: Mapping[str, float]) -> float | None:
        return found["total"]

    def save(self, network: nn.Module, path: Path) -> None:
        if isinstance(network, AnyCrossFuse):
            save_crossfuse(path, network, self.pairs.recipe.model_dump(mode="json"))

    def is_done(self) -> bool:
        return self.weights_file.is_file()


class AutoEncoderStage(PairStage):
    """Stage 1 of one modality."""

    def __init__(self, modality: str, settings: Stage1, pairs: TrainingPairs, kind: type[AnyAutoEncoder]):
        super().__init__(f"stage1_{modality}", settings, pairs)
        self.modality, self.kind, self.ms_ssim = modality, kind, settings.ms_ssim
        self.number = ("infrared", "visible").index(modality)
        stage2 = pairs.recipe.stage2
        self.starts_fusion = isinstance(stage2, Stage2) and stage2.start == "autoencoders"
        if self.starts_fusion:  # equal first weights, so that the features of both mean the same and can be averaged
            self.seed = int(generator(pairs.recipe.seed, "stage1").integers(2**31))

    def network(self) -> nn.Module:
        network = self.kind()
        if self.starts_fusion:
            # Deep features are shared by their sums over channels, which are to stay above zero.
            nn.init.ones_(network.get_parameter("encoder.dense2.adjust.conv.bias"))
        return network

    def losses(self, network: nn.Module, *images: Tensor) -> dict[str, Tensor]:
        image = images[self.number]
        return reconstruction_loss(network(image), image, self.ms_ssim)

    def evaluated(self, network: nn.Module, infrared: Tensor, visible: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        image = (infrared, visible)[self.number]
        out = network(image).float()
        return reconstruction_loss(out, image, self.ms_ssim) | {"SSIM": ssim(image[:, 0], out[:, 0]).mean()}, out

    def finish(self, network: nn.Module) -> None:
        assert isinstance(network, AnyAutoEncoder)
        save_autoencoder(self.weights_file, network, self.modality)


class FusionStage(PairStage):
    """Stage 2 of either network."""

    @abstractmethod
    def loss_of(self, out: Tensor, infrared: Tensor, visible: Tensor) -> dict[str, Tensor]:
        """Losses of fused images (B, 1, S, S) in [0, 255]."""

    def losses(self, network: nn.Module, *images: Tensor) -> dict[str, Tensor]:
        infrared, visible, *deep = images
        return self.loss_of(network(infrared, visible, *deep), infrared, visible)

    def evaluated(self, network: nn.Module, infrared: Tensor, visible: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        out = network(infrared, visible).float()
        fused, ir, vi = (image[:, 0] for image in (out, infrared, visible))
        scores = {
            "EN": entropy(fused),
            "MI": mutual_information(ir, fused) + mutual_information(vi, fused),
            "SSIM": (ssim(ir, fused) + ssim(vi, fused)) / 2,
        }
        return self.loss_of(out, infrared, visible) | {name: score.mean() for name, score in scores.items()}, out

    def finish(self, network: nn.Module) -> None:
        write_bytes(self.weights_file, (self.pairs.root / "best.safetensors").read_bytes())

    def with_trained_encoders(self, network: CrossFuseNetwork | CrossFusePlus) -> None:
        """Copy the encoders of stage 1 into `network`."""
        for modality, encoder in (("infrared", network.encoder_ir), ("visible", network.encoder_vi)):
            trained = load_autoencoder(self.pairs.root / f"stage1_{modality}.safetensors")
            encoder.load_state_dict(trained.encoder.state_dict())


class FaithfulStage(FusionStage):
    """Stage 2 of the faithful network: attention and decoder on frozen encoders."""

    def __init__(self, settings: Stage2, pairs: TrainingPairs):
        super().__init__("stage2", settings, pairs)
        self.stage2 = settings
        self._encoders: FrozenEncoders | None = None

    def network(self) -> nn.Module:
        network = trained_already(self.stage2)
        if network is None:
            network = CrossFuseNetwork()
            self.with_trained_encoders(network)
            if self.stage2.start == "autoencoders":
                self._start_from_autoencoders(network)
            else:
                nn.init.constant_(network.get_parameter("decoder.conv4.norm.weight"), self.stage2.deep_gain)
        for part in ("encoder_ir", "encoder_vi"):
            network.get_submodule(part).requires_grad_(False)
        return network

    def _start_from_autoencoders(self, network: CrossFuseNetwork) -> None:
        """Decoder: the mean of stage 1's, then a 3x3 identity; batch norms: the identity on the first training samples;
        cross attention: zero until it is trained (as the last norm of a residual block, Goyal et al. 2017)."""
        own = network.decoder
        trained = [load_autoencoder(self.pairs.root / f"stage1_{name}.safetensors") for name in ("infrared", "visible")]
        for name in ("conv1", "conv2", "conv3", "last"):
            first, second = (getattr(autoencoder.decoder, name).conv.state_dict() for autoencoder in trained)
            getattr(own, name).conv.load_state_dict({key: (first[key] + second[key]) / 2 for key in first})
        nn.init.dirac_(own.get_parameter("conv4.conv.weight"))
        nn.init.zeros_(own.get_parameter("conv4.conv.bias"))
        for block in (network.attention.cross_ir_vi, network.attention.cross_vi_ir):
            nn.init.zeros_(block.norm.weight)
        norms = [module for module in own.modules() if isinstance(module, nn.BatchNorm2d)]
        hooks = [norm.register_forward_hook(_become_identity) for norm in norms]
        infrared, visible = centres(self.pool, min(CALIBRATION, len(self.pool.pairs)))
        with torch.no_grad():
            network(infrared.float(), visible.float())
        for hook in hooks:
            hook.remove()

    def frozen(self, network: nn.Module, numbers: Tensor, *images: Tensor) -> tuple[Tensor, ...]:
        if self._encoders is None:
            assert isinstance(network, CrossFuseNetwork)
            kept = KeptTensors(self.pairs.root, "deep-features") if self.pairs.recipe.sampling.is_fixed else None
            self._encoders = FrozenEncoders(network, kept)
        return self._encoders(images[0], images[1], numbers)

    def loss_of(self, out: Tensor, infrared: Tensor, visible: Tensor) -> dict[str, Tensor]:
        return fusion_loss(out, infrared, visible, self.stage2.gradient_weight)


def _become_identity(norm: nn.Module, inputs: tuple[Tensor], _: Tensor) -> Tensor:
    """A hook: make a batch norm the identity on maps like these, and pass them on."""
    assert isinstance(norm, nn.BatchNorm2d)
    variance, mean = torch.var_mean(inputs[0].float(), dim=(0, 2, 3), correction=0)
    made = {"weight": (variance + norm.eps).sqrt(), "bias": mean, "running_mean": mean, "running_var": variance}
    norm.load_state_dict(made, strict=False)
    return inputs[0]


class PlusStage(FusionStage):
    """Stage 2 of CrossFuse-plus: all of it."""

    def __init__(self, settings: PlusStage2, pairs: TrainingPairs):
        super().__init__("stage2", settings, pairs)
        self.stage2 = settings

    def network(self) -> nn.Module:
        if (trained := trained_already(self.stage2)) is not None:
            return trained
        network = CrossFusePlus()
        self.with_trained_encoders(network)
        return network

    def loss_of(self, out: Tensor, infrared: Tensor, visible: Tensor) -> dict[str, Tensor]:
        gradient, structure = self.stage2.gradient_weight, self.stage2.structure_weight
        return plus_loss(out, infrared, visible, gradient, structure, self.stage2.intensity)


def trained_already(settings: AnyStage2) -> AnyCrossFuse | None:
    """The network that stage 2 continues from, None for stage 1's encoders. RequestError: not such a checkpoint."""
    if settings.weights is None:
        return None
    network, _ = load_crossfuse(find_checkpoint(settings.weights))
    if (name := network_name(network)) != settings.network:
        raise RequestError(f"{settings.weights}: holds the network {name}; stage2.network is {settings.network}")
    return network


def stages_of(pairs: TrainingPairs) -> list[PairStage]:
    """The stages of a fusion network in the order in which they are trained."""
    if pairs.recipe.stage1 is None:
        return [fusion_stage(pairs)]
    kind: type[AnyAutoEncoder] = AutoEncoder if isinstance(pairs.recipe.stage2, Stage2) else PlusAutoEncoder
    encoders = [AutoEncoderStage(modality, pairs.recipe.stage1, pairs, kind) for modality in ("infrared", "visible")]
    return [*encoders, fusion_stage(pairs)]


def fusion_stage(pairs: TrainingPairs) -> FusionStage:
    """Stage 2 of the recipe's network."""
    stage2 = pairs.recipe.stage2
    return FaithfulStage(stage2, pairs) if isinstance(stage2, Stage2) else PlusStage(stage2, pairs)


class FrozenEncoders:
    """The encoders of a network that is trained on its device; on a CPU in fp32 those made for inference.

    kept: takes the features of every pair for its next turn; None where each turn shows another sample.
    """

    def __init__(self, network: CrossFuseNetwork, kept: KeptTensors | None):
        self.kept = kept
        self._encoders = network.encoder_ir, network.encoder_vi
        if next(network.parameters()).device.type == "cpu" and not torch.is_autocast_enabled("cpu"):
            self._encoders = spectral_encoder(network.encoder_ir), spectral_encoder(network.encoder_vi)

    @torch.no_grad()
    def __call__(self, infrared: Tensor, visible: Tensor, numbers: Tensor) -> tuple[Tensor, Tensor]:
        """Deep features (B, 128, h, w) of infrared and visible samples (B, 1, H, W) of the pairs `numbers` (B,)."""
        if self.kept is None:
            return self._deep(infrared, visible)
        # One by one, so that they do not depend on what else a resumed run finds missing in the batch.
        each = zip(numbers.tolist(), infrared.split(1), visible.split(1), strict=True)
        features = [self.kept.get(number, partial(self._of_a_pair, *pair)) for number, *pair in each]
        infrared_deep, visible_deep = torch.stack(features).to(infrared.device).unbind(1)
        return infrared_deep, visible_deep

    def _of_a_pair(self, infrared: Tensor, visible: Tensor) -> Tensor:
        # (2, 128, h, w), laid out as files will give it back
        return torch.cat(self._deep(infrared, visible)).cpu().contiguous()

    def _deep(self, infrared: Tensor, visible: Tensor) -> tuple[Tensor, Tensor]:
        return self._encoders[0](infrared / 255)[1], self._encoders[1](visible / 255)[1]


def learning_rate(stage: Stage, step: int, steps_per_epoch: int) -> float:
    """Rate for the step-th update (from 0) of the stage."""
    if stage.schedule == "release":
        return stage.lr * (1.0 if step // steps_per_epoch < 2 else 0.1)
    total = stage.epochs * steps_per_epoch
    warmup = round(stage.warmup * total)
    if step < warmup:
        return stage.lr * (step + 1) / warmup
    return stage.lr * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(total - warmup, 1)))
