"""The three stages of training CrossFuse: two auto-encoders, then cross attention and fusion decoder."""

from abc import ABC, abstractmethod
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from fuse2task.runtime.files import write_bytes
from fusion.losses import fusion_loss, plus_loss, reconstruction_loss
from fusion.network.crossfuse import CrossFuseNetwork
from fusion.network.layers import AutoEncoder
from fusion.network.plus import CrossFusePlus, PlusAutoEncoder
from fusion.quality.information import entropy, mutual_information
from fusion.quality.structure import ssim
from fusion.recipe import FusionRecipe, PlusStage2, Stage, Stage1, Stage2
from fusion.training.frozen_encoders import FrozenEncoders
from fusion.training.kept_tensors import KeptTensors
from fusion.training.samples import PairDataset
from fusion.weights import AnyAutoEncoder, load_autoencoder, save_autoencoder


class TrainingStage(ABC):
    """One stage: its network, its loss, what it validates and shows."""

    name: str
    settings: Stage
    keeps_last = False  # of its checkpoints; else the one with the lowest validation loss

    @abstractmethod
    def build(self) -> nn.Module:
        """A fresh network; only what is trained requires a gradient."""

    def samples(self, shared: PairDataset) -> PairDataset:
        """What the batches are made of: tuples of tensors, the number of the pair last; by default the run's own."""
        return shared

    def frozen(self, network: nn.Module, numbers: Tensor, *images: Tensor) -> tuple[Tensor, ...]:
        """What the frozen part of the network makes of a batch, appended to what `losses` gets; by default nothing.

        Without a graph; the network is on its device. numbers: those of the batch's pairs.
        """
        return ()

    @abstractmethod
    def losses(self, network: nn.Module, *images: Tensor) -> dict[str, Tensor]:
        """Losses of a batch of samples: infrared and visible (B, 1, S, S) in [0, 255], then what else `samples`
        gives, then what `frozen` made; `total` is what is minimised."""

    @abstractmethod
    def validate(self, network: nn.Module, infrared: Tensor, visible: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """Losses and scores of held-out samples, and the output images (B, 1, S, S) in [0, 255]."""

    @abstractmethod
    def weights_file(self, run: Path) -> Path:
        """Where the finished weights go; the stage is done when it is there."""

    @abstractmethod
    def keep(self, network: nn.Module, run: Path) -> None:
        """Write the finished weights."""


class AutoEncoderStage(TrainingStage):
    """Stage 1 of one modality."""

    def __init__(self, modality: str, settings: Stage1, network: type[AnyAutoEncoder]):
        self.modality, self.settings, self.name = modality, settings, f"stage1_{modality}"
        self.network = network
        self.ms_ssim = settings.ms_ssim

    def build(self) -> nn.Module:
        return self.network()

    def losses(self, network: nn.Module, *images: Tensor) -> dict[str, Tensor]:
        infrared, visible = images
        image = infrared if self.modality == "infrared" else visible
        return reconstruction_loss(network(image), image, self.ms_ssim)

    def validate(self, network: nn.Module, infrared: Tensor, visible: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        image = infrared if self.modality == "infrared" else visible
        out = network(image).float()
        scores = {"SSIM": ssim(image[:, 0], out[:, 0]).mean()}
        return reconstruction_loss(out, image, self.ms_ssim) | scores, out

    def weights_file(self, run: Path) -> Path:
        return run / f"{self.name}.safetensors"

    def keep(self, network: nn.Module, run: Path) -> None:
        assert isinstance(network, AnyAutoEncoder)
        save_autoencoder(self.weights_file(run), network, self.modality)


class FusionStage(TrainingStage):
    """Stage 2 of either network."""

    name = "stage2"

    def __init__(self, run: Path):
        self.run = run

    @abstractmethod
    def loss_of(self, out: Tensor, infrared: Tensor, visible: Tensor) -> dict[str, Tensor]:
        """Losses of fused images (B, 1, S, S) in [0, 255]."""

    def losses(self, network: nn.Module, *images: Tensor) -> dict[str, Tensor]:
        infrared, visible, *deep = images
        return self.loss_of(network(infrared, visible, *deep), infrared, visible)

    def validate(self, network: nn.Module, infrared: Tensor, visible: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        out = network(infrared, visible).float()
        fused, ir, vi = (image[:, 0] for image in (out, infrared, visible))
        scores = {
            "EN": entropy(fused),
            "MI": mutual_information(ir, fused) + mutual_information(vi, fused),
            "SSIM": (ssim(ir, fused) + ssim(vi, fused)) / 2,
        }
        losses = self.loss_of(out, infrared, visible)
        return losses | {name: score.mean() for name, score in scores.items()}, out

    def weights_file(self, run: Path) -> Path:
        return run / f"{self.name}.safetensors"

    def keep(self, network: nn.Module, run: Path) -> None:
        write_bytes(self.weights_file(run), (run / "best.safetensors").read_bytes())

    def with_trained_encoders(self, network: CrossFuseNetwork | CrossFusePlus) -> None:
        """Copy the encoders of stage 1 into `network`."""
        for modality, encoder in (("infrared", network.encoder_ir), ("visible", network.encoder_vi)):
            trained = load_autoencoder(self.run / f"stage1_{modality}.safetensors")
            encoder.load_state_dict(trained.encoder.state_dict())


class FaithfulStage(FusionStage):
    """Stage 2 of the faithful network: attention and decoder on frozen encoders.

    samples_are_fixed: whether a pair gives the same sample every time, so that its deep features are worth keeping.
    """

    def __init__(self, settings: Stage2, run: Path, samples_are_fixed: bool):
        super().__init__(run)
        self.settings, self.gradient_weight, self.deep_gain = settings, settings.gradient_weight, settings.deep_gain
        self.samples_are_fixed = samples_are_fixed
        self._encoders: FrozenEncoders | None = None

    def build(self) -> nn.Module:
        network = CrossFuseNetwork()
        self.with_trained_encoders(network)
        for encoder in (network.encoder_ir, network.encoder_vi):
            encoder.requires_grad_(False)
        norm = network.decoder.conv4.norm
        assert norm is not None
        nn.init.constant_(norm.weight, self.deep_gain)
        return network

    def frozen(self, network: nn.Module, numbers: Tensor, *images: Tensor) -> tuple[Tensor, ...]:
        if self._encoders is None:
            assert isinstance(network, CrossFuseNetwork)
            kept = KeptTensors(self.run, "deep-features") if self.samples_are_fixed else None
            self._encoders = FrozenEncoders(network, kept)
        infrared, visible = images
        return self._encoders(infrared, visible, numbers)

    def loss_of(self, out: Tensor, infrared: Tensor, visible: Tensor) -> dict[str, Tensor]:
        return fusion_loss(out, infrared, visible, self.gradient_weight)


class PlusStage(FusionStage):
    """Stage 2 of CrossFuse-plus: all of it."""

    def __init__(self, settings: PlusStage2, run: Path):
        super().__init__(run)
        self.settings = settings
        self.weights = settings.gradient_weight, settings.structure_weight

    def build(self) -> nn.Module:
        network = CrossFusePlus()
        self.with_trained_encoders(network)
        return network

    def loss_of(self, out: Tensor, infrared: Tensor, visible: Tensor) -> dict[str, Tensor]:
        return plus_loss(out, infrared, visible, *self.weights)


def stages_of(recipe: FusionRecipe, run: Path) -> list[TrainingStage]:
    """The stages in the order in which they are trained."""
    autoencoder: type[AnyAutoEncoder] = AutoEncoder if isinstance(recipe.stage2, Stage2) else PlusAutoEncoder
    return [
        AutoEncoderStage("infrared", recipe.stage1, autoencoder),
        AutoEncoderStage("visible", recipe.stage1, autoencoder),
        fusion_stage(recipe, run),
    ]


def fusion_stage(recipe: FusionRecipe, run: Path) -> FusionStage:
    """Stage 2 of the recipe's network."""
    if isinstance(recipe.stage2, Stage2):
        return FaithfulStage(recipe.stage2, run, recipe.sampling.is_fixed)
    return PlusStage(recipe.stage2, run)


def sample_sheet(infrared: Tensor, visible: Tensor, out: Tensor, rows: int = 4) -> np.ndarray:
    """Up to `rows` rows of infrared, visible, output side by side: (rows * S, 3 S) uint8."""
    columns = [torch.cat(list(images[:rows, 0]), dim=0) for images in (infrared, visible, out)]
    sheet = torch.cat(columns, dim=1).float().cpu().numpy()
    return np.clip(sheet, 0, 255).astype(np.uint8)
