"""Turns records into the book: frame, tables, figures, notebooks, build, bundle."""
