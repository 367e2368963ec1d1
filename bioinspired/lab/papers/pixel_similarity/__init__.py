"""Pixel similarity (arXiv 2410.03952)."""
