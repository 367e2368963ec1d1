"""Training schedules by name: the short one for each data set, and the papers' own long ones."""

from collections.abc import Mapping

from bioinspired.declarations import Recipe

SHORT: Mapping[str, Recipe] = {
    "digits": Recipe(epochs=6, batch=64, rate="0.1"),
    "mnist": Recipe(epochs=2, batch=128, rate="0.1"),
    "fashion_mnist": Recipe(epochs=5, batch=128, rate="0.1"),
    "cifar10": Recipe(epochs=18, batch=128, rate="0.1", augmentation="crop_flip", precision="bf16"),
}
"""One cycle of the rate, in few epochs: what networks of batch normalisation learn fastest by (arXiv 1708.07120)."""

DEFECTIVE_CONV: Mapping[str, Recipe] = {
    "cifar10": Recipe(
        epochs=350, batch=128, rate="0.1", schedule="steps", milestones=("3/7", "5/7"), augmentation="crop_flip"
    ),
    "mnist": Recipe(epochs=50, batch=128, rate="0.1", schedule="steps", milestones=("2/5", "4/5"), augmentation="flip"),
}
"""Of arXiv 1911.08432 and 2007.14249: the rate falls tenfold at epochs 150 and 250 of 350, at 20 and 40 of 50."""
