"""The sleep algorithm (Tadros et al., ICLR 2020)."""
