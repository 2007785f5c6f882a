"""The training loss: cross-entropy plus Dice."""

from collections.abc import Sequence

import torch

from segmentation.confusion import IGNORE
from segmentation.recipe import Loss


class CrossEntropyDice(torch.nn.Module):
    """Weighted sum of cross-entropy (with class weights) and SMP's multi-class Dice loss, both blind to 255.

    SMP's Dice averages over all classes and gives 0 for those absent from the batch.
    """

    def __init__(self, weights: Loss, class_weights: Sequence[float] | None = None):
        super().__init__()
        from segmentation_models_pytorch.losses import DiceLoss

        self.weights = weights
        balance = None if class_weights is None else torch.tensor(class_weights, dtype=torch.float32)
        self.ce = torch.nn.CrossEntropyLoss(weight=balance, ignore_index=IGNORE)
        self.dice = DiceLoss("multiclass", ignore_index=IGNORE)

    def forward(self, logits: torch.Tensor, mask: torch.Tensor) -> dict[str, torch.Tensor]:
        """{"loss", "ce", "dice"}, float32 scalars, from (N, C, H, W) logits and (N, H, W) int64 indices."""
        logits = logits.float()
        ce, dice = self.ce(logits, mask), self.dice(logits, mask)
        return {"loss": self.weights.ce * ce + self.weights.dice * dice, "ce": ce, "dice": dice}
