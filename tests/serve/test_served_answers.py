"""What comes back for a pair: pixels, boxes, scores; and one readable sentence for everything else."""

import base64
import contextlib
import io
import json
import socket
import tempfile
import time

import numpy as np
import pytest
from PIL import Image
from scipy.stats import entropy
from skimage.metrics import structural_similarity


def encoded(pixels, kind="PNG", **options) -> bytes:
    buffer = io.BytesIO()
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def noise(*shape) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, shape, dtype=np.uint8)


GOOD = encoded(noise(24, 32))


def test_fused_pixels_boxes_and_scores(page):
    infrared, visible = noise(40, 60), noise(40, 60)[::-1].copy()
    status, headers, body = page.post({"infrared": encoded(infrared), "visible": encoded(visible)})
    assert status == 200
    assert headers["content-type"] == "application/json"
    answer = json.loads(body)
    kind, _, data = answer["image"].partition(",")
    fused = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))
    assert kind == "data:image/png;base64"
    wanted = np.rint((infrared.astype(float) + visible) / 2).astype(np.uint8)
    assert (fused == wanted[..., None]).all()
    assert (answer["width"], answer["height"], answer["method"]) == (60, 40, "average")
    whole, quarter = answer["boxes"]
    assert whole == {"x": 0, "y": 0, "w": 60, "h": 40, "class": "person", "score": pytest.approx(0.9)}
    assert (quarter["w"], quarter["h"], quarter["class"]) == (30, 20, "car")
    assert answer["scores"]["EN"] == pytest.approx(entropy(np.bincount(wanted.ravel()), base=2))
    assert answer["scores"]["SD"] == pytest.approx(wanted.std())
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 255, "full": True}
    similar = [structural_similarity(source, wanted, **options)[1][5:-5, 5:-5].mean() for source in (infrared, visible)]
    assert answer["scores"]["SSIM"] == pytest.approx(np.mean(similar))
    assert answer["scores"]["VIF"] is None  # not defined for so small an image; JSON has no NaN


def test_the_judge_sees_bgr_and_faint_boxes_are_left_out(page):
    blue = np.zeros((20, 30, 3), np.uint8)
    blue[..., 2] = 255
    for colour, classes in ((blue, ["person", "car"]), (blue[..., ::-1].copy(), ["person"])):
        body = page.post({"infrared": encoded(noise(20, 30)), "visible": encoded(colour)}, "visible")[2]
        assert [box["class"] for box in json.loads(body)["boxes"]] == classes


def test_options_name_methods_classes_and_scores(page):
    options = json.loads(page.ask("GET", "/options")[2])
    assert options["methods"] == ["average", "laplacian", "maximum", "visible"]
    assert options["classes"] == ["person", "car"]
    assert options["scores"]["Qabf"]["better"] == "higher"


def test_the_example_is_a_pair_that_can_be_fused(page):
    files = {name: page.ask("GET", f"/example/{name}.png")[2] for name in ("infrared", "visible")}
    assert {Image.open(io.BytesIO(data)).size for data in files.values()} == {(640, 480)}
    assert page.post(files, "laplacian")[0] == 200
    assert page.ask("GET", "/example/other.png")[0] == 404


@pytest.mark.parametrize(
    ("infrared", "said"),
    [
        (encoded(noise(24, 40)), "register and crop"),
        (b"", "not a readable image"),
        (b"II*\0" + bytes(100), "not a readable image"),
        (GOOD[:300], "damaged image"),
        (encoded(noise(24, 32), "GIF"), "not a readable image"),
        (encoded(noise(24, 32), "EPS"), "not a readable image"),  # Pillow would start Ghostscript
        (encoded(Image.fromarray(np.full((24, 32), 40000, np.uint16))), "more than 8 bits"),
        (encoded(noise(24, 32, 4)), "alpha"),
        (encoded(noise(15, 32)), "16 to 8192"),
    ],
    ids=["size", "empty", "tiff-head", "cut", "gif", "eps", "16-bit", "alpha", "thin"],
)
def test_bad_images_are_refused_by_name(page, infrared, said):
    for role in ("infrared", "visible"):
        status, _, body = page.post({"infrared": GOOD, "visible": GOOD} | {role: infrared})
        assert status == 400
        message = json.loads(body)["error"]
        assert said in message
        assert f"{role} image" in message


