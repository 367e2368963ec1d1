"""Attacks of other libraries, guarded, and what is known to be wrong with them."""
