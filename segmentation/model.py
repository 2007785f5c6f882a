"""SMP's networks by name, and the segmenter: a network with what is needed to use it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from pydantic import ValidationError

from fuse2task.runtime.checkpoints import load_checkpoint, load_into, save_checkpoint
from fuse2task.runtime.errors import Fuse2TaskError, RequestError
from fuse2task.runtime.packages import go_offline
from segmentation.recipe import SegmentationRecipe
from segmentation.samples import Normalisation

KIND = "fuse2task.segmenter"


def build_model(architecture: str, encoder: str, classes: int) -> torch.nn.Module:
    """An SMP network with random weights, (N, 3, H, W) float32 -> (N, classes, H, W) logits. RequestError: SMP has no
    such architecture or encoder, or they do not go together."""
    go_offline()
    import segmentation_models_pytorch as smp

    known = smp.MODEL_ARCHITECTURES_MAPPING
    if architecture.lower() not in known:
        raise RequestError(f"architecture {architecture!r} is not one of SMP's: {', '.join(known)}")
    if encoder not in smp.encoders.encoders and not encoder.startswith(("tu-", "timm-")):
        ours = ", ".join(smp.encoders.encoders)
        raise RequestError(f"encoder {encoder!r} is not one of SMP's ({ours}); for one of timm's write tu-{encoder}")
    try:
        return smp.create_model(architecture, encoder, encoder_weights=None, in_channels=3, classes=classes)
    except (KeyError, ValueError, TypeError, RuntimeError, AttributeError, NotImplementedError) as error:
        raise RequestError(f"{architecture} cannot be built on encoder {encoder}: {error}") from None


@dataclass
class Segmenter:
    """A network with its classes and normalisation. hash: of its tensors; empty while it is trained."""

    model: torch.nn.Module
    classes: tuple[str, ...]
    normalisation: Normalisation
    hash: str = ""

    @torch.inference_mode()
    def __call__(self, image: np.ndarray) -> np.ndarray:
        """(H, W) uint8 class indices of an (H, W, 3) uint8 RGB image of any size. The image is padded by reflection to
        a multiple of the encoder's stride, half on either side."""
        height, width = image.shape[:2]
        stride = int(getattr(self.model.encoder, "output_stride", 32))
        down, right = -height % stride, -width % stride
        edges = ((down // 2, down - down // 2), (right // 2, right - right // 2), (0, 0))
        padded = np.pad(image, edges, mode="reflect")
        device = next(self.model.parameters()).device
        logits = self.model(self.normalisation(padded)[None].to(device))[0]
        if not bool(torch.isfinite(logits).all()):  # argmax would name a class all the same
            raise Fuse2TaskError("the segmenter gave values that are not finite; look at its checkpoint, or use fp32")
        mask = logits.argmax(0)[edges[0][0] :, edges[1][0] :][:height, :width]
        return mask.to(torch.uint8).cpu().numpy()

    segment = __call__


def save_segmenter(path: Path, segmenter: Segmenter, recipe: SegmentationRecipe) -> str:
    """Write a segmenter as safetensors with recipe, classes, normalisation; returns the tensor hash."""
    scale = {"mean": list(segmenter.normalisation.mean), "std": list(segmenter.normalisation.std)}
    about = {"recipe": recipe.model_dump(mode="json"), "classes": list(segmenter.classes), **scale}
    return save_checkpoint(path, segmenter.model.state_dict(), KIND, **about)


def load_segmenter(path: Path, device: torch.device) -> Segmenter:
    """Read what `save_segmenter` wrote, in evaluation mode on `device`. RequestError: missing, altered, another
    network's, or of an incompatible version."""
    tensors, about = load_checkpoint(path, KIND)
    try:
        recipe = SegmentationRecipe.model_validate(about.get("recipe"))
        classes = tuple(str(name) for name in about["classes"])
        normalisation = Normalisation(tuple(map(float, about["mean"])), tuple(map(float, about["std"])))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise RequestError(f"{path}: its recipe is not one of this version ({where}: {first['msg']})") from None
    except (KeyError, TypeError, ValueError) as error:
        raise RequestError(f"{path}: incomplete metadata ({error}); get the checkpoint again") from None
    model = build_model(recipe.architecture, recipe.encoder, len(classes))
    load_into(model, tensors, path)
    return Segmenter(model.to(device).eval(), classes, normalisation, about["tensor_hash"])
