"""Training CrossFuse: its stages in one run folder."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fuse2task.runtime.errors import RequestError
from fuse2task.runtime.files import refuse_overlap
from fuse2task.runtime.progress import say
from fuse2task.training.loop import TrainingRun
from fusion.recipe import FusionRecipe
from fusion.training.detector_stage import DetectorStage, LoadDetector
from fusion.training.samples import TrainingPairs
from fusion.training.stages import PairStage, stages_of


def train(recipe: FusionRecipe, root: Path, detector: LoadDetector | None = None) -> Path:
    """Train CrossFuse by `recipe` in the run folder `root`; a killed run resumes.

    detector: loads the loss of the stage that `recipe.task` asks for (`detection.differentiable.DetectionLoss`).

    Returns the path of the best checkpoint of the last stage (lowest validation loss, or the last one where the
    stage says so). Under torchrun or `accelerate launch` the batch of the recipe is split over the processes.

    Raises:
        RequestError: bad data, or `root` holds another run.
        Fuse2TaskError: the loss is not finite; the message names the pairs of the batch.
    """
    if recipe.task and detector is None:
        raise RequestError("task: a detector drives this stage; give train its loss, detector=DetectionLoss")
    pairs = TrainingPairs(recipe, Path(root))
    for pair in [*pairs.training.pairs, *pairs.held_out.pairs]:
        refuse_overlap(root, pair.infrared.parent, pair.visible.parent)
    for source in recipe.data:
        refuse_overlap(root, source.boxes, source.annotations)
    run = TrainingRun(recipe, Path(root), recipe.workers, recipe.save_every, recipe.tracker)
    stages: list[PairStage] = []

    def made() -> list[PairStage]:
        if run.is_main:
            say(f"{len(pairs.training.pairs)} training and {len(pairs.held_out.pairs)} held-out pairs")
        stages.extend(stages_of(pairs))
        if recipe.task and detector:
            stages.append(DetectorStage(pairs, detector))
        return stages

    def card(_: Mapping[str, Any]) -> dict[str, Any]:
        last = run.folder.rows()[-1]
        return {
            "method": "crossfuse",
            "network": recipe.stage2.network,
            "pairs": {"training": len(pairs.training.pairs), "held_out": len(pairs.held_out.pairs), "hash": pairs.hash},
            "samples": {s.name.partition("_")[0]: s.epochs * s.steps * s.batch for s in stages},
            "last_validation": {key: last[key] for key in last if key.startswith("val_") and last[key]},
        }

    return run.train(made, card, pairs.hash)
