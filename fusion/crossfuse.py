"""CrossFuse for users of Python: arrays in, array out; weights from a file, the package, or the Hugging Face hub."""

import shutil
import tempfile
from pathlib import Path
from typing import Any, Literal

import numpy as np

from fuse2task.data.images import luma, with_chroma_of
from fuse2task.runtime.compute import Precision
from fuse2task.runtime.errors import Fuse2TaskError, RequestError
from fuse2task.runtime.files import atomic_path, write_text
from fuse2task.runtime.packages import VERSION
from fusion.checkpoint import load_crossfuse, network_name
from fusion.methods.crossfuse import CrossFuseMethod
from fusion.network.crossfuse import MIN_SIDE
from fusion.weights import find_checkpoint

WEIGHTS, CARD = "crossfuse.safetensors", "README.md"
MISSING = "the hub needs huggingface_hub: pip install 'fuse2task[hub]'"
ABOUT = {
    "crossfuse": "The network of the CrossFuse paper.",
    "crossfuse-plus": "A network of fuse2task after CrossFuse, not the paper's.",
}


class CrossFuse:
    """A trained fusion network on one device: the paper's, or ours after it (crossfuse-plus).

    Args:
        checkpoint: a safetensors file of either network, the name of shipped weights, or None for crossfuse-plus.
        device: auto, cpu, cuda, cuda:1, mps.
        precision: auto, fp32 or bf16.

    Raises:
        RequestError: no such weights, damaged or of another network; a device that is not there.
    """

    def __init__(self, checkpoint: str | Path | None = None, device: str = "auto", precision: Precision = "auto"):
        self.checkpoint = find_checkpoint(None if checkpoint is None else Path(checkpoint))
        self._method = CrossFuseMethod(self.checkpoint, device, precision)

    def fuse(self, infrared: np.ndarray, visible: np.ndarray, color: Literal["rgb", "gray"] = "rgb") -> np.ndarray:
        """Fuse one registered pair, as `fuse2task fusion pairs` does: infrared (H, W), visible (H, W, 3) RGB or (H, W).

        color: rgb adds the visible image's chroma, (H, W, 3); gray gives the fused luma alone, (H, W). All uint8.

        Raises:
            RequestError: another dtype or shape, sizes that differ, a side below 16.
        """
        _check(infrared, visible)
        gray = self._method.fuse_luma(np.ascontiguousarray(infrared), luma(visible))
        return gray if color == "gray" else with_chroma_of(gray, visible)

    @classmethod
    def from_pretrained(cls, name: str | Path, device: str = "auto", precision: Precision = "auto") -> "CrossFuse":
        """Weights that `save_pretrained` or `push_to_hub` wrote: a local folder, else a model (owner/model) on the hub.

        A download is kept in the hub's own cache, and found there without network (or with HF_HUB_OFFLINE=1).

        Raises:
            RequestError: no such folder or model, a folder without weights or with damaged ones, or huggingface_hub is
                missing.
        """
        return cls(_find_pretrained(name), device, precision)

    def save_pretrained(self, folder: str | Path) -> Path:
        """Write weights and model card into a folder that `from_pretrained` reads; returns the weights' file."""
        target = Path(folder) / WEIGHTS
        network, digest = load_crossfuse(self.checkpoint)
        with atomic_path(target) as temporary:
            shutil.copyfile(self.checkpoint, temporary)
        write_text(Path(folder) / CARD, _card(network_name(network), digest))
        return target

    def push_to_hub(self, name: str, private: bool = True, token: str | None = None) -> str:
        """Upload weights and model card as `name` (owner/model) to the Hugging Face hub; returns the page's address.

        Raises:
            RequestError: huggingface_hub is missing.
            Fuse2TaskError: the hub cannot be reached, or refuses.
        """
        hub = _hub(MISSING)
        with tempfile.TemporaryDirectory() as folder:
            self.save_pretrained(folder)
            try:
                api = hub.HfApi(token=token)
                page = api.create_repo(name, private=private, exist_ok=True)
                api.upload_folder(repo_id=name, folder_path=folder, commit_message="CrossFuse weights of fuse2task")
            except Exception as error:  # network, hub and validation errors share no base class
                raise Fuse2TaskError(f"{name}: the hub did not take the weights ({error})") from None
        return str(page)


def _find_pretrained(name: str | Path) -> Path:
    folder = Path(name)
    if folder.is_dir():
        if not (folder / WEIGHTS).is_file():
            raise RequestError(f"{folder}: no {WEIGHTS} in it; save_pretrained writes one")
        return folder / WEIGHTS
    if folder.is_absolute() or str(name).count("/") != 1 or str(name).startswith("."):
        raise RequestError(f"{name}: no such folder; a model on the hub is named owner/model")
    hub = _hub(f"{name}: no such folder, and {MISSING}")
    try:
        return Path(hub.hf_hub_download(str(name), WEIGHTS))
    except Exception as error:  # network, hub and validation errors share no base class
        reason = str(error).strip().splitlines()[0]
        raise RequestError(f"{name}: no such folder, and not found on the hub ({reason})") from None


def _hub(missing: str) -> Any:
    try:
        import huggingface_hub
    except ImportError:
        raise RequestError(missing) from None
    return huggingface_hub


def _check(infrared: np.ndarray, visible: np.ndarray) -> None:
    shapes = f"infrared {infrared.dtype} {infrared.shape}, visible {visible.dtype} {visible.shape}"
    if infrared.dtype != np.uint8 or visible.dtype != np.uint8:
        raise RequestError(f"{shapes}: images are uint8, 0 to 255")
    if infrared.ndim != 2 or not (visible.ndim == 2 or (visible.ndim == 3 and visible.shape[2] == 3)):
        raise RequestError(f"{shapes}: infrared is (H, W), visible (H, W, 3) RGB or (H, W)")
    if infrared.shape != visible.shape[:2] or min(infrared.shape) < MIN_SIDE:
        raise RequestError(f"{shapes}: a pair has one size, at least {MIN_SIDE}x{MIN_SIDE}; register it first")


def _card(name: str, digest: str) -> str:
    return f"""---
library_name: fuse2task
license: agpl-3.0
tags: [image-fusion, infrared, {name}]
---

# {name} weights

{ABOUT[name]}

Fuses a registered infrared and visible image. Written by fuse2task {VERSION}; tensor hash `{digest}`.

```python
import fusion

fused = fusion.CrossFuse.from_pretrained("this/model").fuse(infrared, visible)  # uint8 (H, W), (H, W, 3)
```

The data that the weights were trained on has owners and terms of its own.
The method: H. Li, X.-J. Wu, CrossFuse, Information Fusion 103 (2024) 102147.
"""
