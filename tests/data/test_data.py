"""Sets are what their descriptions say, and a damaged one gives a sentence. No network, no data folder: tiny sets."""

import hashlib
import pickle
import re
import struct
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from bioinspired import data
from bioinspired.data import cub200, digits, splits
from bioinspired.declarations import Data, Images
from bioinspired.errors import UserError

MNIST = Data(name="mnist", size=28)


def tiny(name: str, files: dict[str, tuple[data.SplitName, bytes]], contents: dict[str, tuple[np.ndarray, np.ndarray]]):
    """A description of a set that has few images, with checksums computed here."""
    published = data.DESCRIPTIONS[name]
    sha256 = {}
    for split, (images, labels) in contents.items():
        order = np.random.RandomState(0).permutation(len(labels))
        sha256[split] = hashlib.sha256(images[order].tobytes() + labels[order].astype("<i8").tobytes()).hexdigest()
    return data.Description(
        name=name,
        classes=published.classes,
        channels=published.channels,
        size=published.size,
        train=len(contents["train"][1]),
        test=len(contents["test"][1]),
        mean=published.mean,
        std=published.std,
        sha256=sha256,
        files=tuple(
            data.File(path=path, split=split, bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
            for path, (split, content) in files.items()
        ),
        torchvision=published.torchvision,
    )


def write(root: Path, files: dict[str, tuple[data.SplitName, bytes]]) -> None:
    for path, (_, content) in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content)


@pytest.fixture
def mnist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """MNIST with 6 training and 4 test images, in tmp_path/data; the cache is tmp_path/cache."""
    random = np.random.default_rng(0)
    files: dict[str, tuple[data.SplitName, bytes]] = {}
    contents = {}
    for split, prefix, n in (("train", "train", 6), ("test", "t10k", 4)):
        images = random.integers(0, 256, (n, 1, 28, 28), dtype=np.uint8)
        labels = random.integers(0, 10, n, dtype=np.uint8)
        header = struct.pack(">IIII", 2051, n, 28, 28)
        files[f"MNIST/raw/{prefix}-images-idx3-ubyte"] = (split, header + images.tobytes())
        files[f"MNIST/raw/{prefix}-labels-idx1-ubyte"] = (split, struct.pack(">II", 2049, n) + labels.tobytes())
        contents[split] = (images, labels)
    root = tmp_path / "data"
    write(root, files)
    monkeypatch.setitem(data.DESCRIPTIONS, "mnist", tiny("mnist", files, contents))
    monkeypatch.setenv("BIOINSPIRED_DATA", str(root))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return SimpleNamespace(root=root, files=files, contents=contents, cache=tmp_path / "cache" / "bioinspired" / "data")


def test_descriptions_of_the_published_sets() -> None:
    shapes = {name: (d.channels, d.size, d.train, d.test, len(d.classes)) for name, d in data.DESCRIPTIONS.items()}
    assert shapes == {
        "digits": (1, 8, 1437, 360, 10),
        "mnist": (1, 28, 60_000, 10_000, 10),
        "fashion_mnist": (1, 28, 60_000, 10_000, 10),
        "cifar10": (3, 32, 50_000, 10_000, 10),
        "patches": (1, 10, 4, 4, 4),
        "cub200": (None, 1, None, None, 200),
    }
    # the sizes follow from the formats: a header, then bytes; CIFAR-10's batches are pickles of 10,000 images
    assert sum(file.bytes for file in data.describe("mnist").files) == 4 * 8 + 2 * 8 + 70_000 * 785
    assert all(file.bytes > 10_000 * 3072 for file in data.describe("cifar10").files)
    with pytest.raises(UserError, match='no data set "svhn": choose one of digits'):
        data.describe("svhn")


def test_digits_are_those_of_scikit_learn_each_once() -> None:
    from sklearn.datasets import load_digits

    original = {(image.tobytes(), label) for image, label in zip(*load_digits(return_X_y=True), strict=True)}
    seen = []
    for split in ("train", "test"):
        digits = data.load(Data(name="digits", size=8), split)
        assert digits.sha256 == data.describe("digits").sha256[split]
        levels = (digits.images.double() * 16 / 255).round().flatten(1).numpy()
        seen += [(image.tobytes(), int(label)) for image, label in zip(levels, digits.labels, strict=True)]
    assert len(seen) == 1797
    assert set(seen) == original


