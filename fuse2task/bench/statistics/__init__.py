"""Uncertainty of benchmark numbers: plain functions on numpy arrays."""
