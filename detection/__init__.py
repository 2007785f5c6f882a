"""Detection: YOLO training on a fused dataset, judges, prediction, COCO average precision."""
