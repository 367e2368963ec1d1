"""One thread, unless the environment asks for more: networks this small are slower on two."""

import os

for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")  # read when torch is imported
