"""A third stage through a detector."""

import csv
import json

import pytest
import torch

from detection.differentiable import DetectionLoss
from fuse2task.config import load_recipe
from fuse2task.runtime.checkpoints import read_safetensors
from fuse2task.runtime.errors import RequestError
from fuse2task.training.loop import StageRun
from fusion.checkpoint import load_crossfuse
from fusion.network.plus import CrossFusePlus
from fusion.recipe import FusionRecipe
from fusion.training.detector_stage import DetectorStage
from fusion.training.run import train
from fusion.training.samples import TrainingPairs
from fusion.training.stages import fusion_stage

TINY = """
data: [{root: ROOT, layout: folder, parts: [test], boxes: ROOT/boxes}]
held_out: 1
sampling: {size: 32}
stage1: {epochs: 1, samples: 2, batch: 2, lr: 1.0e-3}
stage2: {network: crossfuse-plus, epochs: 1, samples: 2, batch: 2, lr: 1.0e-3}
task: {detector: DETECTOR, size: 64, epochs: 2, samples: 4, batch: 2, lr: 1.0e-3}
device: cpu
precision: fp32
"""


@pytest.fixture
def recipe(folder_dataset, detector_file, tmp_path):
    root = folder_dataset(5, size=(96, 80), boxes=True)
    path = tmp_path / "tiny.yaml"
    path.write_text(TINY.replace("ROOT", str(root)).replace("DETECTOR", str(detector_file)))
    return load_recipe(FusionRecipe, str(path))


@pytest.mark.slow
def test_the_detector_drives_a_stage_that_resumes(recipe, tmp_path, monkeypatch):
    best = train(recipe, tmp_path / "whole", DetectionLoss)
    network, _ = load_crossfuse(best)
    assert isinstance(network, CrossFusePlus)
    before = read_safetensors(tmp_path / "whole" / "stage2.safetensors")[0]
    after = read_safetensors(tmp_path / "whole" / "task.safetensors")[0]
    assert any(not torch.equal(before[name], after[name]) for name in before)
    assert json.loads((tmp_path / "whole" / "card.json").read_text())["samples"]["task"] == 8
    step, count = StageRun._step, [0]

    def stopping(self, *arguments):
        count[0] += 1
        if count[0] == 5:  # one step into the last epoch of the task
            raise KeyboardInterrupt
        return step(self, *arguments)

    monkeypatch.setattr(StageRun, "_step", stopping)
    with pytest.raises(KeyboardInterrupt):
        train(recipe, tmp_path / "stopped", DetectionLoss)
    train(recipe, tmp_path / "stopped", DetectionLoss)
    stopped = read_safetensors(tmp_path / "stopped" / "task.safetensors")[0]
    assert all(torch.equal(after[name], stopped[name]) for name in after)


def test_a_task_without_boxes_is_refused_before_any_work(recipe, tmp_path):
    (source,) = recipe.data
    bare = recipe.model_copy(update={"data": (source.model_copy(update={"boxes": None}),)})
    with pytest.raises(RequestError, match=r"give data\.N\.boxes"):
        train(bare, tmp_path / "run", DetectionLoss)
    assert not (tmp_path / "run" / "stage1_infrared.safetensors").exists()
    with pytest.raises(RequestError, match="task: a detector drives this stage"):
        train(recipe, tmp_path / "run")


@pytest.mark.slow
def test_pairs_without_boxes_go_on_with_the_loss_of_stage_2(recipe, folder_dataset, tmp_path):
    (source,) = recipe.data
    others = source.model_copy(update={"root": folder_dataset(3, size=(64, 48), name="others"), "boxes": None})
    task = recipe.task.model_copy(update={"general_weight": 2.0})
    joint = recipe.model_copy(update={"data": (source, others), "task": task})
    train(joint, tmp_path / "run", DetectionLoss)
    *_, row = csv.DictReader((tmp_path / "run" / "log.csv").open())
    total, *parts = (float(row[f"train_{name}"]) for name in ("total", "detection", "fusion", "general"))
    assert total == pytest.approx(sum(parts), rel=1e-4)

    pairs = TrainingPairs(joint, tmp_path / "run")
    stage = DetectorStage(pairs, DetectionLoss)
    network = stage.build().eval()
    images = [torch.rand(1, planes, side, side) * 255 for planes, side in ((1, 64), (1, 64), (2, 64))]
    boxes, general = torch.full((1, 64, 5), -1.0), [torch.rand(1, 1, 32, 32) * 255 for _ in range(2)]
    with torch.no_grad():
        alone, both = stage.losses(network, *images, boxes), stage.losses(network, *images, boxes, *general)
        of_stage_2 = fusion_stage(pairs).loss_of(network(*general), *general)["total"]
    torch.testing.assert_close(both["total"] - alone["total"], 2 * of_stage_2, rtol=1e-4, atol=1e-3)
