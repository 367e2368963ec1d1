"""What the units of one run share: the commit, the versions, the hardware."""

import functools
import hashlib
import json
import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
"""The checkout that this package lies in, if it lies in one."""

PACKAGES = ("torch", "torchvision", "numpy", "scikit-learn", "safetensors", "torchattacks", "foolbox")


@functools.cache
def of_run(device: str) -> dict[str, Any]:
    """Commit and whether the tree was dirty, versions, hardware. Asks git, the packages and the device once."""
    commit = _git("rev-parse", "HEAD")
    return {
        "commit": commit,
        "dirty": None if commit is None else bool(_git("status", "--porcelain", "--", "bioinspired", "pyproject.toml")),
        "versions": {"python": platform.python_version(), "bioinspired": _version("bioinspired") or "unknown"}
        | {name: version for name in PACKAGES if (version := _version(name))},
        "hardware": {"device": _device(device), "processor": _processor(), "cores": os.cpu_count()},
    }


def name_of(run: dict[str, Any]) -> str:
    """A short name for a run's facts: equal facts, equal name."""
    return hashlib.sha256(json.dumps(run, sort_keys=True).encode()).hexdigest()[:12]


def _git(*arguments: str) -> str | None:
    command = ["git", "-C", str(ROOT), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _device(device: str) -> str:
    if not device.startswith("cuda"):
        return "cpu"
    import torch

    return torch.cuda.get_device_name(device)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())
