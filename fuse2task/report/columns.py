"""Columns of tables; see `fuse2task.results.schema`."""

from fuse2task.results.schema import ABOUT, AGAINST, ROBUSTNESS, TO_BASELINE

__all__ = ["ABOUT", "AGAINST", "ROBUSTNESS", "TO_BASELINE"]
