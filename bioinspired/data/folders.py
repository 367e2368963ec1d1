"""Where the files of a set lie, whether they are as published, and the download of those that are nowhere."""

import hashlib
import os
import tempfile
from pathlib import Path

from bioinspired.data.descriptions import Description, File
from bioinspired.errors import UserError

FOLDER_VARIABLE = "BIOINSPIRED_DATA"


def cache() -> Path:
    """Where sets are downloaded to."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "bioinspired" / "data"


def roots() -> list[Path]:
    """The data folders to look into: the user's, then the cache.

    Raises:
        UserError: BIOINSPIRED_DATA names no folder.
    """
    named = os.environ.get(FOLDER_VARIABLE)
    if named and not Path(named).is_dir():
        raise UserError(f"{FOLDER_VARIABLE} names {named}, which is no folder: correct the variable or unset it.")
    return [*([Path(named)] if named else []), cache()]


def found(description: Description) -> Path | None:
    """The data folder that holds a published set, or None."""
    return next((root for root in roots() if (root / description.folder).exists()), None)


def found_or_downloaded(description: Description) -> Path:
    """The data folder that holds a published set; downloaded first where it is nowhere."""
    return found(description) or _download(description)


def supplied(path: str) -> Path:
    """Where a file lies that the user supplies; where it is nowhere, the first place to put it."""
    places = [root / path for root in roots()]
    return next((place for place in places if place.exists()), places[0])


def verify_all(root: Path, description: Description, split: str | None = None) -> list[Path]:
    """The files of a published set, or of one of its splits, each verified.

    Raises:
        UserError: one is missing, truncated or altered.
    """
    files = [file for file in description.files if split in (None, file.split)]
    for file in files:
        _verify(root, file, _remedy(root, description))
    return [root / file.path for file in files]


def _remedy(root: Path, description: Description) -> str:
    if root == cache():
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

    home = cache()
    remedy = (
        f"connect to the network and try again, or set {FOLDER_VARIABLE} to a folder that holds {description.folder} "
        "as torchvision lays it out"
    )
    try:
        home.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".partial-", dir=home) as partial:
            getattr(torchvision.datasets, description.torchvision)(partial, download=True)
            for file in description.files:
                _verify(Path(partial), file, remedy)
            downloaded = Path(partial) / description.folder
            for archive in downloaded.rglob("*.gz"):
                archive.unlink()
            if not (home / description.folder).exists():  # another process may have been faster
                downloaded.rename(home / description.folder)
    except (OSError, RuntimeError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{description.name} could not be downloaded to {home} ({reason}): {remedy}.") from error
    return home
