"""Network families by name: `build` makes a network, FAMILIES lists them."""

from bioinspired.networks.families import FAMILIES, build
from bioinspired.networks.normalize import Normalize

__all__ = ["FAMILIES", "Normalize", "build"]
