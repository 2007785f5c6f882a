"""Ultralytics must not change how images are opened elsewhere in the process."""

import pytest
from PIL import Image, UnidentifiedImageError

from fuse2task.runtime.packages import quiet_ultralytics


def test_a_file_that_is_no_image_installs_nothing(tmp_path):
    quiet_ultralytics()
    (tmp_path / "a.png").write_text("hello")
    with pytest.raises(UnidentifiedImageError):
        Image.open(tmp_path / "a.png")
