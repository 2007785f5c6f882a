"""Reading PyTorch's own files (.pt, .pth, .model): tensors alone, no code, no decompression."""

import tarfile
import zipfile
from pathlib import Path

import torch

from fuse2task.runtime.errors import RequestError
from fuse2task.runtime.reading import check_regular, one_line


def read_state_dict(path: Path) -> dict[str, torch.Tensor]:
    """The tensors by name in a file that `torch.save` wrote, on the CPU; of a checkpoint its `state_dict`.

    It is read by PyTorch's restricted unpickler (weights_only), which makes tensors and plain containers only.

    Raises:
        RequestError: missing, damaged, or anything else than tensors by name.
    """
    refuse_compressed(path)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged pickles and archives raise whatever the unpickler stumbles on
        reason = one_line(error, 120)
        raise RequestError(f"{path}: not a readable file of tensors alone ({reason}); save its state_dict") from None
    if isinstance(content, dict) and isinstance(content.get("state_dict"), dict):
        content = content["state_dict"]
    if not isinstance(content, dict) or not all(
        isinstance(name, str) and isinstance(value, torch.Tensor) for name, value in content.items()
    ):
        raise RequestError(f"{path}: holds something else than a state_dict of tensors")
    if not all(map(_is_whole, content.values())):
        raise RequestError(f"{path}: holds tensors that are larger than their values, or none in memory; refused")
    return content


def _is_whole(tensor: torch.Tensor) -> bool:
    # A view with stride 0 claims any size for a few bytes.
    plain = tensor.layout == torch.strided and tensor.device.type == "cpu" and not tensor.is_quantized
    return plain and tensor.numel() * tensor.element_size() <= tensor.untyped_storage().nbytes()


def refuse_compressed(path: Path) -> None:
    """Refuse what `torch.save` never writes: an archive that is larger than its file when it is read, or a tar.

    Raises:
        RequestError: one of these, or not a regular file.
    """
    check_regular(path, "file of weights")
    try:
        packed = tarfile.is_tarfile(path)
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                packed = sum(entry.file_size for entry in archive.infolist()) > Path(path).stat().st_size
    except Exception as error:  # zipfile raises whatever it stumbles on in a damaged archive
        raise RequestError(f"{path}: damaged archive ({one_line(error, 120)}); get the file again") from None
    if packed:
        raise RequestError(f"{path}: a compressed archive, which PyTorch never writes; refused as a bomb")
