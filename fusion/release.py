"""Import of the authors' three checkpoints (pickled state dicts) into one CrossFuse."""

from collections.abc import Mapping
from itertools import product
from pathlib import Path

from torch import Tensor

from fuse2task.runtime.checkpoints import check_finite, load_into, read_state_dict
from fuse2task.runtime.errors import RequestError
from fusion.network.crossfuse import CrossFuseNetwork

# Layers that the release carries and never uses, and kernels that are constants here.
UNUSED = ("conv_gra.", "decoder_fusion.weight.")

_DENSE = {f"dense_conv{i}.conv2d.0": f"layers.{i}.conv" for i in range(3)} | {"adjust_conv.conv2d.0": "adjust.conv"}
ENCODER = {"fea_encoder1.conv1.conv2d.0": "shallow.conv"} | {
    f"fea_encoder1.dense_blocks.{number}.{theirs}": f"{block}.{ours}"
    for number, block in ((0, "dense1"), (2, "dense2"))
    for theirs, ours in _DENSE.items()
}
_DECODER = {"conv1": "conv1", "conv_block.0": "conv2", "conv_block.2": "conv3", "conv_last": "last"}
AUTOENCODER = {theirs: f"encoder.{ours}" for theirs, ours in ENCODER.items()} | {
    f"recon_decoder1.{theirs}.conv2d.0": f"decoder.{ours}.conv" for theirs, ours in _DECODER.items()
}
_MLP = {"norm1": "norm1", "norm2": "norm2", "mlp.fc1": "mlp.fc1", "mlp.fc2": "mlp.fc2", "attn.proj": "proj"}
_SELF = {f"blocks.0.{theirs}": ours for theirs, ours in (_MLP | {"attn.qkv": "qkv"}).items()}
_CROSS = {f"blocks.0.{theirs}": ours for theirs, ours in _MLP.items()} | {
    "blocks.0.attn.q_linear": "q", "blocks.0.attn.k_linear": "k", "blocks.0.attn.v_linear": "v", "norm": "norm",
}  # fmt: skip
FUSION = (
    {
        f"cross_atten_block.self_atten_block{step}.self_atten{number}.{theirs}": f"attention.self{step}_{name}.{ours}"
        for step, (number, name) in product((1, 2), ((1, "ir"), (2, "vi")))
        for theirs, ours in _SELF.items()
    }
    | {
        f"cross_atten_block.cross_atten_block.cross_atten{number}.{theirs}": f"attention.{name}.{ours}"
        for number, name in ((1, "cross_ir_vi"), (2, "cross_vi_ir"))
        for theirs, ours in _CROSS.items()
    }
    | {
        f"decoder_fusion.{theirs}.conv2d.{part}": f"decoder.{ours}.{layer}"
        for theirs, ours in (_DECODER | {"conv_block.4": "conv4"}).items()
        for part, layer in ((0, "conv"), (1, "norm"))
    }
)  # fmt: skip


def _unused(name: str) -> bool:
    trailing_norm = ".self_atten" in name and name.endswith((".norm.weight", ".norm.bias"))
    dead_qkv = any(f".cross_atten{number}.blocks.0.attn.qkv." in name for number in (1, 2))
    return name.startswith(UNUSED) or trailing_norm or dead_qkv


def rename(tensors: Mapping[str, Tensor], table: Mapping[str, str], path: Path) -> dict[str, Tensor]:
    """Tensors under our names. Raises RequestError (about `path`): a name that the release does not have."""
    renamed = {}
    for name, tensor in tensors.items():
        layer, _, kind = name.rpartition(".")
        if layer in table:
            renamed[f"{table[layer]}.{kind}"] = tensor
        elif not _unused(name):
            problem = f"{name!r} is not a CrossFuse release weight; is the file given for the right option?"
            raise RequestError(f"{path}: {problem}")
    return renamed


def read_model_file(path: Path) -> dict[str, Tensor]:
    """The state dict in a `.model` file, no code run. Raises RequestError: missing, unsafe or not finite weights."""
    loaded = read_state_dict(path)
    check_finite(path, loaded)
    return {name.removeprefix("module."): tensor for name, tensor in loaded.items()}


def import_release(infrared: Path, visible: Path, fusion: Path) -> CrossFuseNetwork:
    """CrossFuse with the weights of the release's two auto-encoders and fusion network; errors as `read_model_file`."""
    network = CrossFuseNetwork()
    rest = rename(read_model_file(fusion), FUSION, fusion)
    for path, name, module, tensors in (
        (infrared, "encoder.", network.encoder_ir, rename(read_model_file(infrared), AUTOENCODER, infrared)),
        (visible, "encoder.", network.encoder_vi, rename(read_model_file(visible), AUTOENCODER, visible)),
        (fusion, "attention.", network.attention, rest),
        (fusion, "decoder.", network.decoder, rest),
    ):
        load_into(module, {key.removeprefix(name): t for key, t in tensors.items() if key.startswith(name)}, path)
    return network.eval()