@pytest.mark.parametrize(
    ("files", "method", "headers", "status", "said"),
    [
        ({"infrared": GOOD}, "average", {}, 400, "needs the files"),
        ({"infrared": GOOD, "visible": GOOD}, None, {}, 400, "needs the files"),
        ({"infrared": GOOD, "visible": GOOD, "third": GOOD}, "average", {}, 400, "Too many files"),
        ({"infrared": GOOD, "visible": GOOD}, "<b>x</b>", {}, 400, "there are average, laplacian, maximum, visible"),
        ({"infrared": GOOD, "visible": GOOD}, "x" * 2000, {}, 400, "exceeded"),
        ({"infrared": GOOD, "visible": GOOD}, "average", {"Content_Type": "text/plain"}, 400, "multipart form"),
        ({"infrared": GOOD, "visible": GOOD}, "average", {"Content_Type": "multipart/form-data"}, 400, "boundary"),
        ({"infrared": encoded(np.zeros((2000, 2001), np.uint8)), "visible": GOOD}, "average", {}, 413, "4 megapixels"),
        ({"infrared": GOOD, "visible": bytes(20_000_001)}, "average", {}, 413, "20 MB"),
    ],
    ids=["missing", "no-method", "three", "method", "long", "text", "boundary", "pixels", "bytes"],
)
def test_bad_requests_say_why(page, files, method, headers, status, said):
    found, _, body = page.post(files, method, **headers)
    assert (found, said in json.loads(body)["error"]) == (status, True), body


def test_a_body_over_the_limit_is_not_read(page):
    status, _, body = page.ask("POST", "/fuse", b"", Content_Length="50000000", Content_Type="multipart/form-data")
    assert status == 413
    assert "20 MB" in json.loads(body)["error"]


def test_large_files_stay_in_memory(page, monkeypatch):
    def rollover(_):
        raise AssertionError("a temporary file was written")

    monkeypatch.setattr(tempfile.SpooledTemporaryFile, "rollover", rollover)
    large = encoded(noise(1000, 1200, 3))
    assert len(large) > 3_000_000
    assert page.post({"infrared": large, "visible": large}, "maximum")[0] == 200


def test_an_unforeseen_failure_is_told_without_its_insides(page, monkeypatch):
    def fails(*_):
        raise ValueError("secret")

    monkeypatch.setattr(page.methods["laplacian"], "fuse", fails)
    status, headers, body = page.post({"infrared": GOOD, "visible": GOOD}, "laplacian")
    assert status == 500
    assert json.loads(body) == {"error": "unexpected ValueError; the terminal has more"}
    assert "default-src 'none'" in headers["content-security-policy"]


def form_head(page, length=10_000):
    return (
        f"POST /fuse HTTP/1.1\r\nHost: {page.name}\r\nContent-Length: {length}\r\n"
        "Content-Type: multipart/form-data; boundary=frontier\r\n\r\n--frontier\r\n"
    ).encode()


def test_stalled_uploads_are_given_up(page, monkeypatch):
    from fuse2task.serve import app

    monkeypatch.setattr(app, "UPLOAD_SECONDS", 0.3)
    host, port = page.name.split(":")
    with contextlib.ExitStack() as stack:
        slow = [stack.enter_context(socket.create_connection((host, int(port)), timeout=20)) for _ in range(15)]
        for one in slow:
            one.sendall(form_head(page))
        answers = {one.recv(4000).decode().split()[1] for one in slow}
    assert "408" in answers <= {"408", "503"}  # the second where there are more than the server holds at once
    assert page.ask("GET", "/options")[0] == 200


def test_an_upload_that_is_broken_off_prints_nothing(page, capfd):
    host, port = page.name.split(":")
    with socket.create_connection((host, int(port)), timeout=20) as broken:
        broken.sendall(form_head(page))
    time.sleep(0.5)
    assert page.ask("GET", "/options")[0] == 200
    assert "Traceback" not in capfd.readouterr().err
