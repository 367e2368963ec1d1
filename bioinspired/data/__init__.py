"""Image sets as tensors on a device: digits, MNIST, Fashion-MNIST, CIFAR-10, patches, and features of CUB-200.

The digits come with scikit-learn and the patches are constructed. MNIST, Fashion-MNIST and CIFAR-10 are read, in
torchvision's layout, from the folder that the variable BIOINSPIRED_DATA names; where it lacks a set, torchvision
downloads it once to `~/.cache/bioinspired/data` (XDG_CACHE_HOME is respected). Every file of these is checked against
its size and sha256 before it is read. The features of CUB-200 are a file of the user's own: see `data.cub200`.

Images come in one fixed shuffled order, so that the first n of a split are a fair sample for every n, and the first 100
are among the first 1,000. The shuffle is the one of `numpy.random.RandomState(0)`, whose stream NumPy has frozen.
"""

from bioinspired.data.descriptions import DESCRIPTIONS, Description, File, SplitName, describe
from bioinspired.data.inspection import Check, check
from bioinspired.data.splits import Inputs, Split, inputs, load, select

__all__ = [
    "DESCRIPTIONS",
    "Check",
    "Description",
    "File",
    "Inputs",
    "Split",
    "SplitName",
    "check",
    "describe",
    "inputs",
    "load",
    "select",
]
