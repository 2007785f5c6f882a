"""The report of a bench folder: one HTML file, Markdown, CSV and LaTeX."""

from fuse2task.report.documents import write_report

__all__ = ["write_report"]
