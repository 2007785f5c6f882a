"""`fuse2task data import`: pairs of raw recordings, byte for byte the same whenever they are made."""

import hashlib
import json
import shutil
from dataclasses import replace

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from fuse2task.cli.data import app
from fuse2task.cli.fusion import app as fusion_app
from fuse2task.data.images import read_infrared, read_mask
from fuse2task.data.loading import load_dataset, load_pairs
from fuse2task.rig import importing
from fuse2task.rig.importing import ImportRecipe, _Import, import_pairs
from fuse2task.rig.registration import align
from fuse2task.runtime.errors import RequestError

KELVIN = {"unit": "centikelvin"}
MATCH = {"infrared": "t{id}.tif", "visible": "c{id}.jpg"}


def recipe_of(folder, **settings):
    values = {"infrared": str(folder / "thermal"), "visible": str(folder / "rgb"), "match": MATCH, **settings}
    return ImportRecipe.model_validate(values)


def digests(folder):
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_raw_frames_become_pairs_that_fuse_without_flicker(rig, tmp_path):
    out = tmp_path / "pairs"
    manifest = import_pairs(recipe_of(rig, radiometry=KELVIN, bad_pixels={"frames": 12}), out)
    assert manifest["bad_pixels"] == [[3, 4], [40, 20], [41, 20]]
    low, high = manifest["radiometry"]["kelvin"]
    assert 283 < low < 287
    assert high == pytest.approx(330, abs=0.2)
    assert manifest["sequences"] == {"street": 6, "yard": 6}
    pairs = load_pairs(out, "folder")
    assert [pair.id for pair in pairs][:2] == ["street__0", "street__1"]
    result = CliRunner().invoke(fusion_app, [
        "pairs", "--ir", str(out / "infrared"), "--visible", str(out / "visible"), "--method", "average", "-o",
        str(tmp_path / "fused"),
    ])  # fmt: skip
    assert result.exit_code == 0, result.output
    for folder in (out / "infrared", tmp_path / "fused"):
        for sequence in ("street", "yard"):
            frames = [read_infrared(path) for path in sorted(folder.rglob("*.png")) if sequence in str(path)]
            assert len(frames) == 6
            still = np.stack([frame[:28, :48] for frame in frames]).astype(float)
            assert np.abs(np.diff(still.mean(axis=(1, 2)))).max() < 1


def test_a_second_run_and_another_folder_have_the_same_bytes(rig, tmp_path):
    recipe = recipe_of(rig, radiometry=KELVIN, bad_pixels={})
    first = import_pairs(recipe, tmp_path / "one")
    before = digests(tmp_path / "one")
    assert import_pairs(recipe, tmp_path / "one") == first
    assert digests(tmp_path / "one") == before
    moved = shutil.copytree(rig, tmp_path / "elsewhere" / "raw")
    import_pairs(recipe_of(moved, radiometry=KELVIN, bad_pixels={}), tmp_path / "two")
    assert digests(tmp_path / "two") == before
    assert not (tmp_path / "two" / ".fuse2task").exists()


def test_what_was_interrupted_or_damaged_is_finished_to_the_same_bytes(rig, tmp_path, monkeypatch):
    recipe = recipe_of(rig)
    import_pairs(recipe, tmp_path / "whole")
    write, count = _Import._write, iter(range(100))

    def failing(self, frame, treatment):
        if next(count) == 5:
            raise KeyboardInterrupt
        return write(self, frame, treatment)

    monkeypatch.setattr(_Import, "_write", failing)
    with pytest.raises(KeyboardInterrupt):
        import_pairs(recipe, tmp_path / "cut")
    monkeypatch.undo()
    assert not (tmp_path / "cut" / "import.json").exists()
    import_pairs(recipe, tmp_path / "cut")
    assert digests(tmp_path / "cut") == digests(tmp_path / "whole")
    (tmp_path / "cut" / "infrared" / "yard" / "3.png").write_bytes(b"damaged")
    (tmp_path / "cut" / "visible" / "yard" / "4.jpg").unlink()
    import_pairs(recipe, tmp_path / "cut")
    assert digests(tmp_path / "cut") == digests(tmp_path / "whole")


