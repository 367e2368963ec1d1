"""Measurements of speed. Each module is one command, such as `python -m benchmarks.attacks`."""
