"""Brain-inspired defenses against adversarial examples, and an evaluation that checks itself."""
