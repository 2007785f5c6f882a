"""Reading truth: boxes from YOLO, VOC and COCO files, class masks."""
