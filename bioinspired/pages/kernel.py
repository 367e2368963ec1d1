"""The kernel of every page: this interpreter, whatever the machine's settings name."""

import json
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

KERNEL = "python3"


@contextmanager
def own_kernel() -> Iterator[None]:
    """While notebooks run: their kernel is this interpreter with this package, and figures become pictures.

    Else JUPYTER_PATH could name another installation's Python, and MPLBACKEND a backend that shows nothing.
    """
    with tempfile.TemporaryDirectory() as room:
        place = Path(room) / "kernels" / KERNEL
        place.mkdir(parents=True)
        argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        figures = {"MPLBACKEND": "module://matplotlib_inline.backend_inline"}
        content = {"argv": argv, "display_name": "Python 3", "language": "python", "env": figures}
        (place / "kernel.json").write_text(json.dumps(content), encoding="utf-8")
        first = {"JUPYTER_PATH": room, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
        joined = {name: os.pathsep.join(filter(None, (path, os.environ.get(name)))) for name, path in first.items()}
        with environment(joined):
            yield


@contextmanager
def environment(settings: Mapping[str, str]) -> Iterator[None]:
    """Environment variables for a while."""
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
