"""The engine of a cluster: every job is a Ray task; rows come back to the process that asked."""

import os
import signal
import threading
from typing import Any

from fuse2task.bench.jobs.work import Result, do_elsewhere
from fuse2task.bench.plan import Job
from fuse2task.bench.workspace import Workspace
from fuse2task.runtime.errors import Fuse2TaskError, RequestError


class OnRay:
    """Jobs as Ray tasks. The bench folder and the data must have the same path on every machine."""

    def __init__(self, bench: Workspace, address: str | None, cpus: float, gpus: float):
        # Before the import: Ray reads it once.
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        try:
            import ray
        except ImportError:
            raise RequestError("--engine ray needs Ray; install it with `pip install fuse2task[ray]`") from None
        self.bench, self._ray = bench, ray
        try:
            # A runtime environment would copy the working folder to every machine; paths are shared instead.
            before = signal.getsignal(signal.SIGTERM)
            ray.init(address=address, include_dashboard=False, log_to_driver=True, configure_logging=False)
            if threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGTERM, before)  # Ray's would leave with the signal's number
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise RequestError(f"--address {address}: no Ray cluster can be used there ({error})") from None
        total = ray.cluster_resources()
        wanted = {"CPU": cpus, "GPU": gpus}
        slots = [total.get(name, 0) / amount for name, amount in wanted.items() if amount > 0]
        self.slots = int(min(slots)) if slots else 1
        if self.slots < 1:
            self.close()
            have = ", ".join(f"{total.get(name, 0):g} {name}" for name in wanted)
            raise RequestError(f"Ray has {have}; a job asks for {cpus:g} CPU and {gpus:g} GPU: ask for less")
        # A job that fails or whose worker dies is told to the user; the same command goes on.
        options = {"num_cpus": cpus, "num_gpus": gpus, "max_retries": 0}
        self._task = ray.remote(**options)(do_elsewhere)
        self._recipe = ray.put(bench.recipe.model_dump(mode="json"))

    def submit(self, job: Job) -> Any:
        """Begin a job where the resources are."""
        return self._task.remote(self._recipe, str(self.bench.folder), self.bench.device, os.getcwd(), job)

    def wait(self, handles: list[Any]) -> tuple[Any, Result]:
        """The first finished job."""
        done, _ = self._ray.wait(handles, num_returns=1)
        try:
            return done[0], self._ray.get(done[0])
        except self._ray.exceptions.RayTaskError as error:
            cause = error.cause
            raise (
                cause if isinstance(cause, Fuse2TaskError) else Fuse2TaskError(f"a job failed on Ray: {cause!r}")
            ) from None
        except self._ray.exceptions.RayError as error:
            raise Fuse2TaskError(f"a job was lost on Ray ({error}); run the same command to go on") from None

    def close(self) -> None:
        """Leave the cluster, ending what still runs for this process."""
        self._ray.shutdown()
