"""`fuse2task data convert`: boxes between COCO, Pascal VOC and YOLO."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class BoxFormatName(StrEnum):
    """Formats of box sets."""

    coco = "coco"
    voc = "voc"
    yolo = "yolo"


def convert(
    boxes: Annotated[Path, typer.Argument(help="COCO file, folder of VOC files, or folder of YOLO files.")],
    images: Annotated[Path, typer.Option(help="Folder of the images that the boxes are of.")],
    to: Annotated[BoxFormatName, typer.Option(help="coco: one .json; voc, yolo: a folder.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="New file (coco) or folder to write.")],
) -> None:
    """Convert boxes from COCO, VOC or YOLO to another of them; what does not fit the images is listed instead."""
    from fuse2task.data.truth.conversion import convert_boxes

    truth = convert_boxes(boxes, images, to.value, output)
    count = sum(map(len, truth.boxes.values()))
    typer.echo(f"{output}: {count} boxes of {len(truth.boxes)} images, classes {', '.join(truth.classes)}")
