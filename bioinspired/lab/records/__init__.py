"""Records: one JSON per network, where they lie, what made them."""
