"""Keeps libraries that like to phone home from doing so; call before importing them."""

import logging
import os
import stat
import tempfile
from pathlib import Path

from fuse2task.runtime.errors import Fuse2TaskError


def go_offline() -> None:
    """Set the environment so that Ultralytics, albumentations and the model hubs open no connection.

    Ultralytics' settings are kept in a folder of our own, so that the user's are neither read nor changed.

    Raises:
        Fuse2TaskError: that folder is another user's.
    """
    settings = Path(tempfile.gettempdir()) / f"fuse2task-ultralytics-{os.getuid()}"
    settings.mkdir(mode=0o700, exist_ok=True)
    found = settings.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():  # in a folder that all users may write
        raise Fuse2TaskError(f"{settings}: belongs to another user; remove it, or set TMPDIR to a folder of your own")
    os.environ.update(
        YOLO_OFFLINE="true",
        YOLO_AUTOINSTALL="false",
        YOLO_VERBOSE="false",  # else its first import greets on standard output
        YOLO_CONFIG_DIR=str(settings),
        NO_ALBUMENTATIONS_UPDATE="1",
        HF_HUB_OFFLINE="1",
    )


def quiet_ultralytics() -> None:
    """Let Ultralytics log warnings only, never sync statistics, and unpickle nothing but its own classes."""
    go_offline()
    try:
        from PIL import Image
        from ultralytics.nn import tasks
        from ultralytics.utils import LOGGER, SETTINGS, patches
    except ImportError as error:
        raise Fuse2TaskError(f"ultralytics cannot be imported ({error}); reinstall fuse2task") from None
    tasks.SAFE_LOAD = True  # not by its environment variable: ultralytics may have been imported before
    # It replaces Pillow's opener for the whole process by one that installs a package when a file is no image.
    Image.open = patches._image_open
    LOGGER.setLevel(logging.WARNING)
    if SETTINGS.get("sync"):
        SETTINGS["sync"] = False