def test_what_nothing_changes_is_copied(rig, tmp_path):
    for path in (rig / "thermal").rglob("*.tif"):
        cv2.imwrite(str(path), cv2.imread(str(path), cv2.IMREAD_UNCHANGED) // 256)
        eight = cv2.imread(str(path), cv2.IMREAD_UNCHANGED).astype(np.uint8)
        cv2.imwrite(str(path), eight)
    manifest = import_pairs(recipe_of(rig), tmp_path / "pairs")
    assert manifest["radiometry"] is None
    for camera, source in (("infrared", "thermal"), ("visible", "rgb")):
        for frame in manifest["frames"]:
            copied = tmp_path / "pairs" / frame[camera]["path"]
            assert copied.read_bytes() == (rig / source / frame[camera]["source"]).read_bytes()


def test_foreign_folders_other_recipes_and_changed_sources_are_refused(rig, tmp_path):
    out = tmp_path / "pairs"
    import_pairs(recipe_of(rig), out)
    with pytest.raises(RequestError, match="holds an import of another recipe"):
        import_pairs(recipe_of(rig, radiometry=KELVIN), out)
    shutil.copy(rig / "rgb" / "yard" / "c0.jpg", rig / "rgb" / "street" / "c0.jpg")
    with pytest.raises(RequestError, match="holds an import of another content"):
        import_pairs(recipe_of(rig), out)
    for foreign in (rig, rig / "rgb" / "new"):
        with pytest.raises(RequestError, match="input"):
            import_pairs(recipe_of(rig), foreign)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("")
    with pytest.raises(RequestError, match="not an empty folder"):
        import_pairs(recipe_of(rig), tmp_path / "mine")


def test_unequal_sizes_and_radiometric_jpegs_are_refused(rig, tmp_path):
    cv2.imwrite(str(rig / "rgb" / "yard" / "c0.jpg"), np.zeros((96, 128, 3), np.uint8))
    with pytest.raises(RequestError, match=r"t0.tif: 64x48, but .*c0.jpg is 128x96"):
        import_pairs(recipe_of(rig), tmp_path / "pairs")
    assert not (tmp_path / "pairs").exists()
    done, buffer = cv2.imencode(".jpg", np.arange(64 * 48, dtype=np.uint8).reshape(48, 64))
    assert done
    block = b"\xff\xe1\x00\x10FLIR\x00\x01" + bytes(7)
    for folder, name in (("a/thermal", "t1.jpg"), ("a/rgb", "c1.jpg")):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / name).write_bytes(buffer.tobytes()[:2] + block + buffer.tobytes()[2:])
    recipe = recipe_of(tmp_path / "a", match={"infrared": "t{id}", "visible": "c{id}"}, radiometry={})
    with pytest.raises(RequestError, match="a FLIR radiometric JPEG"):
        import_pairs(recipe, tmp_path / "pairs")


@pytest.fixture
def unequal(rig, tmp_path):
    """The rig with visible images of 160x120, where infrared x, y is at 2x + 10, 2y + 12; and points that say so."""
    for path in (rig / "rgb").rglob("*.jpg"):
        seen = np.array([[2, 0, 10.5], [0, 2, 12.5]])  # between middles of pixels
        wide = cv2.warpAffine(cv2.imread(str(path)), seen, (160, 120), borderMode=cv2.BORDER_REPLICATE)
        cv2.imwrite(str(path), wide)
    points = "".join(f"{x},{y},{2 * x + 10},{2 * y + 12}\n" for x, y in ((0, 0), (60, 0), (60, 40), (0, 40), (30, 20)))
    (tmp_path / "points.csv").write_text(f"infrared_x,infrared_y,visible_x,visible_y\n{points}")
    return rig


