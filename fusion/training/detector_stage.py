"""The stage of training that a detector drives."""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from fusion.recipe import FusionRecipe
from fusion.training.box_samples import TaskSamples, WithGeneral, boxes_of
from fusion.training.kept_tensors import KeptTensors
from fusion.training.samples import PairDataset
from fusion.training.stages import FusionStage, fusion_stage
from fusion.weights import load_crossfuse

DetectorLoss = Callable[[Tensor, Tensor], Tensor]  # of RGB images (B, 3, H, W) in [0, 1] and boxes (B, 64, 5)
LoadDetector = Callable[[Path, tuple[str, ...]], DetectorLoss]  # from its weights and the classes of the boxes


class DetectorStage(FusionStage):
    """The whole fusion network learns on: a frozen detector's loss on the fused images in colour, and stage 2's.

    After TarDAL (Liu et al., CVPR 2022), whose detector learns along; here it stays what the images are judged by.
    Where the recipe asks for it, pairs without boxes go on with stage 2's loss beside them.
    """

    name = "task"
    keeps_last = True  # the held-out pairs need not have boxes, so there is nothing to choose by

    def __init__(self, recipe: FusionRecipe, run: Path, load_detector: LoadDetector):
        super().__init__(run)
        assert recipe.task is not None
        self.settings = self.task = recipe.task
        self.fusion = fusion_stage(recipe, run)
        self.classes, self.boxes = boxes_of(recipe)
        self.detector = load_detector(recipe.task.detector, self.classes)

    def build(self) -> nn.Module:
        network, _ = load_crossfuse(self.fusion.weights_file(self.run))
        return network

    def samples(self, shared: PairDataset) -> PairDataset:
        kept = KeptTensors(self.run, "task")
        samples = TaskSamples(shared.pairs, self.classes, self.boxes, self.task.size, kept)
        return WithGeneral(samples, shared) if self.task.general_weight else samples

    def losses(self, network: nn.Module, *images: Tensor) -> dict[str, Tensor]:
        infrared, visible, chroma, boxes, *general = images
        out = network(infrared, visible)
        detection = self.task.detection_weight * self.detector(in_colour(out, chroma), boxes)
        fusion = self.task.fusion_weight * self.fusion.loss_of(out, infrared, visible)["total"]
        losses = {"total": detection + fusion, "detection": detection, "fusion": fusion}
        if general:
            losses["general"] = self.task.general_weight * self.fusion.losses(network, *general)["total"]
            losses["total"] = losses["total"] + losses["general"]
        return losses

    def loss_of(self, out: Tensor, infrared: Tensor, visible: Tensor) -> dict[str, Tensor]:
        return self.fusion.loss_of(out, infrared, visible)


def in_colour(luma: Tensor, chroma: Tensor) -> Tensor:
    """RGB (B, 3, H, W) in [0, 1] of luma (B, 1, H, W) and Cr, Cb (B, 2, H, W) in [0, 255], as OpenCV's BT.601."""
    cr, cb = (chroma - 128).split(1, dim=1)
    rgb = torch.cat([luma + 1.403 * cr, luma - 0.714 * cr - 0.344 * cb, luma + 1.773 * cb], dim=1)
    return (rgb / 255).clamp(0, 1)
