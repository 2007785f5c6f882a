"""Image fusion: the CrossFuse network, its trainer, the methods to compare, the fused dataset writer."""
