"""What a run has decoded or computed once: in memory as far as that goes, the rest in a folder of the run."""

import os
import threading
from collections.abc import Callable
from pathlib import Path

import psutil
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from fuse2task.runtime.files import atomic_path
from fuse2task.runtime.progress import say
from fuse2task.training.run_folder import SCRATCH

SHARE = 0.25  # of the memory that is free at the start, for all processes of a run on one machine
KEY = "kept"


class KeptTensors:
    """Tensors by number, under a name within a run folder; any thread may ask and keep.

    What goes to the folder can be made again at any time.
    """

    def __init__(self, run: Path, name: str):
        self.folder = run / SCRATCH / name
        self._memory: dict[int, Tensor] = {}
        self._left = _affordable()
        self._lock = threading.Lock()

    def get(self, number: int, make: Callable[[], Tensor]) -> Tensor:
        """What was kept under `number`, or what `make` gives (on the CPU, for nobody to change), kept from now on."""
        found = self.find(number)
        if found is None:
            found = make()
            self.keep(number, found)
        return found

    def find(self, number: int) -> Tensor | None:
        """What was kept under `number`, or None."""
        found = self._memory.get(number)
        if found is None and self._left < 0:
            try:
                with safe_open(self._file(number), framework="pt") as handle:
                    found = handle.get_tensor(KEY)
            except FileNotFoundError:
                return None
        return found

    def keep(self, number: int, tensor: Tensor) -> None:
        """Keep a tensor of the CPU that nobody changes.

        Raises:
            Fuse2TaskError: it is too much for the memory, and cannot be written to the folder either.
        """
        with self._lock:
            if self._left >= tensor.nbytes:
                self._left -= tensor.nbytes
                self._memory[number] = tensor
                return
            if self._left >= 0:
                say(f"{self.folder}: takes what is too much for the memory, until the run is finished")
                self._left = -1
            with atomic_path(self._file(number)) as temporary:
                save_file({KEY: tensor.contiguous()}, temporary)

    def _file(self, number: int) -> Path:
        return self.folder / f"{number:07d}.safetensors"


def _affordable() -> int:
    processes = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))  # torchrun's word for those on this machine
    return int(psutil.virtual_memory().available * SHARE / processes)
