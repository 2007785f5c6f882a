"""Engines that do jobs elsewhere: in a worker process for each device, or on a Ray cluster."""

import concurrent.futures
import multiprocessing
import os
import signal
import threading
from functools import partial
from pathlib import Path
from typing import Any

from fuse2task.bench.jobs import Job
from fuse2task.bench.recipe import BenchRecipe
from fuse2task.bench.scheduler import Engine, Result, do
from fuse2task.bench.workspace import Workspace
from fuse2task.runtime.errors import Fuse2TaskError, RequestError

_loaded: dict[str, Workspace] = {}


def do_elsewhere(recipe: dict[str, Any], folder: str, device: str, here: str, job: Job) -> Result:
    """`do` in another process, with relative paths from `here`; what a recipe refers to is loaded once in each."""
    os.chdir(here)
    checked = BenchRecipe.model_validate(recipe)
    key = f"{checked.id} {folder} {device}"
    if key not in _loaded:
        _loaded.clear()
        _loaded[key] = Workspace(checked, Path(folder), device)
    return do(_loaded[key], job)


class OnDevices(Engine):
    """One worker process for each device; every job gets a device of its own."""

    def __init__(self, bench: Workspace, devices: list[str]):
        self.bench, self.slots = bench, len(devices)
        # A fork would take over a CUDA context and thread pools in an unknown state.
        context = multiprocessing.get_context("spawn")
        pool = partial(concurrent.futures.ProcessPoolExecutor, 1, context, _die_with_parent)
        self._pools = {device: pool() for device in devices}
        self._busy: dict[concurrent.futures.Future[Result], str] = {}

    def submit(self, job: Job) -> concurrent.futures.Future[Result]:
        device = next(name for name in self._pools if name not in self._busy.values())
        recipe = self.bench.recipe.model_dump(mode="json")
        # A worker that is started here inherits the mask: a terminal's Ctrl-C is the parent's to handle.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            future = self._pools[device].submit(do_elsewhere, recipe, str(self.bench.folder), device, os.getcwd(), job)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        self._busy[future] = device
        return future

    def wait(self, handles: list[Any]) -> tuple[Any, Result]:
        done, _ = concurrent.futures.wait(handles, return_when=concurrent.futures.FIRST_COMPLETED)
        future = next(iter(done))
        del self._busy[future]
        return future, future.result()

    def close(self) -> None:
        for pool in self._pools.values():
            for process in list((pool._processes or {}).values()) if self._busy else []:
                process.terminate()
            pool.shutdown(wait=True, cancel_futures=True)


def _die_with_parent() -> None:
    """In a worker: end when the parent does, however it does, so that a killed run does not keep writing."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


class OnRay(Engine):
    """Jobs as Ray tasks. The bench folder and the data must have the same path on every machine."""

    def __init__(self, bench: Workspace, device: str, address: str | None, cpus: float, gpus: float):
        # Before the import: Ray reads it once.
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        try:
            import ray
        except ImportError:
            raise RequestError("--engine ray needs Ray; install it with `pip install fuse2task[ray]`") from None
        self.bench, self._device, self._ray = bench, device, ray
        try:
            # A runtime environment would copy the working folder to every machine; paths are shared instead.
            before = signal.getsignal(signal.SIGTERM)
            ray.init(address=address, include_dashboard=False, log_to_driver=True, configure_logging=False)
            if threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGTERM, before)  # Ray's would leave with the signal's number
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise RequestError(f"--address {address}: no Ray cluster can be used there ({error})") from None
        total, wanted = ray.cluster_resources(), {"CPU": cpus, "GPU": gpus}
        self.slots = int(min((total.get(name, 0) / amount for name, amount in wanted.items() if amount > 0), default=1))
        if self.slots < 1:
            self.close()
            have = ", ".join(f"{total.get(name, 0):g} {name}" for name in wanted)
            raise RequestError(f"Ray has {have}; a job asks for {cpus:g} CPU and {gpus:g} GPU: ask for less")
        # A job that fails or whose worker dies is reported; the same command resumes.
        self._task = ray.remote(num_cpus=cpus, num_gpus=gpus, max_retries=0)(do_elsewhere)
        self._recipe = ray.put(bench.recipe.model_dump(mode="json"))

    def submit(self, job: Job) -> Any:
        return self._task.remote(self._recipe, str(self.bench.folder), self._device, os.getcwd(), job)

    def wait(self, handles: list[Any]) -> tuple[Any, Result]:
        done, _ = self._ray.wait(handles, num_returns=1)
        try:
            return done[0], self._ray.get(done[0])
        except self._ray.exceptions.RayTaskError as error:
            known = isinstance(error.cause, Fuse2TaskError)
            raise (error.cause if known else Fuse2TaskError(f"a job failed on Ray: {error.cause!r}")) from None
        except self._ray.exceptions.RayError as error:
            raise Fuse2TaskError(f"a job was lost on Ray ({error}); run the same command to resume") from None

    def close(self) -> None:
        self._ray.shutdown()
