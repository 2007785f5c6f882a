"""Whether this process may read pickled weights, which only the user can say."""

import os
from pathlib import Path

from fuse2task.runtime.errors import RequestError

VARIABLE = "FUSE2TASK_TRUST_PICKLE"  # an environment variable, so that worker processes know it too


def trust_pickles(yes: bool = True) -> bool:
    """Let this process and those that it starts read pickled weights; for `--trust-pickle`."""
    if yes:
        os.environ[VARIABLE] = "1"
    return yes


def refuse_untrusted(path: Path) -> None:
    """Refuse the pickle `path` unless the user trusts it.

    Raises:
        RequestError: neither `--trust-pickle` nor the environment variable was given.
    """
    if os.environ.get(VARIABLE) != "1":
        raise RequestError(
            f"{path}: a pickle, a kind of file that can run code when it is read; give --trust-pickle (or "
            f"{VARIABLE}=1) if you know where it comes from, or weights as .safetensors or .onnx"
        )
