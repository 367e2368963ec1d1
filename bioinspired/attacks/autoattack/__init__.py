"""AutoAttack and its members (arXiv 2003.01690)."""
