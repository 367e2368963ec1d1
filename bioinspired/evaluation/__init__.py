"""Judges a network: evaluate, check, intervals."""
