"""Lists of attacks that belong to one study, as plain data."""

import importlib
from typing import Any

from bioinspired.errors import UserError

LISTS = {"dim": "bioinspired.lab.papers.dim.members"}
"""The module of each list, by study."""


def of_study(study: str) -> list[dict[str, Any]]:
    """A study's own list of attacks.

    Raises:
        UserError: the study has none.
    """
    if study not in LISTS:
        raise UserError(f'"{study}" has no list of attacks of its own: choose {" or ".join(LISTS)}.')
    listed: list[dict[str, Any]] = importlib.import_module(LISTS[study]).as_json()
    return listed
