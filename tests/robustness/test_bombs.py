"""Small files that would grow: refused before they do."""

import os
import subprocess
import sys
import threading

import numpy as np
import pytest
import valid_files
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from fuse2task.data import images
from fuse2task.data.dataset import Pair
from fuse2task.data.images import image_size, read_mask, read_visible, write_image
from fuse2task.data.truth.boxes import read_voc
from fuse2task.runtime.errors import Fuse2TaskError, RequestError
from fuse2task.runtime.files import read_json
from fuse2task.runtime.reading import parse_yaml, read_text, read_yaml


def test_a_png_is_refused_from_its_header(tmp_path, monkeypatch):
    (tmp_path / "bomb.png").write_bytes(valid_files.png(20_000, 20_000, 8, 2, b"never looked at"))
    monkeypatch.setattr(Image.Image, "load", lambda _: pytest.fail("it was decoded"))
    for read in (image_size, read_visible, read_mask):
        with pytest.raises(RequestError, match=r"bomb\.png: 20000x20000 .*FUSE2TASK_MAX_PIXELS"):
            read(tmp_path / "bomb.png")


def test_the_limit_of_pixels_can_be_set(tmp_path):
    write_image(tmp_path / "a.png", np.zeros((40, 50), np.uint8))
    code = "import sys; from fuse2task.data.images import read_visible; print(read_visible(sys.argv[1]).shape)"
    for limit, told in (("2000", "(40, 50)"), ("1999", "more than 1999 pixels")):
        environment = {**os.environ, "FUSE2TASK_MAX_PIXELS": limit}
        command = [sys.executable, "-c", code, tmp_path / "a.png"]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
        assert told in done.stdout + done.stderr


def test_a_progressive_jpeg_of_thousands_of_scans(tmp_path, monkeypatch):
    (tmp_path / "many.jpg").write_bytes(valid_files.many_scans())
    Image.new("L", (40, 32)).save(tmp_path / "few.jpg", progressive=True)
    assert read_visible(tmp_path / "few.jpg").shape == (32, 40)
    monkeypatch.setattr(Image.Image, "load", lambda _: pytest.fail("it was decoded"))
    with pytest.raises(RequestError, match=r"many\.jpg: .*scans"):
        read_visible(tmp_path / "many.jpg")


def test_a_webp_canvas_is_refused_before_room_is_made_for_it(tmp_path, monkeypatch):
    canvas = (16_383).to_bytes(3, "little") * 2
    data = b"RIFF\x20\0\0\0WEBPVP8X\x0a\0\0\0\x02\0\0\0" + canvas + bytes(40)
    (tmp_path / "a.webp").write_bytes(data)
    monkeypatch.setattr(Image, "open", lambda *_, **__: pytest.fail("Pillow was asked"))
    with pytest.raises(RequestError, match=r"a\.webp: 16384x16384"):
        image_size(tmp_path / "a.webp")


def test_other_formats_than_those_of_images_are_not_asked(tmp_path):
    (tmp_path / "a.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n")
    Image.new("L", (4, 4)).save(tmp_path / "b.png", "gif")
    assert set(images.FORMATS) == {"PNG", "JPEG", "BMP", "TIFF", "WEBP", "PPM"}
    for name in ("a.png", "b.png"):
        with pytest.raises(RequestError, match="not a readable image"):
            image_size(tmp_path / name)


def test_a_billion_laughs(tmp_path):
    text = "a: &a [x,x,x,x,x,x,x,x,x]\n" + valid_files.LAUGHS[valid_files.LAUGHS.index("b:") :]
    (tmp_path / "laughs.yaml").write_text(text)
    with pytest.raises(RequestError, match=r"laughs\.yaml: .*aliases"):
        read_yaml(tmp_path / "laughs.yaml", "recipe")
    doctype = f"<!DOCTYPE a [{valid_files.ENTITIES}]>"
    (tmp_path / "p1.xml").write_text(doctype + valid_files.VOC.replace("person", "&l9;"))
    pair = Pair("p1", "test", tmp_path / "p1.png", tmp_path / "p1.png", (40, 32))
    _, findings = read_voc(tmp_path, [pair], ("person",))
    # The note is about laughs.yaml.
    assert [finding.kind for finding in findings] == ["not-used", "bad-annotation"]
    (tmp_path / "p1.xml").write_text(valid_files.VOC)
    assert [finding.kind for finding in read_voc(tmp_path, [pair], ("person",))[1]] == ["not-used"]


plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**62), 2**62) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)


@settings(max_examples=50)
@given(plain)
def test_plain_yaml_is_read_as_pyyaml_reads_it(value):
    text = yaml.safe_dump(value, allow_unicode=True)
    assert parse_yaml(text, "no") == yaml.safe_load(text)
    shared = [value]
    again = yaml.safe_dump({"a": shared, "b": shared})  # an anchor and an alias
    assert parse_yaml(again, "no") == {"a": [value], "b": [value]}


@settings(max_examples=50)
@given(
    st.text(max_size=40) | st.sampled_from(["!!int ''", "!!timestamp x", "2001-99-99", "&a [*a]", "1:" * 3000 + "1"])
)
def test_any_text_is_yaml_or_refused(text):
    message = ""
    try:
        parse_yaml(text, "file.yaml: no YAML")
    except Fuse2TaskError as error:
        message = str(error)
    assert not message or (message.startswith("file.yaml") and "\n" not in message)


def test_what_never_ends_is_not_read(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zero").symlink_to("/dev/zero")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "sparse").touch()
    os.truncate(tmp_path / "sparse", 10**11)
    for name in ("pipe", "zero", "loop", "sparse"):
        for read in (lambda path: read_text(path, "list"), lambda path: read_json(path, "list"), image_size):
            failed: list[BaseException] = []

            def attempt(read=read, name=name, failed=failed) -> None:
                try:
                    read(tmp_path / name)
                except RequestError as error:
                    failed.append(error)

            thread = threading.Thread(target=attempt, daemon=True)
            thread.start()
            thread.join(10)
            assert failed, f"{name} was read, or is still being read"
            assert str(tmp_path / name) in str(failed[0])
