"""Every published row's shipped recipe, on small data in the true layout: what is printed, against other software."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from fuse2task.bench.analysis import beside_published
from fuse2task.bench.api import report_bench, run_bench
from fuse2task.bench.datasets import load_bench_dataset
from fuse2task.bench.recipe import BenchRecipe
from fuse2task.config.recipes import load_recipe, shipped_recipes
from fuse2task.data.images import read_mask
from fuse2task.data.synthetic.scene import render
from fuse2task.data.synthetic.writing import write_m3fd, write_msrs
from fuse2task.results.tables import ResultsTable
from fuse2task.runtime.errors import RequestError

SMALL = ("costs=false", "intervals.replicates=50")


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory) -> Path:
    """A CrossFuse of random weights."""
    from fusion.checkpoint import save_crossfuse
    from fusion.network.crossfuse import CrossFuseNetwork

    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "crossfuse.safetensors"
    save_crossfuse(path, CrossFuseNetwork().eval(), None)
    return path


@pytest.fixture
def run(tmp_path, checkpoint, capsys) -> Callable[..., tuple[Path, str]]:
    """`run(name, *overrides)`: bench folder and output of a shipped recipe with its own methods and published rows."""

    def go(name: str, *overrides: str) -> tuple[Path, str]:
        recipe = load_recipe(BenchRecipe, f"bench/{name}", [*SMALL, f"methods.3.checkpoint={checkpoint}", *overrides])
        capsys.readouterr()
        assert run_bench(recipe, tmp_path / "run")
        return tmp_path / "run", capsys.readouterr().out

    return go


def line(output: str, label: str) -> tuple[float, str]:
    """Our number on the printed line of a row, and the whole line."""
    (found,) = (row for row in output.splitlines() if row.startswith(f"{label}, crossfuse: "))
    return float(re.match(r".*?crossfuse: ([\d.]+)", found)[1]), found


def grey(path: Path) -> np.ndarray:
    """8-bit luma, BT.601."""
    return np.asarray(Image.open(path).convert("L"))


def write_jpegs(root: Path, infrared: str, visible: str, names: list[str], size=(96, 80)) -> None:
    """Synthetic night scenes as JPEG files in two folders."""
    for number, name in enumerate(names):
        scene = render(5, number, size, night=True, task="detection")
        for folder, pixels in ((infrared, scene.infrared), (visible, scene.visible)):
            (root / folder).mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(root / folder / f"{name}.jpg", quality=97)


def test_every_row_of_the_task_has_a_recipe():
    names = {name.removeprefix("bench/published-") for name in shipped_recipes("bench") if "published" in name}
    assert names == {"roadscene-vif", "msrs-scores", "llvip-en", "m3fd-ap", "awmm-qg", "msrs-iou"}
    for name in names:
        recipe = load_recipe(BenchRecipe, f"bench/published-{name}")
        assert recipe.published
        again = BenchRecipe.model_validate(yaml.safe_load(yaml.safe_dump(recipe.model_dump(mode="json"))))
        assert again == recipe
        for row in recipe.published:
            assert row.dataset in recipe.datasets
            assert row.method in {method.name for method in recipe.methods}
            assert row.judge in recipe.judges or row.judge == recipe.scores.profile
            assert row.caveat.endswith(".")


@pytest.mark.slow
def test_roadscene_vif(shared_path, tmp_path, run):
    root, split = shared_path("data", "RoadScene"), tmp_path / "three.txt"
    names = (root / "test50.txt").read_text().split()[:2]
    split.write_text("".join(f"test\t{name}\n" for name in names) + "train\tFLIR_00006\n")
    folder, output = run("published-roadscene-vif", f"datasets.roadscene.root={root}",
                         f"datasets.roadscene.split={split}", "scores.names=[VIF]")  # fmt: skip
    ours, text = line(output, "RoadScene (test) VIF")
    fidelity = pytest.importorskip("torchmetrics.functional.image").visual_information_fidelity
    images = folder / "fused" / "roadscene" / "crossfuse" / "images"
    assert [path.name for path in images.iterdir()] == ["test"]  # the training pairs are not fused
    expected = []
    for name in names:
        files = root / "cropinfrared" / f"{name}.jpg", root / "crop_LR_visible" / f"{name}.jpg"
        planes = [torch.from_numpy(grey(path).copy())[None, None].double()
                  for path in (*files, images / "test" / f"{name}.png")]  # fmt: skip
        expected.append(sum(float(fidelity(planes[2], source)) for source in planes[:2]))
    assert ours == pytest.approx(np.mean(expected), abs=0.0051)
    assert "here, 0.58 published. Test list and kind of VIF are not stated" in text


@pytest.mark.slow
def test_llvip_entropy_in_bits(tmp_path, run):
    measure = pytest.importorskip("skimage.measure")
    root = tmp_path / "LLVIP"
    for split, names in (("train", ["010001"]), ("test", ["190001", "190002"])):
        write_jpegs(root, f"infrared/{split}", f"visible/{split}", names)
        for name in names:
            (root / "Annotations").mkdir(exist_ok=True)
            (root / "Annotations" / f"{name}.xml").write_text(
                "<annotation><size><width>96</width><height>80</height><depth>3</depth></size><object><name>person</name>"
                "<bndbox><xmin>5</xmin><ymin>5</ymin><xmax>20</xmax><ymax>40</ymax></bndbox></object></annotation>"
            )
    folder, output = run("published-llvip-en", f"datasets.llvip.root={root}")
    ours, text = line(output, "LLVIP (test) EN")
    fused = sorted((folder / "fused" / "llvip" / "crossfuse" / "images" / "test").iterdir())
    assert [path.stem for path in fused] == ["190001", "190002"]
    assert ours == pytest.approx(np.mean([measure.shannon_entropy(grey(path)) for path in fused]), abs=0.0051)
    assert re.search(r"[\d.]+ bits .*here, 6\.47 bits published\. Only one kind of EN", text)


@pytest.mark.slow
def test_msrs_scores_without_a_published_number(tmp_path, run):
    write_msrs(tmp_path / "MSRS", 1, 2, 0, (64, 64))
    folder, output = run("published-msrs-scores", f"datasets.msrs.root={tmp_path / 'MSRS'}", "datasets.msrs.split=null")
    ours, text = line(output, "MSRS (test) SD")
    fused = (folder / "fused" / "msrs" / "crossfuse" / "images" / "test").iterdir()
    assert ours == pytest.approx(np.mean([grey(path).std() for path in fused]), abs=0.0051)
    assert "none found published. No table with a row of this CrossFuse could be read" in text
    labels = [row.label for row in load_recipe(BenchRecipe, "bench/published-msrs-scores").published]
    assert [row.split(",")[0] for row in output.splitlines() if row.startswith("MSRS (test)")] == labels


@pytest.mark.slow
def test_awmm_by_degraded_and_clean_sources(tmp_path, run):
    rng = np.random.default_rng(0)
    for folder in ("Test_rain", "Test_Snow", "Test_haze"):
        root = tmp_path / "AWMM-100K" / folder
        write_jpegs(root, "gt_ir", "gt_vi", ["1", "2"])
        for name in ("1", "2"):
            for clean, spoilt in (("gt_ir", "ir"), ("gt_vi", "vi")):
                pixels = np.asarray(Image.open(root / clean / f"{name}.jpg")).astype(float)
                pixels += rng.normal(0, 25, pixels.shape)
                (root / spoilt).mkdir(exist_ok=True)
                Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(root / spoilt / f"{name}.png")
    roots = [f"datasets.{key}.root={tmp_path}/AWMM-100K/{name}"
             for key, name in (("rain", "Test_rain"), ("snow", "Test_Snow"), ("haze", "Test_haze"))]  # fmt: skip
    _, first = run("published-awmm-qg", *roots)
    folder, second = run("published-awmm-qg", *roots, "scores.sources=clean")
    table = ResultsTable(folder).read()
    qg = table[(table["metric"] == "QG") & (table["method"] == "crossfuse") & (table["condition"] == "all")]
    assert set(qg["judge"]) == {"liu", "liu-clean"}
    assert qg.groupby("dataset")["recipe_hash"].nunique().tolist() == [2, 2, 2]  # never compared
    for judge, output in (("liu", first), ("liu-clean", second)):
        for weather, published in (("rain", "40.57 %"), ("snow", "40.9 %"), ("haze", "45.42 %")):
            ours, text = line(output, f"AWMM-100K ({weather}) QG")
            value = qg[(qg["judge"] == judge) & (qg["dataset"] == weather)]["value"].item()
            assert ours == pytest.approx(100 * value, abs=0.051)
            assert f"here, {published} published. QG is metricXydeas" in text
    # The average keeps the noise of degraded sources; beside clean ones that is error.
    noisy = table[(table["metric"] == "QS") & (table["method"] == "average") & (table["condition"] == "all")]
    means = noisy.groupby("judge")["value"].mean()
    assert means["liu"] != pytest.approx(means["liu-clean"], abs=0.01)
    (root := tmp_path / "AWMM-100K" / "Test_haze" / "gt_ir" / "2.jpg").unlink()
    with pytest.raises(RequestError, match=r"no clean infrared reference of id '2'"):
        run("published-awmm-qg", *roots, "scores.sources=clean")
    assert not root.exists()


def test_clean_sources_need_a_layout_with_references(folder_dataset, tmp_path):
    values = {"datasets": {"d": {"root": str(folder_dataset(2)), "layout": "folder"}}, "open_test": True,
              "scores": {"sources": "clean"}}  # fmt: skip
    with pytest.raises(RequestError, match="layout folder has no clean references"):
        run_bench(BenchRecipe.model_validate(values), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_evaluated_split_alone_is_what_a_list_of_it_would_be(make_recipe, recipe_values, tmp_path):
    values = recipe_values()["datasets"]["tiny"]
    whole = load_bench_dataset("tiny", make_recipe())
    listed = tmp_path / "test.txt"
    listed.write_text("".join(f"test\t{name}\n" for name in whole.ids))
    alone, by_list = (load_bench_dataset("tiny", make_recipe(datasets={"tiny": values | more}))
                      for more in ({"evaluated_only": True}, {"split": str(listed)}))  # fmt: skip
    assert alone.dataset.splits == ("test",)
    assert alone.ids == whole.ids
    assert alone.dataset.split_hash == by_list.dataset.split_hash != whole.dataset.split_hash
    assert [truth.hash for truth in alone.truths] == [truth.hash for truth in by_list.truths]


@pytest.mark.slow
def test_m3fd_ap_in_percent(tmp_path, run):
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    root = tmp_path / "M3FD"
    write_m3fd(root, 6, 0, (64, 64))
    folder, output = run(
        "published-m3fd-ap", f"datasets.m3fd.root={root}", f"datasets.m3fd.split={root / 'split.txt'}", "seeds=[0]",
        "judges.yolo-n.recipe=detection/yolo-n-demo", "judges.yolo-n.overrides={image_size: 64, epochs: 1, batch: 4}",
    )  # fmt: skip
    ours, text = line(output, "M3FD AP@[.5:.95]")
    truth = COCO(str(folder / "fused" / "m3fd" / "crossfuse" / "annotations" / "test.json"))
    found = json.loads((folder / "predictions" / "m3fd" / "crossfuse" / "yolo-n-s0" / "dets.json").read_text())
    expected = 0.0
    if found:
        evaluation = COCOeval(truth, truth.loadRes(found), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
        expected = evaluation.stats[0]
    assert ours == pytest.approx(100 * expected, abs=0.051)
    assert re.search(r"[\d.]+ % .*here, 47\.3 % published\. Split, detector and image size are unknown", text)


@pytest.mark.slow
def test_msrs_class_iou_in_percent(tmp_path, run):
    write_msrs(tmp_path / "MSRS", 2, 2, 0, (64, 64))
    folder, output = run(
        "published-msrs-iou", f"datasets.msrs.root={tmp_path / 'MSRS'}", "datasets.msrs.split=null", "seeds=[0, 1]",
        "methods.3=maximum", "published.0.method=maximum", "judges.segmenter.recipe=segmentation/unet-demo",
        "judges.segmenter.overrides={epochs: 1, crop: [64, 64], batch: 2}",
    )  # fmt: skip
    labels = [row.split(", ")[0] for row in output.splitlines() if row.startswith("MSRS Clean")]
    assert labels[0] == "MSRS Clean (test) Background IoU"
    assert len(labels) == 10
    (text,) = (row for row in output.splitlines() if row.startswith(labels[0]))
    masks = sorted((folder / "fused" / "msrs" / "maximum" / "masks" / "test").iterdir())
    ious = []
    for seed in (0, 1):
        predicted = folder / "predictions" / "msrs" / "maximum" / f"segmenter-s{seed}" / "masks"
        truth, found = (np.stack([read_mask(path) for path in paths]) == 0
                        for paths in (masks, [predicted / path.name for path in masks]))  # fmt: skip
        ious.append((truth & found).sum() / (truth | found).sum())
    expected = rf"maximum: {100 * np.mean(ious):.2f} % \(± {100 * np.std(ious, ddof=1):.2f} %, 2 seeds\) here, 98.04 % "
    assert re.search(expected + r"published\. Segmenter and training are unknown", text)
    assert "no result here (no IoU of crossfuse on msrs by segmenter), none found published" in output


def test_rows_without_results_and_the_report(tmp_path, finished, make_recipe, recipe_values):
    row = {"label": "Tiny <AP>", "dataset": "tiny", "judge": "places", "metric": "AP", "method": "average",
           "value": 12.5, "unit": "percent", "decimals": 1, "source": "a paper",
           "caveat": "Not the same [data]."}  # fmt: skip
    rows = [row, row | {"label": "Person", "class": "person", "condition": "night"},
            row | {"label": "Elsewhere", "dataset": "absent"}]  # fmt: skip
    folder = finished(tmp_path / "run", make_recipe())
    recipe = BenchRecipe.model_validate(recipe_values(published=rows))
    assert recipe.id == make_recipe().id
    table, truths = ResultsTable(folder).read(), json.loads((folder / "truths.json").read_text())
    found = beside_published(table, truths, recipe)
    primary = next(key for key, about in truths.items() if about["primary"])
    own = table[(table["truth_hash"] == primary) & (table["method"] == "average") & (table["metric"] == "AP")]
    for entry, condition, name in ((found[0], "all", "all"), (found[1], "night", "person")):
        expected = own[(own["condition"] == condition) & (own["class"] == name)].iloc[0]
        assert (entry["ours"], entry["n_images"]) == (expected["value"], expected["n_images"])
    assert found[2]["ours"] is None
    assert run_bench(recipe, folder)
    page = report_bench(folder).read_text("utf-8")
    summary = (folder / "report" / "summary.md").read_text("utf-8")
    assert "Comparison with published numbers" in page
    assert "Tiny &lt;AP&gt;" in page
    assert f"{100 * found[0]['ours']:.1f} %" in page
    assert "| Tiny &lt;AP&gt; | average | places | " in summary
    assert "12.5 %" in summary
    assert "| Elsewhere | average | places | no result | 12.5 % |" in summary
    assert "Not the same \\[data\\]. Source: a paper." in summary
