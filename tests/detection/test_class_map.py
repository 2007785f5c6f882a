import pytest

from fuse2task.data.class_maps import Matching, classes_left_out, load_class_map, match_classes
from fuse2task.runtime.errors import RequestError

COCO = ("person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck")
M3FD = {"People": 1, "Car": 2, "Bus": 3, "Motorcycle": 4, "Lamp": 5, "Truck": 6}


def test_same_names_need_no_map() -> None:
    truth = {"person": 1, "bicycle": 2, "car": 3}
    assert match_classes(COCO, truth) == Matching({0: 1, 1: 2, 2: 3}, ())


def test_names_are_matched_whatever_their_order() -> None:
    assert match_classes(COCO, {"bus": 1, "person": 2, "truck": 3}) == Matching({5: 1, 0: 2, 7: 3}, ())


def test_shipped_m3fd_map_leaves_lamp_out() -> None:
    matching = match_classes(COCO, M3FD, load_class_map("m3fd-coco"))
    assert matching == Matching({0: 1, 2: 2, 5: 3, 3: 4, 7: 6}, ("Lamp",))


def test_unknown_name_without_a_map_lists_both_sides() -> None:
    with pytest.raises(RequestError) as caught:
        match_classes(COCO, M3FD)
    assert "--class-map" in str(caught.value)
    assert "airplane" in str(caught.value)
    assert "Lamp" in str(caught.value)
    with pytest.raises(RequestError, match="Person"):  # names match exactly or not at all
        match_classes(COCO, {"Person": 1})


def test_entry_may_be_absent_and_judge_classes_may_share_a_target() -> None:
    matching = match_classes(COCO, {"vehicle": 7, "tree": 8}, {"car": "vehicle", "bus": "vehicle"})
    assert matching == Matching({2: 7, 5: 7}, ("tree",))


@pytest.mark.parametrize(
    ("class_map", "message"),
    [
        ({"dog": "Car"}, "dog: not among the judge's classes"),
        ({"car": "Tram"}, "Tram: not among the truth's classes"),
        ({"car": "Car", "Tram": None}, "Tram: not among the truth's classes"),
        ({"car": "Car", "Car": None}, "both null and mapped"),
        ({"Car": None}, "maps no judge class"),
    ],
)
def test_wrong_maps(class_map: dict, message: str) -> None:
    with pytest.raises(RequestError, match=f"map.yaml: .*{message}|map.yaml: {message}"):
        match_classes(COCO, M3FD, class_map, "map.yaml")


def test_left_out_needs_no_judge() -> None:
    assert classes_left_out(M3FD, load_class_map("m3fd-coco")) == ("Lamp",)


@pytest.mark.parametrize("text", ["[car]", "", "car: [Car]", "1: Car", "car: 3"])
def test_files_that_are_no_map(tmp_path, text: str) -> None:
    path = tmp_path / "map.yaml"
    path.write_text(text)
    with pytest.raises(RequestError, match=r"map\.yaml"):
        load_class_map(str(path))


def test_absent_map_names_the_shipped_ones(tmp_path) -> None:
    with pytest.raises(RequestError, match="m3fd-coco"):
        load_class_map(str(tmp_path / "none.yaml"))
