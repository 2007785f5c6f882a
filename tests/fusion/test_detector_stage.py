"""The stage that a detector drives: its samples with boxes and colour, and its training."""

import csv
import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from detection.differentiable import DetectionLoss
from fuse2task.config import load_recipe
from fuse2task.data.dataset import Box
from fuse2task.data.images import luma, read_infrared, read_visible
from fuse2task.data.loading import load_dataset
from fuse2task.runtime.checkpoints import read_safetensors
from fuse2task.runtime.errors import RequestError
from fuse2task.training.loop import StageRun
from fusion.checkpoint import load_crossfuse
from fusion.network.plus import CrossFusePlus
from fusion.recipe import FusionRecipe, Jitter, Sampling, Source
from fusion.training.detector_stage import BoxSamples, DetectorStage, WithGeneral, _cropped, boxes_of, in_colour
from fusion.training.run import train
from fusion.training.samples import Draw, KeptTensors, PairSamples, TrainingPairs
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


@pytest.fixture
def dataset(folder_dataset):
    root = folder_dataset(4, size=(96, 80), boxes=True)
    return load_dataset(root, "folder", boxes=root / "boxes")


@pytest.fixture
def samples(dataset, tmp_path):
    def make(size=64):
        boxes = {pair.infrared: dataset.boxes.boxes[pair.id] for pair in dataset.pairs}
        return BoxSamples(dataset.pairs, dataset.boxes.classes, boxes, size, KeptTensors(tmp_path, "task"))

    return make


def test_a_sample_is_a_crop_of_all_planes_and_its_boxes(dataset, samples):
    infrared, visible, chroma, boxes, number = samples()[Draw(2, (1, 2))]
    assert infrared.shape == visible.shape == (1, 64, 64)
    assert chroma.shape == (2, 64, 64)
    assert number == 2
    pair = dataset.pairs[2]
    whole = read_infrared(pair.infrared)
    planes = [infrared[0], visible[0]]
    places = [
        (top, left, flip)
        for top in range(17) for left in range(33) for flip in (1, -1)
        if np.array_equal(whole[top : top + 64, left : left + 64][:, ::flip], planes[0])
    ]  # fmt: skip
    ((top, left, flip),) = places
    assert np.array_equal(luma(read_visible(pair.visible))[top : top + 64, left : left + 64][:, ::flip], planes[1])
    (box,) = dataset.boxes.boxes[pair.id]
    (row,) = boxes[boxes[:, 0] >= 0]
    low, high = max(box.x - left, 0), min(box.x + box.w - left, 64)
    centre = (low + high) / 2 / 64
    assert row[1] == pytest.approx(centre if flip == 1 else 1 - centre, abs=1e-5)
    assert row[3] == pytest.approx((high - low) / 64, abs=1e-5)
    first, again = (samples()[Draw(2, (1, 2))][:4] for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))


def test_boxes_and_planes_are_zoomed_alike(dataset, tmp_path):
    box = Box(dataset.boxes.classes[0], 36, 30, 24, 20)
    boxes = {pair.infrared: (box,) for pair in dataset.pairs}
    kept = KeptTensors(tmp_path, "task")
    samples = BoxSamples(dataset.pairs, dataset.boxes.classes, boxes, 64, kept, Jitter(zoom=1.25))
    marked, sides = np.zeros((4, 80, 96), dtype=np.uint8), set()
    marked[:, 30:50, 36:60] = 255
    samples._kept.get = lambda number, make: torch.from_numpy(marked)
    for number in range(20):
        infrared, _, _, rows, _ = samples[Draw(2, ("key", number))]
        for _, x, y, w, h in rows[rows[:, 0] >= 0] * 64:
            inside = infrared[0, round(y - h / 2) : round(y + h / 2), round(x - w / 2) : round(x + w / 2)]
            assert inside.mean() > 200
            assert infrared.sum() / 255 == pytest.approx(w * h, rel=0.15)
            sides.add(round(float(w * h)))
    assert len(sides) > 5


