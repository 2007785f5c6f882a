"""Degraded copies of datasets: weather, light, sensor faults, optics, misregistration, compression."""
