"""The CrossFuse network (Li & Wu, Information Fusion 103, 2024), as the public release behaves."""