def test_colour_comes_back(dataset, samples):
    _, visible, chroma, *_ = samples(80)[Draw(1, (0,))]
    visible, chroma = (torch.from_numpy(part[None].astype(np.float32)) for part in (visible, chroma))
    rgb = (in_colour(visible, chroma)[0] * 255).numpy()
    whole = read_visible(dataset.pairs[1].visible).transpose(2, 0, 1)
    errors = [
        np.abs(whole[:, :, left : left + 80][..., ::flip].astype(float) - rgb).max()
        for left in range(17) for flip in (1, -1)
    ]  # fmt: skip
    assert min(errors) < 3  # 8-bit YCrCb


@given(st.floats(-50, 150), st.floats(-50, 150), st.floats(2, 80), st.floats(2, 80))
def test_boxes_stay_inside_and_mostly_hidden_ones_go(x, y, w, h):
    found = _cropped(np.array([[1, x, y, w, h]], dtype=np.float32), 10, 20, 64)
    seen = max(0, min(x + w, 74) - max(x, 10)) * max(0, min(y + h, 84) - max(y, 20)) / (w * h)
    if abs(seen - 0.4) > 1e-3:
        assert len(found) == (seen > 0.4)
    if len(found):
        centre, size = found[0, 1:3], found[0, 3:5]
        assert (centre - size / 2 > -1e-5).all()
        assert (centre + size / 2 < 1 + 1e-5).all()


def test_crops_larger_than_an_image_and_missing_boxes_are_refused(dataset, samples, tmp_path):
    with pytest.raises(RequestError, match=r"p0 is smaller than the crops; lower task.size=96"):
        samples(96)
    with pytest.raises(RequestError, match="boxes"):
        BoxSamples(dataset.pairs, (), {}, 32, KeptTensors(tmp_path, "task"))


def test_general_samples_come_from_the_pairs_without_boxes(dataset, tmp_path):
    boxes = {pair.infrared: dataset.boxes.boxes[pair.id] for pair in (dataset.pairs[0], dataset.pairs[2])}
    task = BoxSamples(dataset.pairs, dataset.boxes.classes, boxes, 64, KeptTensors(tmp_path, "task"))
    shared = PairSamples(dataset.pairs, Sampling(size=32, flips=False), KeptTensors(tmp_path, "pairs"))
    both = WithGeneral(task, shared)
    assert len(both.pairs) == 2
    others = [(read_infrared(dataset.pairs[i].infrared), luma(read_visible(dataset.pairs[i].visible))) for i in (1, 3)]
    seen = set()
    for position in range(12):
        draw = Draw(position % 2, ("seed", position))
        *images, infrared, visible, number = both[draw]
        assert number == (0, 2)[position % 2]
        assert all(np.array_equal(a, b) for a, b in zip(images, task[draw], strict=False))
        assert np.array_equal(infrared, both[draw][4])
        windows = [np.lib.stride_tricks.sliding_window_view(np.stack(pair), (2, 32, 32))[0] for pair in others]
        found = [(window == np.concatenate([infrared, visible])).all(axis=(2, 3, 4)).any() for window in windows]
        assert sum(found) == 1
        seen.add(found.index(True))
    assert seen == {0, 1}


def test_general_samples_need_pairs_without_boxes(samples, dataset, tmp_path):
    shared = PairSamples(dataset.pairs, Sampling(size=32), KeptTensors(tmp_path, "pairs"))
    with pytest.raises(RequestError, match=r"general_weight: every training pair has boxes"):
        WithGeneral(samples(), shared)


def test_boxes_of_a_source_may_be_annotations_with_flags_that_are_ignored(folder_dataset):
    root = folder_dataset(2, size=(96, 80))
    box = "<bndbox><xmin>{}</xmin><ymin>2</ymin><xmax>40</xmax><ymax>30</ymax></bndbox>"
    (root / "xml").mkdir()
    for name in ("p0", "p1"):
        objects = f"<object><name>car</name>{box.format(2)}</object>"
        objects += f"<object><name>car</name><difficult>1</difficult>{box.format(9)}</object>"
        (root / "xml" / f"{name}.xml").write_text(f"<annotation>{objects}</annotation>")
    source = {"root": root, "layout": "folder", "parts": ["test"], "annotations": root / "xml"}
    for more, count in (({}, 4), ({"ignore": "difficult"}, 2)):
        recipe = FusionRecipe.model_construct(data=(Source(**source, **more),))
        assert sum(map(len, boxes_of(recipe)[1].values())) == count
    assert set(Source(root=root, layout="folder").model_dump()) == {"root", "layout", "split", "parts", "boxes"}
