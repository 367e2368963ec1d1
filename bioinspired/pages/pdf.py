"""The whole book as one PDF: all pages as one long page, printed by Chromium."""

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from bioinspired.errors import UserError

NAME = "bioinspired.pdf"
"""The file, beside the first page of the book."""

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
MINUTES = 10
PRINTING = ("--headless", "--disable-gpu", "--no-pdf-header-footer", "--generate-pdf-document-outline")
SETTLE = 60_000
"""Milliseconds of its own time that a page gets to set its mathematics."""


def keep_or_make(
    root: Path,
    content: str,
    *,
    wanted: bool,
    typeset: Callable[[Path, Path, str], Path],
    say: Callable[[str], None],
) -> None:
    """Leaves a PDF in `_build/extra` if it is of this content; else makes one where it is wanted, or removes it.

    Args:
        root: the checkout, with the executed pages in `_build/source`.
        content: checksum of everything that the book is rendered from.
        wanted: whether to make one.
        typeset: runs Jupyter Book, see `build.typeset`.
        say: where progress goes.

    Raises:
        UserError: there is no Chromium, it printed nothing, or Jupyter Book complained.
    """
    pdf, stamp = root / "_build" / "extra" / NAME, root / "_build" / "pdf.content"
    with contextlib.suppress(OSError):
        if stamp.read_text(encoding="utf-8") == content and pdf.is_file():
            return
    pdf.unlink(missing_ok=True)
    if wanted:
        say("Printing the book")
        _print(root, pdf, typeset)
        stamp.write_text(content, encoding="utf-8")


def _print(root: Path, pdf: Path, typeset: Callable[[Path, Path, str], Path]) -> None:
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        raise UserError("The PDF is printed by Chromium, which is not installed: install it, or leave --pdf out.")
    with tempfile.TemporaryDirectory(prefix="render-", dir=root / "_build", ignore_cleanup_errors=True) as folder:
        page = typeset(root, Path(folder), "singlehtml") / "intro.html"
        printed = Path(folder) / NAME
        command = [program, *PRINTING, f"--virtual-time-budget={SETTLE}", f"--print-to-pdf={printed}", page.as_uri()]
        if hasattr(os, "geteuid") and os.geteuid() == 0:
            command.insert(1, "--no-sandbox")  # which Chromium refuses to have for root
        try:
            subprocess.run(command, capture_output=True, timeout=60 * MINUTES, check=True)
            printed.replace(pdf)
        except (OSError, subprocess.SubprocessError) as error:
            raise UserError(f"{program} did not print the book ({error}): leave --pdf out.") from None
