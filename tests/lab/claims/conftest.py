"""Properties run without a deadline: a busy machine is no failure."""

from hypothesis import settings

settings.register_profile("claims", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("claims")
