"""fuse2task: what an infrared-visible fusion method is worth to the task that uses its images."""

__version__ = "0.1.0"
