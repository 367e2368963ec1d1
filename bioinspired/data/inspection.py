"""Is a set here, and is it intact?"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bioinspired.data import cub200, folders
from bioinspired.data.descriptions import describe
from bioinspired.data.splits import published
from bioinspired.errors import UserError


@dataclass(frozen=True, kw_only=True)
class Check:
    """Where a set is and whether it is intact; `sentence` says it in words.

    `folder` is the set's own folder, or None for an embedded set and for one that is nowhere.
    """

    name: str
    state: Literal["embedded", "intact", "missing", "damaged"]
    folder: Path | None
    sentence: str


def check(name: str) -> Check:
    """Looks for a set, without downloading anything, and checks every file of it.

    Raises:
        UserError: no set has this name, or BIOINSPIRED_DATA names no folder.
    """
    description = describe(name)
    if name == "cub200":
        return _of_features()
    if name == "patches":
        return Check(name=name, state="embedded", folder=None, sentence="patches are constructed, not read.")
    root = folders.found(description) if description.files else None
    folder = root / description.folder if root else None
    if description.files and root is None:
        sentence = f"{name} is not here yet: torchvision will download it to {folders.cache()} when it is first used."
        return Check(name=name, state="missing", folder=None, sentence=sentence)
    try:
        if root is None:
            published(name, "train", None), published(name, "test", None)
            return Check(name=name, state="embedded", folder=None, sentence=f"{name} comes with scikit-learn.")
        folders.verify_all(root, description)
    except UserError as error:
        return Check(name=name, state="damaged", folder=folder, sentence=str(error))
    return Check(name=name, state="intact", folder=folder, sentence=f"{name} is in {folder}, every file as published.")


def _of_features() -> Check:
    path = folders.supplied(cub200.PATH)
    folder = path.parent if path.exists() else None
    try:
        features = cub200.read(path)
    except UserError as error:
        return Check(name="cub200", state="damaged" if folder else "missing", folder=folder, sentence=str(error))
    rows = (
        f"{len(features.train[1]):,} training and {len(features.test[1]):,} test rows of {features.channels:,} features"
    )
    sentence = f"cub200 is in {folder}: {rows}, the user's own file, of which no checksum is published."
    return Check(name="cub200", state="intact", folder=folder, sentence=sentence)
