"""Trains declared networks: recipes, the loop, how it calls a defense."""
