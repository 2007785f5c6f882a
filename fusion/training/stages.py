"""The three stages of training CrossFuse: two auto-encoders, then cross attention and fusion decoder."""

from abc import ABC, abstractmethod
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from fusion.checkpoint import load_autoencoder, save_autoencoder
from fusion.losses import fusion_loss, reconstruction_loss
from fusion.network.autoencoder import AutoEncoder
from fusion.network.crossfuse import CrossFuse
from fusion.quality.information import entropy, mutual_information
from fusion.quality.structure import ssim
from fusion.recipe import FusionRecipe, Stage, Stage1, Stage2


class TrainingStage(ABC):
    """One stage: its network, its loss, what it validates and shows."""

    name: str
    settings: Stage

    @abstractmethod
    def build(self) -> nn.Module:
        """A fresh network; only what is trained requires a gradient."""

    @abstractmethod
    def losses(self, network: nn.Module, infrared: Tensor, visible: Tensor) -> dict[str, Tensor]:
        """Losses of a batch, (B, 1, S, S) in [0, 255]; `total` is what is minimised."""

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

    def __init__(self, modality: str, settings: Stage1):
        self.modality, self.settings, self.name = modality, settings, f"stage1_{modality}"
        self.ms_ssim = settings.ms_ssim

    def build(self) -> nn.Module:
        return AutoEncoder()

    def losses(self, network: nn.Module, infrared: Tensor, visible: Tensor) -> dict[str, Tensor]:
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
        assert isinstance(network, AutoEncoder)
        save_autoencoder(self.weights_file(run), network, self.modality)


class FusionStage(TrainingStage):
    """Stage 2. Its finished weights are the run's card and checkpoints, which the trainer writes."""

    name = "stage2"
    settings: Stage2

    def __init__(self, settings: Stage2, run: Path):
        self.settings, self.run = settings, run
        self.gradient_weight = settings.gradient_weight

    def build(self) -> nn.Module:
        network = CrossFuse()
        for modality, encoder in (("infrared", network.encoder_ir), ("visible", network.encoder_vi)):
            trained = load_autoencoder(self.run / f"stage1_{modality}.safetensors")
            encoder.load_state_dict(trained.encoder.state_dict())
            encoder.requires_grad_(False)
        norm = network.decoder.conv4.norm
        assert norm is not None
        nn.init.constant_(norm.weight, self.settings.deep_gain)
        return network

    def losses(self, network: nn.Module, infrared: Tensor, visible: Tensor) -> dict[str, Tensor]:
        return fusion_loss(network(infrared, visible), infrared, visible, self.gradient_weight)

    def validate(self, network: nn.Module, infrared: Tensor, visible: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        out = network(infrared, visible).float()
        fused, ir, vi = (image[:, 0] for image in (out, infrared, visible))
        scores = {
            "EN": entropy(fused),
            "MI": mutual_information(ir, fused) + mutual_information(vi, fused),
            "SSIM": (ssim(ir, fused) + ssim(vi, fused)) / 2,
        }
        losses = fusion_loss(out, infrared, visible, self.gradient_weight)
        return losses | {name: score.mean() for name, score in scores.items()}, out

    def weights_file(self, run: Path) -> Path:
        return run / "card.json"

    def keep(self, network: nn.Module, run: Path) -> None:
        """The trainer writes last and best checkpoints each epoch already."""


def stages_of(recipe: FusionRecipe, run: Path) -> list[TrainingStage]:
    """The stages in the order in which they are trained."""
    return [
        AutoEncoderStage("infrared", recipe.stage1),
        AutoEncoderStage("visible", recipe.stage1),
        FusionStage(recipe.stage2, run),
    ]


def sample_sheet(infrared: Tensor, visible: Tensor, out: Tensor, rows: int = 4) -> np.ndarray:
    """Up to `rows` rows of infrared, visible, output side by side: (rows * S, 3 S) uint8."""
    columns = [torch.cat(list(images[:rows, 0]), dim=0) for images in (infrared, visible, out)]
    sheet = torch.cat(columns, dim=1).float().cpu().numpy()
    return np.clip(sheet, 0, 255).astype(np.uint8)