def test_unequal_cameras_are_cut_to_what_both_see_and_truth_moves_with_its_camera(unequal, tmp_path):
    registration = {"points": str(tmp_path / "points.csv")}
    names = [f"{sequence}/{number}" for sequence in ("street", "yard") for number in range(6)]
    for name in names:
        path = tmp_path / "yolo" / f"{name.replace('/', '/t')}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("0 0.25 0.5 0.125 0.25\n")  # 12, 18, 8, 12 of 64x48
        mask = np.zeros((120, 160), np.uint8)
        mask[32:52, 30:50] = 1
        (tmp_path / "masks" / name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(tmp_path / "masks" / f"{name.replace('/', '/c')}.png"), mask)
    (tmp_path / "yolo" / "classes.txt").write_text("lorry\n")
    (tmp_path / "masks" / "classes.txt").write_text("0 road\n1 lorry\n")
    truth = {"boxes": str(tmp_path / "yolo"), "on": "infrared"}
    recipe = recipe_of(unequal, registration=registration, truth=truth)
    manifest = import_pairs(recipe, tmp_path / "pairs")
    assert {"before", "after"} == set(manifest["residuals"])
    assert manifest["residuals"]["after"]["median"] < 0.5  # the scale, not the shift, is wrong before
    assert manifest["residuals"]["after"]["bits"] > manifest["residuals"]["before"]["bits"]
    sheet = cv2.imread(str(tmp_path / "pairs" / "contact_sheet.png"))
    assert sheet.shape == (3 * (96 + 24), 3 * 128, 3)
    assert {"contact_sheet.png", "blink.gif"} <= set(manifest["files"])
    dataset = load_dataset(tmp_path / "pairs", "folder", annotations=tmp_path / "pairs" / "annotations.json")
    assert {pair.size for pair in dataset.pairs} == {(128, 96)}
    (box,) = dataset.boxes.boxes["yard__3"]
    assert [box.x, box.y, box.w, box.h] == pytest.approx([24, 36, 16, 24], abs=0.01)
    assert read_infrared(tmp_path / "pairs" / "infrared" / "street" / "1.png")[70:, 110:].min() > 240  # the hot one
    visible = cv2.imread(str(tmp_path / "pairs" / "visible" / "street" / "1.png"))
    assert np.array_equal(visible, cv2.imread(str(unequal / "rgb" / "street" / "c1.jpg"))[12:108, 10:138])

    recipe = recipe_of(unequal, registration={"file": str(tmp_path / "pairs" / "alignment.json")},
                       truth={"masks": str(tmp_path / "masks")})  # fmt: skip
    again = import_pairs(recipe, tmp_path / "again")
    for name in manifest["frames"]:
        assert (tmp_path / "again" / name["infrared"]["path"]).read_bytes() == (
            tmp_path / "pairs" / name["infrared"]["path"]
        ).read_bytes()
    assert "mask" in again["frames"][0]
    masks = load_dataset(tmp_path / "again", "folder", masks=tmp_path / "again" / "masks").masks
    assert masks.classes == ("road", "lorry")
    expected = np.zeros((96, 128), np.uint8)
    expected[20:40, 20:40] = 1
    assert np.array_equal(read_mask(masks.masks["yard__5"]), expected)


def test_each_frame_may_have_its_own_registration(unequal, tmp_path):
    arguments = ["import", tmp_path / "rig.yaml", "-o", tmp_path / "pairs", "registration.per_frame=true"]
    recipe = recipe_of(unequal, registration={"points": str(tmp_path / "points.csv")})
    (tmp_path / "rig.yaml").write_text(recipe.model_dump_json())
    result = CliRunner().invoke(app, list(map(str, arguments)))
    assert result.exit_code == 0, result.output
    manifest = json.loads((tmp_path / "pairs" / "import.json").read_text())
    assert all(frame["alignment"]["size"] == [128, 96] for frame in manifest["frames"])
    assert "alignment.json" not in manifest["files"]
    worst = max(manifest["frames"], key=lambda frame: np.hypot(*frame["residual"][1]))
    before, after = (np.hypot(*shift) for shift in worst["residual"])
    assert f"furthest: {worst['id']}, {after:.1f} px ({before:.1f} before)" in result.stdout