def test_digits_of_another_version_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    images, labels = digits.read()
    images[5, 0, 3, 3] ^= 1
    monkeypatch.setattr(digits, "read", lambda: (images, labels))
    splits.published.cache_clear()
    sentence = "images of digits from scikit-learn are not the expected ones .* install the versions in uv.lock"
    with pytest.raises(UserError, match=sentence):
        data.load(Data(name="digits", size=8), "train"), data.load(Data(name="digits", size=8), "test")
    assert data.check("digits").state == "damaged"
    monkeypatch.undo()
    assert data.check("digits").state == "embedded"


def test_upsampling_is_bilinear() -> None:
    small = data.load(Data(name="digits", size=8), "test")
    large = data.load(Data(name="digits", size=16), "test")
    assert torch.equal(small.labels, large.labels)
    assert large.images.shape == (360, 1, 16, 16)
    # by hand: a new pixel's centre lies a quarter of an old pixel beside the nearest old centre; edges repeat
    old = np.pad(small.images[:, 0].double().numpy(), ((0, 0), (1, 1), (1, 1)), mode="edge")
    for row, column in ((0, 0), (5, 8), (15, 3)):
        i, j = 1 + row // 2, 1 + column // 2
        di, dj = (-1 if row % 2 == 0 else 1), (-1 if column % 2 == 0 else 1)
        near, side = (
            0.75 * old[:, i, j] + 0.25 * old[:, i + di, j],
            0.75 * old[:, i, j + dj] + 0.25 * old[:, i + di, j + dj],
        )
        expected = np.rint(0.75 * near + 0.25 * side)
        assert np.array_equal(large.images[:, 0, row, column].numpy(), expected)


def test_shrinking_agrees_with_pillow(mnist: SimpleNamespace) -> None:
    ours = data.load(Data(name="mnist", size=14), "test")
    order = np.random.RandomState(0).permutation(4)
    for image, k in zip(ours.images[:, 0].numpy(), order, strict=True):
        pillow = Image.fromarray(mnist.contents["test"][0][k, 0]).resize((14, 14), Image.Resampling.BILINEAR)
        assert np.abs(image.astype(int) - np.asarray(pillow).astype(int)).max() <= 1


def test_idx_files_are_read_into_the_fixed_order(mnist: SimpleNamespace) -> None:
    for split, n in (("train", 6), ("test", 4)):
        loaded = data.load(MNIST, split)
        images, labels = mnist.contents[split]
        order = np.random.RandomState(0).permutation(n)
        assert loaded.images.dtype == torch.uint8
        assert loaded.labels.dtype == torch.int64
        assert np.array_equal(loaded.images.numpy(), images[order])
        assert np.array_equal(loaded.labels.numpy(), labels[order])
        assert loaded.id == f"mnist28-{split}-{n}"


def test_cifar_batches_are_read_and_an_altered_one_is_not_unpickled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = np.random.default_rng(1)
    files: dict[str, tuple[data.SplitName, bytes]] = {}
    parts: dict[str, list] = {"train": [], "test": []}
    for split, name in (("train", "data_batch_1"), ("train", "data_batch_2"), ("test", "test_batch")):
        images = random.integers(0, 256, (3, 3, 32, 32), dtype=np.uint8)
        labels = random.integers(0, 10, 3)
        batch = pickle.dumps({"data": images.reshape(3, 3072), "labels": labels.tolist()})
        files[f"cifar-10-batches-py/{name}"] = (split, batch)
        parts[split].append((images, labels))
    contents = {split: tuple(map(np.concatenate, zip(*pairs, strict=True))) for split, pairs in parts.items()}
    write(tmp_path, files)
    monkeypatch.setitem(data.DESCRIPTIONS, "cifar10", tiny("cifar10", files, contents))
    monkeypatch.setenv("BIOINSPIRED_DATA", str(tmp_path))
    loaded = data.load(Data(name="cifar10", size=32), "train")
    order = np.random.RandomState(0).permutation(6)
    assert np.array_equal(loaded.images.numpy(), contents["train"][0][order])
    assert np.array_equal(loaded.labels.numpy(), contents["train"][1][order])
    monkeypatch.setitem(data.DESCRIPTIONS, "cifar10", replace(data.describe("cifar10"), gray=(0.5, 0.2)))
    gray = data.load(Data(name="cifar10", size=32, gray=True), "train")
    for image, colour in zip(gray.images[:, 0].numpy(), contents["train"][0][order], strict=True):
        assert np.array_equal(image, np.asarray(Image.fromarray(colour.transpose(1, 2, 0)).convert("L")))
    assert gray.id == "cifar10-gray32-train-6"
    target = tmp_path / "cifar-10-batches-py" / "test_batch"
    target.write_bytes(b"!" * target.stat().st_size)  # unpickling this would raise another error
    with pytest.raises(UserError, match="test_batch was altered"):
        data.load(Data(name="cifar10", size=32), "test")


