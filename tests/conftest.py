"""Shared fixtures: real test data, Chromium; one torch thread per worker; no network in any process."""

import json
import os
import runpy
import shutil
from pathlib import Path

import pytest
from hypothesis import settings

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

# The whole suite proves that it needs no network: see the module.
_CUT = Path(__file__).parent / "network_cut"
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(_CUT), os.environ.get("PYTHONPATH")]))
runpy.run_path(str(_CUT / "sitecustomize.py"))

# How long an example takes depends on what else the machine does.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")

CHROMIUM = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
SHARED = Path(__file__).resolve().parents[2] / "shared"


def shared(*parts: str) -> Path:
    """A path below the real test data, or a skip that says what is missing."""
    path = SHARED.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"real test data is not here: ../shared/{'/'.join(parts)}")
    return path


@pytest.fixture(scope="session")
def shared_path():
    """`shared(*parts)`: a path below ../shared, skipping the test where it is absent."""
    return shared


@pytest.fixture
def folder_dataset(tmp_path):
    """`folder_dataset(count, size=(40, 32), boxes=False)`: a root with ir/, vi/ (and boxes/) of smooth random pairs."""

    def make(count: int = 4, size: tuple[int, int] = (40, 32), boxes: bool = False, name: str = "source") -> Path:
        import cv2
        import numpy as np

        from fuse2task.data.images import write_image

        root = tmp_path / name
        rng = np.random.default_rng(7)
        for number in range(count):
            coarse = rng.integers(0, 256, (6, 6, 4), dtype=np.uint8)
            pixels = cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC)
            write_image(root / "ir" / f"p{number}.png", np.ascontiguousarray(pixels[..., 3]))
            write_image(root / "vi" / f"p{number}.png", np.ascontiguousarray(pixels[..., :3]))
            if boxes:
                (root / "boxes").mkdir(exist_ok=True)
                text = "" if number == 0 else f"{number % 2} 0.5 0.5 0.{number % 8 + 1} 0.25\n"
                (root / "boxes" / f"p{number}.txt").write_text(text)
                (root / "boxes" / "classes.txt").write_text("0 person\n1 car\n")
        return root

    return make


@pytest.fixture
def reseal():
    """`reseal(root)`: the manifest of an altered fused dataset says what its files are now."""

    def write(root: Path) -> None:
        import hashlib

        from fuse2task.runtime.files import value_hash

        manifest = json.loads((root / "manifest.json").read_text("utf-8"))
        masks = manifest["truth"]["kind"] == "masks"
        for row in manifest["files"]:
            label = f"{'masks' if masks else 'labels'}/{row['split']}/{row['id']}.{'png' if masks else 'txt'}"
            for key, name in {"image": f"images/{row['split']}/{row['id']}.png", "label": label}.items():
                row[key] = hashlib.sha256((root / name).read_bytes()).hexdigest()
        splits = {row["split"] for row in manifest["files"]}
        if not masks:
            truth = {split: json.loads((root / "annotations" / f"{split}.json").read_text()) for split in splits}
            manifest["truth"]["hash"] = value_hash(truth)
        (root / "manifest.json").write_text(json.dumps(manifest), "utf-8")

    return write


@pytest.fixture
def run_cli(capsys):
    """`run_cli(*arguments)`: the exit code of the command; `run_cli.error` is what it said on standard error."""

    def run(*arguments: object) -> int:
        from fuse2task.cli.main import run as command

        try:
            command([str(argument) for argument in arguments])
            code = 0
        except SystemExit as stop:
            code = int(stop.code or 0)
        captured = capsys.readouterr()
        run.output, run.error = captured.out, captured.err
        return code

    run.output = run.error = ""
    return run


@pytest.fixture
def browser(tmp_path, monkeypatch):
    """Chromium without a window, driven by selenium, with its logs of messages and requests."""
    pytest.importorskip("selenium", reason="selenium is not installed")
    from selenium import webdriver

    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not (chromium and driver):
        pytest.skip("chromium and chromedriver are not installed (Debian: chromium, chromium-driver)")
    monkeypatch.setenv("SE_OFFLINE", "true")  # selenium must never fetch a driver
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in (*CHROMIUM, f"--user-data-dir={tmp_path / 'profile'}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    opened = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield opened
    opened.quit()


@pytest.fixture
def asked(browser):
    """`asked()`: the addresses that were asked for since the last call."""

    def addresses() -> list[str]:
        messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
        return [item["params"]["request"]["url"] for item in messages if item["method"] == "Network.requestWillBeSent"]

    return addresses


@pytest.fixture
def sideways(browser):
    """`sideways()`: by how many pixels the page is wider than its window."""
    wider = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
    return lambda: browser.execute_script(wider)


@pytest.fixture(scope="session")
def detector_file(tmp_path_factory):
    """An untrained detector of a training run: a YOLOv8 of a quarter of n's width, classes car, tree, person."""
    import torch

    from detection.weights import FORMAT
    from fuse2task.runtime.checkpoints import save_checkpoint
    from fuse2task.runtime.packages import quiet_ultralytics

    quiet_ultralytics()
    from ultralytics.nn.tasks import DetectionModel, yaml_model_load

    torch.manual_seed(0)
    model = yaml_model_load("yolov8n.yaml") | {"scales": {"n": [0.33, 0.0625, 1024]}, "nc": 3}
    model.pop("yaml_file")
    path = tmp_path_factory.mktemp("detector") / "tiny.safetensors"
    state = DetectionModel(dict(model), nc=3, verbose=False).state_dict()
    about = {"model": model | {"scale": "n"}, "names": ["car", "tree", "person"], "image_size": 64}
    save_checkpoint(path, state, FORMAT, recipe={}, **about)
    return path