def test_frames_whose_registration_failed_are_left_out_where_that_is_asked_for(unequal, tmp_path, monkeypatch):
    def failing(section, frames):
        found = align(section, frames)
        if frames.frames[0].id == "yard__3":
            raise RequestError("nothing in common")
        return replace(found, error=9.5 if frames.frames[0].id == "street__1" else 0.5)

    monkeypatch.setattr(importing, "align", failing)
    registration = {"points": str(tmp_path / "points.csv"), "per_frame": True}
    with pytest.raises(RequestError, match="nothing in common"):
        import_pairs(recipe_of(unequal, registration=registration), tmp_path / "pairs")
    recipe = recipe_of(unequal, registration=registration | {"failed": "drop"})
    manifest = import_pairs(recipe, tmp_path / "dropped")
    assert manifest["failed"] == {"street__1": 9.5, "yard__3": None}
    assert len(manifest["frames"]) == len(load_pairs(tmp_path / "dropped", "folder")) == 10
    before = digests(tmp_path / "dropped")
    assert import_pairs(recipe, tmp_path / "dropped") == manifest
    assert digests(tmp_path / "dropped") == before
    monkeypatch.setattr(importing, "align", lambda section, frames: replace(align(section, frames), error=9.5))
    with pytest.raises(RequestError, match=r"street__0: a corner may be off by 9\.5 px"):
        import_pairs(recipe, tmp_path / "none")


def test_what_serves_new_frames_is_made_again_where_it_is_gone(unequal, tmp_path):
    recipe = recipe_of(unequal, registration={"points": str(tmp_path / "points.csv")}, bad_pixels={})
    import_pairs(recipe, tmp_path / "pairs")
    before = digests(tmp_path / "pairs")
    (tmp_path / "pairs" / "alignment.json").unlink()
    (tmp_path / "pairs" / "bad_pixels.csv").write_text("x,y\n")
    import_pairs(recipe, tmp_path / "pairs")
    assert digests(tmp_path / "pairs") == before


def test_frames_of_another_size_than_the_others_are_listed(unequal, tmp_path):
    cv2.imwrite(str(unequal / "rgb" / "yard" / "c5.jpg"), np.zeros((96, 128, 3), np.uint8))
    recipe = recipe_of(unequal, registration={"points": str(tmp_path / "points.csv")})
    with pytest.raises(RequestError, match=r"c5.jpg: 128x96, but the first one is 160x120"):
        import_pairs(recipe, tmp_path / "pairs")


def test_the_command_tells_what_was_done(rig, tmp_path):
    recipe = tmp_path / "rig.yaml"
    recipe.write_text("infrared: nowhere\nvisible: nowhere\nradiometry: {unit: centikelvin}\nbad_pixels: {}\n")
    options = ["--infrared", rig / "thermal", "--visible", rig / "rgb", "--match", "t{id}", "c{id}"]
    arguments = ["import", recipe, "-o", tmp_path / "pairs", "radiometry.map=plateau", *options]
    result = CliRunner().invoke(app, list(map(str, arguments)))
    assert result.exit_code == 0, result.output
    assert "12 pairs, sequences: 2" in result.stdout
    assert "K) by plateau" in result.stdout
    assert "3 defective pixels repaired" in result.stdout
    result = CliRunner().invoke(app, [*map(str, arguments), "--json"])
    assert json.loads(result.stdout) == json.loads((tmp_path / "pairs" / "import.json").read_text())
    assert CliRunner().invoke(app, ["check", str(tmp_path / "pairs"), "--layout", "folder"]).exit_code == 0


def test_real_pairs_of_two_name_forms(shared_path, tmp_path):
    source = shared_path("data", "FLIR_aligned")
    for folder in ("thermal", "RGB"):
        for path in sorted((source / folder).iterdir())[:4]:
            (tmp_path / "raw").mkdir(exist_ok=True)
            shutil.copy(path, tmp_path / "raw")
    match = {"infrared": "FLIR_{id}_PreviewData.jpg", "visible": "FLIR_{id}_RGB.jpg"}
    raw = str(tmp_path / "raw")
    recipe = ImportRecipe.model_validate({"infrared": raw, "visible": raw, "match": match, "radiometry": {}})
    import_pairs(recipe, tmp_path / "pairs")
    assert [pair.size for pair in load_pairs(tmp_path / "pairs", "folder")] == [(640, 512)] * 4
