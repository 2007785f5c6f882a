"""CrossFuse weights in a folder, and the same folder on the Hugging Face hub (extra `hub`)."""

import shutil
import tempfile
from pathlib import Path

import fuse2task
from fuse2task.runtime.errors import Fuse2TaskError, RequestError
from fuse2task.runtime.files import atomic_path, write_text
from fusion.checkpoint import load_crossfuse

WEIGHTS, CARD = "crossfuse.safetensors", "README.md"
MISSING = "the hub needs huggingface_hub: pip install 'fuse2task[hub]'"


def find_pretrained(name: str | Path) -> Path:
    """The weights of a local folder, else those of the model `name` (owner/model) on the hub.

    A download is kept in the hub's own cache, and found there without network (or with HF_HUB_OFFLINE=1).

    Raises:
        RequestError: no such folder or model, a folder without weights, or huggingface_hub is missing.
    """
    folder = Path(name)
    if folder.is_dir():
        if not (folder / WEIGHTS).is_file():
            raise RequestError(f"{folder}: no {WEIGHTS} in it; save_pretrained writes one")
        return folder / WEIGHTS
    if folder.is_absolute() or str(name).count("/") != 1 or str(name).startswith("."):
        raise RequestError(f"{name}: no such folder; a model on the hub is named owner/model")
    try:
        from huggingface_hub import hf_hub_download
    except ImportError:
        raise RequestError(f"{name}: no such folder, and {MISSING}") from None
    try:
        return Path(hf_hub_download(str(name), WEIGHTS))
    except Exception as error:  # network, hub and validation errors share no base class
        reason = str(error).strip().splitlines()[0]
        raise RequestError(f"{name}: no such folder, and not to be had from the hub ({reason})") from None


def write_pretrained(checkpoint: Path, folder: Path) -> Path:
    """Copy checked weights into `folder` with a model card; returns their path there.

    Raises:
        RequestError: not CrossFuse weights, or damaged.
    """
    _, digest = load_crossfuse(checkpoint)
    target = folder / WEIGHTS
    with atomic_path(target) as temporary:
        shutil.copyfile(checkpoint, temporary)
    write_text(folder / CARD, _card(digest))
    return target


def upload(checkpoint: Path, name: str, private: bool, token: str | None) -> str:
    """Create the model `name` on the hub where it is missing, and upload; returns its address.

    Raises:
        RequestError: huggingface_hub is missing, or not CrossFuse weights.
        Fuse2TaskError: the hub cannot be reached, or refuses.
    """
    try:
        from huggingface_hub import HfApi
    except ImportError:
        raise RequestError(MISSING) from None
    with tempfile.TemporaryDirectory() as folder:
        write_pretrained(checkpoint, Path(folder))
        try:
            hub = HfApi(token=token)
            page = hub.create_repo(name, private=private, exist_ok=True)
            hub.upload_folder(repo_id=name, folder_path=folder, commit_message="CrossFuse weights of fuse2task")
        except Exception as error:  # as above
            raise Fuse2TaskError(f"{name}: the hub did not take the weights ({error})") from None
    return str(page)


def _card(digest: str) -> str:
    return f"""---
library_name: fuse2task
license: agpl-3.0
tags: [image-fusion, infrared, crossfuse]
---

# CrossFuse weights

Fuses a registered infrared and visible image. Written by fuse2task {fuse2task.__version__}; tensor hash `{digest}`.

```python
import fusion

fused = fusion.CrossFuse.from_pretrained("this/model").fuse(infrared, visible)  # uint8 (H, W), (H, W, 3)
```

The data that the weights were trained on has owners and terms of its own.
The method: H. Li, X.-J. Wu, CrossFuse, Information Fusion 103 (2024) 102147.
"""