def test_only_colour_can_be_made_gray() -> None:
    assert data.inputs(Data(name="cifar10", size=32, gray=True)).channels == 1
    assert data.inputs(Data(name="cifar10", size=32)).channels == 3
    with pytest.raises(UserError, match="one channel already"):
        data.inputs(Data(name="mnist", size=28, gray=True))


def test_selections_are_nested_and_named(mnist: SimpleNamespace) -> None:
    split = data.load(MNIST, "train")
    three, two = data.select(split, Images(n=3)), data.select(split, Images(n=2))
    assert torch.equal(three.images[:2], two.images)
    assert (three.id, two.id) == ("mnist28-train-3", "mnist28-train-2")
    content = three.images.numpy().tobytes() + three.labels.numpy().astype("<i8").tobytes()
    assert three.sha256 == hashlib.sha256(content).hexdigest()
    assert data.select(split, Images()).id == "mnist28-train-6"
    part = data.load(Data(name="mnist", size=28, train=3), "train")
    assert torch.equal(part.images, three.images)
    assert torch.equal(part.labels, three.labels)
    assert part.id == three.id
    with pytest.raises(UserError, match="mnist28-train-6 has 6 images, not 7"):
        data.select(split, Images(n=7))
    with pytest.raises(UserError, match="mnist has 6 training images, not 7"):
        data.load(Data(name="mnist", size=28, train=7), "train")


def test_a_missing_truncated_or_altered_file_gives_one_sentence(mnist: SimpleNamespace) -> None:
    path = mnist.root / "MNIST/raw/t10k-images-idx3-ubyte"
    content = path.read_bytes()
    assert data.check("mnist").state == "intact"
    for damaged, sentence in (
        (content[:-5], r"t10k-images-idx3-ubyte has 3,147 bytes instead of 3,152: put the original file there"),
        (content[:-1] + bytes([content[-1] ^ 1]), r"t10k-images-idx3-ubyte was altered \(sha256 \w{12} instead of"),
        (None, r"t10k-images-idx3-ubyte is missing \(3,152 bytes expected\): put the original file there"),
    ):
        path.unlink()
        if damaged is not None:
            path.write_bytes(damaged)
        else:
            path.parent.joinpath("other").touch()
        with pytest.raises(UserError, match=sentence):
            data.load(MNIST, "test")
        checked = data.check("mnist")
        assert checked.state == "damaged"
        assert str(path) in checked.sentence
        path.write_bytes(content)
    assert len(data.load(MNIST, "test").labels) == 4


