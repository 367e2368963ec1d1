"""What is known of every set without opening it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from bioinspired.data import cub200, patches
from bioinspired.errors import UserError

SplitName = Literal["train", "test"]


@dataclass(frozen=True, kw_only=True)
class File:
    """One file of a set: its path below the data folder, what it is for, its size in bytes and its sha256."""

    path: str
    split: SplitName
    bytes: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Description:
    """What is known of a set without opening it.

    Attributes:
        name: the set's name in `trials.Data`.
        classes: the class names; label k is `classes[k]`.
        channels: 1 (grey) or 3 (red, green, blue); None where the user's file decides.
        size: side length in pixels of the original, square images.
        train, test: numbers of images; None where the user's file decides.
        mean, std: per channel, on [0, 1], as networks for this set are usually given them; empty without channels.
        sha256: of each published split at its original size, as `Split.sha256` gives it.
        files: what a published set is read from, below the data folder.
        torchvision: the class of `torchvision.datasets` that downloads it.
        gray: mean and deviation of the luma of a set in colour.
    """

    name: str
    classes: tuple[str, ...]
    channels: int | None
    size: int
    train: int | None
    test: int | None
    mean: tuple[float, ...]
    std: tuple[float, ...]
    sha256: Mapping[SplitName, str] = field(default_factory=dict)
    files: tuple[File, ...] = ()
    torchvision: str = ""
    gray: tuple[float, float] | None = None

    @property
    def folder(self) -> str:
        """The set's own folder below the data folder, such as "MNIST"."""
        return Path(self.files[0].path).parts[0]


def describe(name: str) -> Description:
    """The description of a set.

    Raises:
        UserError: no set has this name.
    """
    if name not in DESCRIPTIONS:
        raise UserError(f'There is no data set "{name}": choose one of {", ".join(DESCRIPTIONS)}.')
    return DESCRIPTIONS[name]


def _idx(folder: str, checksums: tuple[str, str, str, str]) -> tuple[File, ...]:
    """The four files of an MNIST-like set; checksums of images and labels, training first."""

    def pair(split: SplitName, prefix: str, n: int, images: str, labels: str) -> tuple[File, File]:
        return (
            File(path=f"{folder}/raw/{prefix}-images-idx3-ubyte", split=split, bytes=16 + 784 * n, sha256=images),
            File(path=f"{folder}/raw/{prefix}-labels-idx1-ubyte", split=split, bytes=8 + n, sha256=labels),
        )

    return pair("train", "train", 60_000, *checksums[:2]) + pair("test", "t10k", 10_000, *checksums[2:])


def _batch(name: str, size: int, sha256: str) -> File:
    split: SplitName = "test" if name == "test_batch" else "train"
    return File(path=f"cifar-10-batches-py/{name}", split=split, bytes=size, sha256=sha256)


_TEN_DIGITS = ("0", "1", "2", "3", "4", "5", "6", "7", "8", "9")

DESCRIPTIONS: Mapping[str, Description] = {
    "digits": Description(
        name="digits",
        classes=_TEN_DIGITS,
        channels=1,
        size=8,
        train=1437,
        test=360,
        mean=(0.3054,),
        std=(0.3757,),
        sha256={
            "train": "3b5d4b834352dc234b889424da81aabc2befef1e32bb441fb944850cb9bba7f6",
            "test": "69e957c18a47c2438a4eb515fe0ab47070cefa677b2cdd4cf2e289f1a5ddaced",
        },
    ),
    "mnist": Description(
        name="mnist",
        classes=_TEN_DIGITS,
        channels=1,
        size=28,
        train=60_000,
        test=10_000,
        mean=(0.1307,),
        std=(0.3081,),
        sha256={
            "train": "937b4bf55ca786e1c093d4aab68363a39217690d1e4b7488518a27d542b9b2f4",
            "test": "749300c1ab2844d197aff6c14983948ac739766ddd84217c7d76a078df1c39f1",
        },
        files=_idx(
            "MNIST",
            (
                "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
                "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
                "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
                "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
            ),
        ),
        torchvision="MNIST",
    ),
    "fashion_mnist": Description(
        name="fashion_mnist",
        classes=(
            "T-shirt/top",
            "trouser",
            "pullover",
            "dress",
            "coat",
            "sandal",
            "shirt",
            "sneaker",
            "bag",
            "ankle boot",
        ),
        channels=1,
        size=28,
        train=60_000,
        test=10_000,
        mean=(0.2860,),
        std=(0.3530,),
        sha256={
            "train": "c5dee1d0acc7ef97433989bd4747d8faff9add121c2fbe80aeeff55249704e8b",
            "test": "a32397825bab9807f923001cf7d90b52263638da4508f8456580e6fb66e9d169",
        },
        files=_idx(
            "FashionMNIST",
            (
                "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
                "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
                "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
                "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
            ),
        ),
        torchvision="FashionMNIST",
    ),
    "cifar10": Description(
        name="cifar10",
        classes=("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
        channels=3,
        size=32,
        train=50_000,
        test=10_000,
        mean=(0.4914, 0.4822, 0.4465),
        std=(0.2023, 0.1994, 0.2010),  # the mean of the images' own deviations, as most published networks use it
        sha256={
            "train": "5d0896a5dbd040d4aec00d6eddd002ecfff5fdf212625aeba7d50862d044bcf7",
            "test": "362881e85d4b2887a7a7a8e918e3aaefad75dddd17ff7aa5fc3e884bd4d79dab",
        },
        files=(
            _batch("data_batch_1", 31_035_704, "54636561a3ce25bd3e19253c6b0d8538147b0ae398331ac4a2d86c6d987368cd"),
            _batch("data_batch_2", 31_035_320, "766b2cef9fbc745cf056b3152224f7cf77163b330ea9a15f9392beb8b89bc5a8"),
            _batch("data_batch_3", 31_035_999, "0f00d98ebfb30b3ec0ad19f9756dc2630b89003e10525f5e148445e82aa6a1f9"),
            _batch("data_batch_4", 31_035_696, "3f7bb240661948b8f4d53e36ec720d8306f5668bd0071dcb4e6c947f78e9682b"),
            _batch("data_batch_5", 31_035_623, "d91802434d8376bbaeeadf58a737e3a1b12ac839077e931237e0dcd43adcb154"),
            _batch("test_batch", 31_035_526, "f53d8d457504f7cff4ea9e021afcf0e0ad8e24a91f3fc42091b8adef61157831"),
        ),
        torchvision="CIFAR10",
        gray=(0.4809, 0.2392),
    ),
    "patches": Description(
        name="patches",
        classes=("0", "1", "2", "3"),
        channels=1,
        size=patches.SIDE,
        train=patches.IMAGES,
        test=patches.IMAGES,
        mean=(0.25,),
        std=(0.4330,),
    ),
    "cub200": Description(
        name="cub200",
        classes=tuple(str(k) for k in range(cub200.CLASSES)),
        channels=None,
        size=1,
        train=None,
        test=None,
        mean=(),
        std=(),
    ),
}
