"""Defective convolution (arXiv 1911.08432)."""