def test_a_variable_that_names_no_folder(mnist: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BIOINSPIRED_DATA", "/nowhere/at/all")
    for use in (lambda: data.load(MNIST, "test"), lambda: data.check("mnist")):
        with pytest.raises(UserError, match="BIOINSPIRED_DATA names /nowhere/at/all, which is no folder"):
            use()


def test_what_the_folder_lacks_is_downloaded_whole(mnist: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    def download(root: str, download: bool) -> None:
        assert download
        write(Path(root), mnist.files)
        (Path(root) / "MNIST/raw/train-images-idx3-ubyte.gz").write_bytes(b"archive")

    monkeypatch.setattr("torchvision.datasets.MNIST", download)
    monkeypatch.delenv("BIOINSPIRED_DATA")
    assert data.check("mnist").state == "missing"
    assert not mnist.cache.exists()
    assert len(data.load(MNIST, "train").labels) == 6
    assert sorted(path.name for path in mnist.cache.iterdir()) == ["MNIST"]
    assert {path.name for path in (mnist.cache / "MNIST/raw").iterdir()} == {Path(path).name for path in mnist.files}
    assert data.check("mnist").folder == mnist.cache / "MNIST"


@pytest.mark.parametrize("failure", ["breaks off", "gives another file"])
def test_a_failed_download_leaves_nothing(
    failure: str, mnist: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def download(root: str, download: bool) -> None:
        write(Path(root), mnist.files)
        if failure == "breaks off":
            raise RuntimeError("Error downloading train-images:\nno route to host")
        next(Path(root).rglob("t10k-labels*")).write_bytes(b"not what was published")

    monkeypatch.setattr("torchvision.datasets.MNIST", download)
    monkeypatch.delenv("BIOINSPIRED_DATA")
    sentence = {
        "breaks off": "mnist could not be downloaded to .* train-images: no route to host",
        "gives another file": "t10k-labels-idx1-ubyte has 22 bytes instead of 12",
    }[failure]
    with pytest.raises(UserError, match=f"{sentence}.*: connect to the network and try again, or set BIOINSPIRED_DATA"):
        data.load(MNIST, "train")
    assert list(mnist.cache.iterdir()) == []


def test_a_damaged_cache_says_what_to_delete(mnist: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BIOINSPIRED_DATA")
    write(mnist.cache, mnist.files)
    (mnist.cache / "MNIST/raw/train-labels-idx1-ubyte").write_bytes(b"")
    with pytest.raises(UserError, match=f"delete {mnist.cache / 'MNIST'} and it will be downloaded again"):
        data.load(MNIST, "train")


# Patches


@pytest.mark.parametrize("overlap", [0, 1, 15, 24])
def test_patches_share_what_is_said_and_nothing_else(overlap: int) -> None:
    wanted = Data(name="patches", size=10, overlap=overlap)
    split = data.load(wanted, "train")
    on = split.images.flatten(1) == 255
    assert ((split.images == 0) | (split.images == 255)).all()
    assert on.sum(1).tolist() == [25] * 4
    assert on.all(0).sum() == overlap
    assert (on.sum(0) == 1).sum() == 4 * (25 - overlap), "a pixel is on in one image or in all"
    assert split.labels.tolist() == [0, 1, 2, 3]
    assert split.id == f"patches10-overlap{overlap}-train-4"
    test = data.load(wanted, "test")
    assert torch.equal(test.images, split.images)
    mean = data.inputs(wanted)
    pixels = split.images.double() / 255
    assert (mean.channels, mean.classes) == (1, 4)
    assert (mean.mean[0], mean.std[0]) == pytest.approx(
        (float(pixels.mean()), float(pixels.std(correction=0))), abs=1e-4
    )


def test_patches_are_always_the_same_and_no_network_is_needed() -> None:
    first = data.load(Data(name="patches", size=10, overlap=20), "test")
    assert first.sha256 == "f57d6dd5d146c2cfbe2541630884976578249a2b149ae7900f193d319f542ff7"
    assert data.check("patches").state == "embedded"


@pytest.mark.parametrize(
    ("wanted", "sentence"),
    [
        (Data(name="patches", size=10), "need an overlap from 0 to 24, .* not None"),
        (Data(name="patches", size=10, overlap=25), "need an overlap from 0 to 24, .* not 25"),
        (Data(name="patches", size=10, overlap=-1), "need an overlap from 0 to 24, .* not -1"),
        (Data(name="patches", size=16, overlap=5), "patches has the size 10 only, not 16"),
        (Data(name="digits", size=8, overlap=5), "digits have no overlap to choose"),
        (Data(name="cub200", size=8), "cub200 has the size 1 only, not 8"),
    ],
)
def test_sets_that_cannot_be_had_in_this_way(wanted: Data, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        data.load(wanted, "train")


# Features


CUB = Data(name="cub200", size=1)


def features(n: int = 6, d: int = 5, seed: int = 0, labels: int = 200) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    return random.random((n, d)).astype(np.float32) * 3, random.integers(0, labels, n)


@pytest.fixture
def supplied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Writes a file of features, with changes, where it belongs; gives its path."""
    monkeypatch.setenv("BIOINSPIRED_DATA", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = tmp_path / cub200.PATH
    path.parent.mkdir()

    def write(**changes: np.ndarray | None) -> Path:
        (train, train_labels), (test, test_labels) = features(), features(4, seed=1)
        arrays = {
            "train_features": train, "train_labels": train_labels, "test_features": test, "test_labels": test_labels,
        } | changes  # fmt: skip
        np.savez(path, **{name: array for name, array in arrays.items() if array is not None})
        return path

    return write


def test_features_become_images_of_one_pixel_between_nothing_and_the_largest_training_one(supplied) -> None:
    test = features(4, seed=1)[0]
    test[0, 0] = 9.0  # larger than any training feature
    supplied(test_features=test)
    (values, labels), order = features(), np.random.RandomState(0).permutation(6)
    train = data.load(CUB, "train")
    assert (train.images.dtype, train.images.shape) == (torch.float32, (6, 5, 1, 1))
    assert (train.images[:, :, 0, 0] / 255).numpy() == pytest.approx(values[order] / values.max(), abs=1e-6)
    assert train.labels.tolist() == labels[order].tolist()
    assert float(train.images.max()) == 255
    shown = data.load(CUB, "test").images / 255
    assert sorted(shown.flatten().tolist()) == pytest.approx(sorted((test / values.max()).clip(0, 1).ravel()), abs=1e-6)
    assert data.inputs(CUB) == splits.Inputs(channels=5, mean=(0.0,) * 5, std=(1.0,) * 5, classes=200)
    assert data.select(train, Images(n=2)).id == "cub2001-train-2"
    assert data.check("cub200").state == "intact"
    assert "6 training and 4 test rows of 5 features" in data.check("cub200").sentence


def test_a_file_that_was_written_anew_is_read_anew(supplied) -> None:
    supplied()
    before = data.load(CUB, "train").sha256
    supplied(train_features=features(seed=2, d=5)[0], train_labels=np.zeros(6, np.int64))
    assert data.load(CUB, "train").sha256 != before


NAN, NEGATIVE = features()[0].copy(), features()[0].copy()
NAN[1, 2], NEGATIVE[3, 0] = np.nan, -0.5


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"test_labels": None}, "lacks test_labels: it needs the arrays train_features"),
        ({"train_features": NAN}, "train_features has a value that is infinite or no number"),
        ({"train_features": NEGATIVE}, r"train_features has the negative value -0\.5: take features behind a ReLU"),
        ({"train_features": np.zeros((6, 5))}, "no training feature is above 0"),
        ({"train_features": np.ones((6, 5), np.int64)}, r"must be floating-point \[n, d\], not int64"),
        ({"train_features": np.ones((6, 5, 1, 1))}, r"must be floating-point \[n, d\], not float64 \[6, 5, 1, 1\]"),
        ({"train_labels": np.zeros(5, np.int64)}, "train_labels must be 6 integers"),
        ({"train_labels": np.zeros(6)}, "train_labels must be 6 integers, one for each row of features, not float64"),
        ({"test_labels": np.array([1, 2, 3, 200])}, "test_labels reach from 1 to 200: classes are 0 to 199"),
        ({"test_labels": np.array([-1, 2, 3, 4])}, "test_labels reach from -1 to 4"),
        ({"test_features": np.ones((4, 7))}, "training rows have 5 features, test rows 7"),
        ({"train_features": np.array([{}] * 6)}, r"cannot be read .*allow_pickle.* write it with numpy\.savez"),
    ],
)
def test_every_mistake_in_the_features_gives_one_sentence(changes, sentence: str, supplied) -> None:
    path = supplied(**changes)
    with pytest.raises(UserError, match=sentence) as raised:
        data.load(CUB, "train")
    assert str(raised.value).startswith(str(path))
    assert data.check("cub200").state == "damaged"


def test_features_that_are_nowhere_or_no_archive(supplied) -> None:
    path = supplied()
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(UserError, match=r"features\.npz cannot be read"):
        data.load(CUB, "test")
    path.unlink()
    with pytest.raises(UserError, match=r"features\.npz is missing: the features of CUB-200 are yours to supply"):
        data.inputs(CUB)
    assert data.check("cub200").state == "missing"


def test_the_page_makes_such_a_file(supplied, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The code of book/rerun.md, on made-up pictures and with a network that only takes means."""
    root = tmp_path / "CUB_200_2011"
    (root / "images" / "001.Bird").mkdir(parents=True)
    for k in (1, 2, 3):
        Image.new("RGB", (40 + k, 30), (80 * k, 0, 0)).save(root / "images" / "001.Bird" / f"{k}.jpg")
    (root / "images.txt").write_text("1 001.Bird/1.jpg\n2 001.Bird/2.jpg\n3 001.Bird/3.jpg\n")
    (root / "image_class_labels.txt").write_text("1 1\n2 200\n3 7\n")
    (root / "train_test_split.txt").write_text("1 1\n2 0\n3 1\n")

    class Means(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            assert x.shape == (1, 3, 224, 224)
            return x.mean((2, 3)).relu()

    monkeypatch.setattr("torchvision.models.resnet50", lambda weights: Means())
    monkeypatch.chdir(tmp_path)
    page = (Path(__file__).parents[2] / "book" / "rerun.md").read_text("utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", page, re.S)
    exec(code.replace('"/data/cub200"', repr(str(tmp_path / "cub200"))), {})
    train, test = data.load(CUB, "train"), data.load(CUB, "test")
    assert sorted(train.labels.tolist()) == [0, 6]
    assert test.labels.tolist() == [199]
    assert train.images.shape[1] == 3
