"""What is evaluated or learned from is what the manifest names, and predictions belong to the truth."""

import json
import shutil

import numpy as np
import pytest

from detection.coco import read_truth
from detection.predictions import read_predictions, write_results
from detection.recipe import DetectionRecipe
from detection.training import train
from fuse2task.data.fused import open_fused, verify_images, verify_truth
from fuse2task.data.images import read_visible, write_image
from fuse2task.runtime.errors import RequestError
from segmentation.evaluation import evaluate as evaluate_masks

CLASSES = ("background", "car")


def lighter(path):
    write_image(path, np.minimum(read_visible(path), 250) + np.uint8(1))


def moved(path):
    truth = json.loads(path.read_text())
    truth["annotations"][0]["bbox"][0] += 1
    path.write_text(json.dumps(truth))


ALTERED = {
    "images/test/p1.png": lighter,
    "labels/test/p1.txt": lambda path: path.write_text("0 0.4 0.5 0.2 0.25\n"),
    "annotations/test.json": moved,
}


@pytest.mark.parametrize("name", ALTERED)
def test_an_altered_or_missing_file_is_named(fused_dataset, name):
    dataset, path = open_fused(fused_dataset), fused_dataset / name
    verify_images(dataset, ["test"])
    verify_truth(dataset, ["test"])
    before = path.read_bytes()
    ALTERED[name](path)
    check = verify_images if name.startswith("images") else verify_truth
    with pytest.raises(RequestError, match=path.name if path.suffix != ".json" else "annotations"):
        check(dataset, ["test"])
    path.unlink()
    with pytest.raises(RequestError, match=path.stem):
        check(dataset, ["test"])
    path.write_bytes(before)
    check(dataset, ["test"])


def altered_manifest(root, change):
    manifest = json.loads((root / "manifest.json").read_text())
    change(manifest)
    (root / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize(("key", "check"), [("image", verify_images), ("label", verify_truth)])
def test_a_row_without_a_hash_verifies_nothing(fused_dataset, key, check):
    altered_manifest(fused_dataset, lambda manifest: manifest["files"][1].pop(key))
    with pytest.raises(RequestError, match=r"p1\.\w+: manifest.json has no hash of it"):
        check(open_fused(fused_dataset), ["test"])


@pytest.mark.parametrize(
    "change",
    [
        lambda manifest: manifest["files"].append(manifest["files"][0]),
        lambda manifest: manifest["truth"]["classes"].append(manifest["truth"]["classes"][0]),
    ],
)
def test_a_manifest_names_every_file_and_class_once(fused_dataset, change):
    altered_manifest(fused_dataset, change)
    with pytest.raises(RequestError, match=r"manifest\.json: damaged manifest \(a file or a class"):
        open_fused(fused_dataset)


@pytest.mark.parametrize(("folder", "check"), [("images", verify_images), ("labels", verify_truth)])
def test_files_that_the_manifest_does_not_name_and_links_are_refused(fused_dataset, tmp_path, folder, check):
    place = fused_dataset / folder / "test"
    check(open_fused(fused_dataset), ["test"])
    np.save(place / "p1.npy", np.zeros((8, 8, 3), np.uint8))  # what Ultralytics would read instead of p1.png
    with pytest.raises(RequestError, match=r"p1\.npy: manifest.json does not name it"):
        check(open_fused(fused_dataset), ["test"])
    (place / "p1.npy").unlink()
    first = sorted(place.iterdir())[0]
    first.rename(tmp_path / "elsewhere")
    first.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RequestError, match=rf"{first.name}: a link"):
        check(open_fused(fused_dataset), ["test"])


@pytest.mark.parametrize("version", [99, None, "1"])
def test_a_manifest_of_another_version_is_refused(fused_dataset, version):
    altered_manifest(fused_dataset, lambda manifest: manifest.update(version=version))
    with pytest.raises(RequestError, match=rf"manifest\.json: version {version!r}, but this fuse2task reads 1"):
        open_fused(fused_dataset)


