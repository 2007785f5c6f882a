"""A camera rig: from what two cameras recorded to pairs that can be fused."""
