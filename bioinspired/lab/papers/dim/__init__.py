"""Denoised Internal Models (arXiv 2111.10844)."""
