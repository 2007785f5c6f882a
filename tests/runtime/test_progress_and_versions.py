"""Progress lines and versions of packages."""

from fuse2task.runtime.packages import versions, versions_hash
from fuse2task.runtime.progress import Meter


def test_meter_logs_plain_lines_with_rate_and_time_left(capsys):
    with Meter("work", 10, "pairs", interval=0) as meter:
        meter.advance(4, "loss 1.5")
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("work: 4/10 pairs, ")
    assert "s left" in lines[0]
    assert "loss 1.5" in lines[0]


def test_versions_name_what_decides_the_numbers():
    assert {"fuse2task", "torch", "numpy", "pycocotools"} <= set(versions())
    assert len(versions_hash()) == 12