def test_detection_eval_refuses_an_altered_truth(fused_dataset, tmp_path, run_cli):
    truth, found = fused_dataset / "annotations" / "test.json", tmp_path / "dets.json"
    found.write_text(json.dumps([{"image_id": 2, "category_id": 1, "bbox": [1, 1, 9, 9], "score": 0.5}]))
    command = ["detection", "eval", "--truth", truth, "--predictions", found, "-o", tmp_path / "metrics.json"]
    assert run_cli(*command) == 0, run_cli.error
    (tmp_path / "elsewhere").mkdir()
    shutil.copy(truth, tmp_path / "elsewhere" / "test.json")
    moved(truth)
    assert run_cli(*command) == 2
    assert "manifest.json" in run_cli.error
    command[3] = tmp_path / "elsewhere" / "test.json"  # a truth of no dataset is taken as it is
    assert run_cli(*command) == 0, run_cli.error


def test_detection_training_refuses_altered_images(fused_dataset, reseal, tmp_path):
    manifest = json.loads((fused_dataset / "manifest.json").read_text())
    for row in manifest["files"]:
        row["split"] = "train"
    for folder in ("images", "labels"):
        (fused_dataset / folder / "test").rename(fused_dataset / folder / "train")
    (fused_dataset / "annotations" / "test.json").rename(fused_dataset / "annotations" / "train.json")
    (fused_dataset / "manifest.json").write_text(json.dumps(manifest))
    reseal(fused_dataset)
    lighter(fused_dataset / "images" / "train" / "p2.png")
    recipe = DetectionRecipe(data=str(fused_dataset), epochs=1, image_size=32, device="cpu")
    with pytest.raises(RequestError, match=r"p2\.png: altered"):
        train(recipe, tmp_path / "run")


def test_segmentation_eval_refuses_altered_masks(tmp_path):
    import hashlib

    root = tmp_path / "fused"
    for folder in (root / "masks" / "test", tmp_path / "predicted"):
        write_image(folder / "a.png", np.eye(8, dtype=np.uint8))
    digest = hashlib.sha256((root / "masks" / "test" / "a.png").read_bytes()).hexdigest()
    files = [{"id": "a", "split": "test", "image": "", "label": digest}]
    truth = {"kind": "masks", "classes": list(CLASSES), "hash": ""}
    (root / "manifest.json").write_text(
        json.dumps({"format": "fuse2task.fused", "version": 1, "truth": truth, "files": files})
    )
    assert evaluate_masks(root / "masks" / "test", tmp_path / "predicted", CLASSES)["mIoU"] == 1
    write_image(root / "masks" / "test" / "a.png", np.ones((8, 8), np.uint8))
    with pytest.raises(RequestError, match=r"a\.png: altered"):
        evaluate_masks(root / "masks" / "test", tmp_path / "predicted", CLASSES)


def test_predictions_for_other_images_are_refused(tmp_path):
    def truth(*names, size=40, classes=("car",)):
        images = [{"id": n, "file_name": name, "width": size, "height": 32} for n, name in enumerate(names, 1)]
        categories = [{"id": n, "name": name} for n, name in enumerate(classes, 1)]
        return read_truth({"images": images, "categories": categories, "annotations": []})

    path, own = tmp_path / "dets.json", truth("a.png", "b.png")
    results = [{"image_id": 1, "category_id": 1, "bbox": [1.0, 1.0, 9.0, 9.0], "score": 0.5}]
    write_results(path, results, own)
    other_boxes = read_truth({**own, "annotations": [{"image_id": 1, "category_id": 1, "bbox": [0, 0, 1, 1]}]})
    assert read_predictions(path, own) == read_predictions(path, other_boxes) == results
    for other in (truth("c.png", "d.png"), truth("a.png", "b.png", size=50), truth("a.png", "b.png", classes=("bus",))):
        with pytest.raises(RequestError, match=r"dets\.json: predicted for other images"):
            read_predictions(path, other)
    path.write_text(json.dumps(results[:0]))  # another file than the one that was described
    assert read_predictions(path, truth("c.png", "d.png")) == []


def test_predictions_far_outside_their_image_are_refused():
    truth = read_truth(
        {"images": [{"id": 1, "width": 40, "height": 32}], "categories": [{"id": 1, "name": "a"}], "annotations": []}
    )
    row = {"image_id": 1, "category_id": 1, "score": 0.5}
    inside = [{**row, "bbox": box} for box in ([-3, -3, 9, 9], [35, 30, 20, 20], [0, 0, 40, 32])]
    assert len(read_predictions(inside, truth)) == 3
    for box in ([45, 3, 4, 4], [3, 37, 4, 4], [-9, 3, 4, 4], [3, -9, 4, 4]):
        with pytest.raises(RequestError, match="outside its image of 40x32"):
            read_predictions([{**row, "bbox": box}], truth)
