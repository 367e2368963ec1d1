"""The Weight Map layer (arXiv 1905.00568)."""
