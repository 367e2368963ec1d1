"""Image sets as uint8 tensors on a device: scikit-learn's digits, MNIST, Fashion-MNIST, CIFAR-10.

The digits come with scikit-learn. The other sets are read, in torchvision's layout, from the folder that the variable
BIOINSPIRED_DATA names; where it lacks a set, torchvision downloads it once to `~/.cache/bioinspired/data`
(XDG_CACHE_HOME is respected). Every file is checked against its size and sha256 before it is read.

Images come in one fixed shuffled order, so that the first n of a split are a fair sample for every n, and the first 100
are among the first 1,000. The shuffle is the one of `numpy.random.RandomState(0)`, whose stream NumPy has frozen.
"""

import functools
import hashlib
import os
import pickle
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bioinspired.errors import UserError
from bioinspired.trials import Data, Images

SplitName = Literal["train", "test"]

FOLDER_VARIABLE = "BIOINSPIRED_DATA"


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
        channels: 1 (grey) or 3 (red, green, blue).
        size: side length in pixels of the original, square images.
        train, test: numbers of images.
        mean, std: per channel, on [0, 1], as networks for this set are usually given them.
        sha256: of each split at its original size, as `Split.sha256` gives it.
        files: what the set is read from, below the data folder; empty for the embedded digits.
        torchvision: the class of `torchvision.datasets` that downloads it.
        gray: mean and deviation of the luma of a set in colour.
    """

    name: str
    classes: tuple[str, ...]
    channels: int
    size: int
    train: int
    test: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    sha256: Mapping[SplitName, str]
    files: tuple[File, ...] = ()
    torchvision: str = ""
    gray: tuple[float, float] | None = None

    @property
    def folder(self) -> str:
        """The set's own folder below the data folder, such as "MNIST"."""
        return Path(self.files[0].path).parts[0]


@dataclass(frozen=True)
class Split:
    """Images and labels.

    Attributes:
        images: uint8 [n, C, H, W].
        labels: int64 [n], on the same device.
        id: which images these are, such as "digits16-test-360".
    """

    images: Tensor
    labels: Tensor
    id: str

    @functools.cached_property
    def sha256(self) -> str:
        """Of the images' bytes in the order [n, C, H, W], followed by the labels as little-endian int64."""
        content = hashlib.sha256(self.images.cpu().contiguous().numpy().tobytes())
        content.update(self.labels.cpu().numpy().astype("<i8").tobytes())
        return content.hexdigest()


@dataclass(frozen=True, kw_only=True)
class Check:
    """Where a set is and whether it is intact; `sentence` says it in words.

    `folder` is the set's own folder, or None for the embedded digits and for a set that is nowhere.
    """

    name: str
    state: Literal["embedded", "intact", "missing", "damaged"]
    folder: Path | None
    sentence: str


def describe(name: str) -> Description:
    """The description of a set.

    Raises:
        UserError: no set has this name.
    """
    if name not in DESCRIPTIONS:
        raise UserError(f'There is no data set "{name}": choose one of {", ".join(DESCRIPTIONS)}.')
    return DESCRIPTIONS[name]


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """What a network is built for: channels, their means and deviations on [0, 1], and classes."""

    channels: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    classes: int


def inputs(data: Data) -> Inputs:
    """What networks for these images take in.

    Raises:
        UserError: no set has this name, or it is grey already and `data.gray` asks for it.
    """
    description = describe(data.name)
    channels, mean, std = description.channels, description.mean, description.std
    if data.gray:
        if description.gray is None:
            raise UserError(f"The images of {data.name} have one channel already: leave `gray` out.")
        channels, mean, std = 1, description.gray[:1], description.gray[1:]
    return Inputs(channels=channels, mean=mean, std=std, classes=len(description.classes))


