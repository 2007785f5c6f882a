"""Clean references of degraded pairs: found by id beside them, refused where one does not fit."""

import pytest

from fuse2task.data.loading import clean_pairs, load_dataset
from fuse2task.runtime.errors import RequestError


@pytest.fixture
def awmm(tmp_path, pairs_in):
    """A root with two weathers, degraded pairs as PNG, references as JPEG."""
    for weather in ("Rain", "Snow"):
        pairs_in(tmp_path / weather / "ir", tmp_path / weather / "vi", "1.png", "2.png")
        pairs_in(tmp_path / weather / "gt_ir", tmp_path / weather / "gt_vi", "1.jpg", "2.jpg")
    return tmp_path


def test_files_change_and_nothing_else_does(awmm):
    dataset = load_dataset(awmm, "awmm")
    clean = clean_pairs(dataset)
    assert [pair.id for pair in clean] == ["Rain__1", "Rain__2", "Snow__1", "Snow__2"]
    for degraded, pair in zip(dataset.pairs, clean, strict=True):
        weather, number = pair.id.split("__")
        assert pair.infrared == awmm / weather / "gt_ir" / f"{number}.jpg"
        assert pair.visible == awmm / weather / "gt_vi" / f"{number}.jpg"
        assert (pair.split, pair.size, pair.conditions) == (degraded.split, degraded.size, degraded.conditions)


def test_one_weather_alone(awmm):
    first, _ = clean_pairs(load_dataset(awmm / "Snow", "awmm"))
    assert (first.id, first.infrared) == ("1", awmm / "Snow" / "gt_ir" / "1.jpg")


def test_what_does_not_fit_is_listed(awmm, picture):
    (awmm / "Rain" / "gt_vi" / "2.jpg").unlink()
    picture(awmm / "Snow" / "gt_ir" / "1.jpg", (40, 24))
    with pytest.raises(RequestError) as caught:
        clean_pairs(load_dataset(awmm, "awmm"))
    assert "2 clean references do not fit" in str(caught.value)
    assert "no clean visible reference of id 'Rain__2'" in str(caught.value)
    assert "40x24, but the degraded pair is 32x24" in str(caught.value)


def test_a_whole_folder_is_missing(awmm, pairs_in):
    pairs_in(awmm / "Haze" / "ir", awmm / "Haze" / "vi", "1.png")
    with pytest.raises(RequestError, match=r"no clean references in it; their folders are .*gt_ir,gt_vi"):
        clean_pairs(load_dataset(awmm / "Haze", "awmm"))
    with pytest.raises(RequestError, match="no clean infrared reference of id 'Haze__1'"):
        clean_pairs(load_dataset(awmm, "awmm"))


def test_other_layouts_have_none(tmp_path, pairs_in):
    pairs_in(tmp_path / "cropinfrared", tmp_path / "crop_LR_visible", "FLIR_00006.jpg")
    with pytest.raises(RequestError, match=r"layout roadscene has no clean references \(awmm has\)"):
        clean_pairs(load_dataset(tmp_path, "roadscene"))
