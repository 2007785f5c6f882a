"""Training a fusion network through a detector that looks at its images."""
