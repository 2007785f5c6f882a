"""The report of a bench folder: one HTML file, Markdown, CSV and LaTeX."""

from typing import TYPE_CHECKING

from fuse2task.runtime.packages import lazy_names

if TYPE_CHECKING:
    from fuse2task.report.documents import write_report

__all__ = ["write_report"]

__getattr__, __dir__ = lazy_names(__name__, {"write_report": "fuse2task.report.documents"})
