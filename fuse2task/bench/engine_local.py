"""The engine of one machine: in this process on one device, one worker process a device on several."""

import concurrent.futures
import multiprocessing
import os
import signal
import threading
from typing import Any, Protocol

from fuse2task.bench.jobs.work import Result, do, do_elsewhere
from fuse2task.bench.plan import Job
from fuse2task.bench.workspace import Workspace


class Engine(Protocol):
    """Where jobs are done. slots: how many at a time."""

    slots: int

    def submit(self, job: Job) -> Any:
        """Begin a job; returns a handle."""

    def wait(self, handles: list[Any]) -> tuple[Any, Result]:
        """The first of the handles that is finished, with its result; raises what the job raised."""

    def close(self) -> None:
        """End what is still running and give everything back."""


class InProcess:
    """Jobs one after the other in this process."""

    slots = 1

    def __init__(self, bench: Workspace):
        self.bench = bench

    def submit(self, job: Job) -> Job:
        """Nothing yet: the work is done in `wait`."""
        return job

    def wait(self, handles: list[Job]) -> tuple[Job, Result]:
        """Do the first job."""
        return handles[0], do(self.bench, handles[0])

    def close(self) -> None:
        """Nothing to give back."""


class OnDevices:
    """One worker process for each device; every job gets a device of its own."""

    def __init__(self, bench: Workspace, devices: list[str]):
        self.bench, self.slots = bench, len(devices)
        # A fork would take over a CUDA context and thread pools in an unknown state.
        context = multiprocessing.get_context("spawn")
        self._pools = {
            device: concurrent.futures.ProcessPoolExecutor(1, context, _die_with_parent) for device in devices
        }
        self._busy: dict[concurrent.futures.Future[Result], str] = {}

    def submit(self, job: Job) -> concurrent.futures.Future[Result]:
        """Begin a job on a device that is free."""
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
        """The first finished job."""
        done, _ = concurrent.futures.wait(handles, return_when=concurrent.futures.FIRST_COMPLETED)
        future = next(iter(done))
        del self._busy[future]
        return future, future.result()

    def close(self) -> None:
        """End the workers; one that is still at work is ended too."""
        for pool in self._pools.values():
            for process in list((pool._processes or {}).values()) if self._busy else []:
                process.terminate()
            pool.shutdown(wait=True, cancel_futures=True)


def _die_with_parent() -> None:
    """In a worker: end when the parent does, however it does, lest a killed run goes on writing."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def local_engine(bench: Workspace, devices: list[str]) -> Engine:
    """The engine for these devices: several of them get a process each."""
    return OnDevices(bench, devices) if len(devices) > 1 else InProcess(bench)


def local_devices(device: str) -> list[str]:
    """The devices behind `--device`: with auto every GPU, else the one named; several with commas."""
    import torch

    if device == "auto" and torch.cuda.device_count() > 1:
        return [f"cuda:{number}" for number in range(torch.cuda.device_count())]
    return [name.strip() for name in device.split(",") if name.strip()] or ["auto"]