def load(data: Data, split: SplitName, device: str | torch.device = "cpu") -> Split:
    """A split, in its fixed shuffled order, at `data.size` pixels.

    Other sizes than the original are made by bilinear interpolation (smoothed where it shrinks), rounded to uint8.
    `data.train` keeps the first so many training images; the test split is always whole.

    Raises:
        UserError: a file is missing, truncated or altered, a download fails, or the set has fewer images than asked.
    """
    description = describe(data.name)
    folder = _folder(description) if description.files else None
    images, labels = _original(data.name, split, folder)
    if split == "train" and data.train is not None:
        _at_most(data.train, len(labels), f"{data.name} has", "training images")
        images, labels = images[: data.train], labels[: data.train]
    if data.gray:
        images = _luma(images)
    if data.size != description.size:
        images = _resized(images, data.size)
    name = f"{data.name}{'-gray' if data.gray else ''}{data.size}"
    return Split(images.to(device), labels.to(device), f"{name}-{split}-{len(labels)}")


def select(split: Split, images: Images) -> Split:
    """The first `images.n` of a split that `load` gave; all of it for None.

    Raises:
        UserError: the split has fewer images.
    """
    n = len(split.labels) if images.n is None else images.n
    _at_most(n, len(split.labels), f"{split.id} has", "images")
    return Split(split.images[:n], split.labels[:n], f"{split.id.rpartition('-')[0]}-{n}")


def check(name: str) -> Check:
    """Looks for a set, without downloading anything, and checks every file of it.

    Raises:
        UserError: no set has this name, or BIOINSPIRED_DATA names no folder.
    """
    description = describe(name)
    root = _found(description) if description.files else None
    folder = root / description.folder if root else None
    if description.files and root is None:
        sentence = f"{name} is not here yet: torchvision will download it to {_cache()} when it is first used."
        return Check(name=name, state="missing", folder=None, sentence=sentence)
    try:
        if root is None:
            _original(name, "train", None), _original(name, "test", None)
            return Check(name=name, state="embedded", folder=None, sentence=f"{name} comes with scikit-learn.")
        for file in description.files:
            _verify(root, file, _remedy(root, description))
    except UserError as error:
        return Check(name=name, state="damaged", folder=folder, sentence=str(error))
    return Check(name=name, state="intact", folder=folder, sentence=f"{name} is in {folder}, every file as published.")


@functools.lru_cache(maxsize=2)  # the two splits of the set in use
def _original(name: str, split: SplitName, root: Path | None) -> tuple[Tensor, Tensor]:
    """A verified split at its original size, shuffled."""
    description = DESCRIPTIONS[name]
    if root is None:
        images, labels = _read_digits()
    else:
        files = [file for file in description.files if file.split == split]
        for file in files:
            _verify(root, file, _remedy(root, description))
        paths = [root / file.path for file in files]
        images, labels = (_read_cifar if description.channels == 3 else _read_idx)(paths)
    order = np.random.RandomState(0).permutation(len(labels))
    if root is None:  # one shuffle splits and orders the digits
        order = order[: description.train] if split == "train" else order[description.train :]
    result = Split(torch.from_numpy(images[order]), torch.from_numpy(labels[order].astype(np.int64)), name)
    if result.sha256 != description.sha256[split]:
        source = "scikit-learn" if root is None else str(root)
        raise UserError(
            f"The {split} images of {name} from {source} are not the expected ones (sha256 "
            f"{result.sha256[:12]} instead of {description.sha256[split][:12]}): install the versions in uv.lock."
        )
    return result.images, result.labels


def _read_digits() -> tuple[NDArray[Any], NDArray[Any]]:
    from sklearn.datasets import load_digits

    digits = load_digits()
    return np.rint(digits.images * (255 / 16)).astype(np.uint8)[:, None], digits.target


def _read_idx(paths: list[Path]) -> tuple[NDArray[Any], NDArray[Any]]:
    """MNIST's format: the file of images, a header of 16 bytes, and the file of labels, a header of 8."""
    images, labels = (np.fromfile(path, np.uint8) for path in paths)
    rows, columns = images[8:16].view(">u4")
    return images[16:].reshape(-1, 1, int(rows), int(columns)), labels[8:]


