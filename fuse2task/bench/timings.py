"""How long work takes: measured rates of finished jobs in the bench folder, documented guesses before there are any."""

from pathlib import Path

from fuse2task.results.folder import BenchFolder
from fuse2task.results.schema import TIMINGS
from fuse2task.results.tables import read_table, write_table

# Seconds a unit on two CPU cores at 640x480; a GPU is ten times as fast or more.
DEFAULTS = {"degrade": 0.3, "fuse": 0.1, "fuse crossfuse": 0.5, "cost": 10.0, "score": 1.0, "train detection": 0.15,
            "train segmentation": 0.1, "evaluate": 0.3}  # fmt: skip


class Timings:
    """Seconds per unit of work, by kind of job and by method or judge."""

    def __init__(self, folder: Path):
        self.folder, self.path = Path(folder), Path(folder) / "timings.csv"

    def record(self, kind: str, what: str, units: float, seconds: float) -> None:
        """Add a finished job."""
        with BenchFolder(self.folder).lock("timings"):
            row = {"kind": kind, "what": what, "units": f"{units:g}", "seconds": f"{seconds:.1f}"}
            write_table(self.path, TIMINGS, [*read_table(self.path, TIMINGS), row])

    def rate(self, kind: str, what: str, default: str) -> tuple[float, bool]:
        """Seconds a unit, and whether that was measured: for the same method or judge, else for the kind."""
        rows = [row for row in read_table(self.path, TIMINGS) if row["kind"] == kind]
        for chosen in ([row for row in rows if row["what"] == what], rows if kind == "evaluate" else []):
            units = sum(float(row["units"]) for row in chosen)
            if units > 0:
                return sum(float(row["seconds"]) for row in chosen) / units, True
        return DEFAULTS.get(f"{kind} {default}", DEFAULTS.get(kind, 0.0)), False