def _read_cifar(paths: list[Path]) -> tuple[NDArray[Any], NDArray[Any]]:
    """CIFAR-10's format: pickled batches. Their checksums were verified, so unpickling them runs nothing foreign."""
    batches = [pickle.loads(path.read_bytes(), encoding="latin1") for path in paths]
    images = np.concatenate([batch["data"] for batch in batches])
    return images.reshape(-1, 3, 32, 32), np.concatenate([np.asarray(batch["labels"]) for batch in batches])


def _luma(images: Tensor) -> Tensor:
    """ITU-R BT.601 in the integer arithmetic of Pillow's mode "L", so that it equals torchvision's `Grayscale`."""
    weights = torch.tensor([19595, 38470, 7471], dtype=torch.int32).view(3, 1, 1)
    pieces = [
        ((piece.int() * weights).sum(1, keepdim=True) + 0x8000 >> 16).to(torch.uint8)
        for piece in torch.split(images, 1000)
    ]
    return torch.cat(pieces)


def _resized(images: Tensor, size: int) -> Tensor:
    """In double precision, so that hardly any value falls on another side of one half elsewhere."""
    pieces = [
        torch.nn.functional.interpolate(
            piece.double(), size=(size, size), mode="bilinear", align_corners=False, antialias=size < images.shape[-1]
        )
        .round()
        .clamp(0, 255)
        .to(torch.uint8)
        for piece in torch.split(images, 1000)
    ]
    return torch.cat(pieces)


def _at_most(wanted: int, there: int, whose: str, what: str) -> None:
    if not 0 < wanted <= there:
        raise UserError(f"{whose} {there:,} {what}, not {wanted:,}: ask for between 1 and {there:,}.")


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "bioinspired" / "data"


def _found(description: Description) -> Path | None:
    """The data folder that holds the set: the user's, else the cache, else None."""
    named = os.environ.get(FOLDER_VARIABLE)
    if named and not Path(named).is_dir():
        raise UserError(f"{FOLDER_VARIABLE} names {named}, which is no folder: correct the variable or unset it.")
    roots = ([Path(named)] if named else []) + [_cache()]
    return next((root for root in roots if (root / description.folder).exists()), None)


def _folder(description: Description) -> Path:
    return _found(description) or _download(description)


def _remedy(root: Path, description: Description) -> str:
    if root == _cache():
        return f"delete {root / description.folder} and it will be downloaded again"
    return f"put the original file there, or take {description.folder} away to have the set downloaded"


def _verify(root: Path, file: File, remedy: str) -> None:
    """Raises UserError unless the file is there, whole and unaltered."""
    path = root / file.path
    if not path.is_file():
        raise UserError(f"{path} is missing ({file.bytes:,} bytes expected): {remedy}.")
    found = path.stat().st_size
    if found != file.bytes:
        raise UserError(f"{path} has {found:,} bytes instead of {file.bytes:,}: {remedy}.")
    with path.open("rb") as opened:
        sha256 = hashlib.file_digest(opened, "sha256").hexdigest()
    if sha256 != file.sha256:
        raise UserError(f"{path} was altered (sha256 {sha256[:12]} instead of {file.sha256[:12]}): {remedy}.")


def _download(description: Description) -> Path:
    """Downloads a set beside the cache's sets and moves it there when all of it is right."""
    import torchvision

    cache = _cache()
    remedy = (
        f"connect to the network and try again, or set {FOLDER_VARIABLE} to a folder that holds {description.folder} "
        "as torchvision lays it out"
    )
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".partial-", dir=cache) as partial:
            getattr(torchvision.datasets, description.torchvision)(partial, download=True)
            for file in description.files:
                _verify(Path(partial), file, remedy)
            downloaded = Path(partial) / description.folder
            for archive in downloaded.rglob("*.gz"):
                archive.unlink()
            if not (cache / description.folder).exists():  # another process may have been faster
                downloaded.rename(cache / description.folder)
    except (OSError, RuntimeError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{description.name} could not be downloaded to {cache} ({reason}): {remedy}.") from error
    return cache


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
}
