"""What every benchmark needs: the clock, the machine it ran on, and where its numbers go."""

import ctypes
import json
import os
import platform
import time
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path

import torch

RESULTS = Path(__file__).parent / "results"


def keep_memory() -> None:
    """Tells glibc's malloc to keep freed memory and to map none; does nothing on other systems."""
    trim_threshold, mmap_threshold, largest = -1, -3, 1 << 30
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return
    mallopt(trim_threshold, largest)
    mallopt(mmap_threshold, largest)


def timed(work: Callable[[], object], device: torch.device) -> tuple[float, int | None]:
    """Seconds of one run, and its largest memory where that is known."""
    if device.type != "cuda":
        start = time.process_time()
        work()
        return time.process_time() - start, None
    torch.cuda.reset_peak_memory_stats()
    torch.cuda.synchronize()
    start = time.perf_counter()
    work()
    torch.cuda.synchronize()
    return time.perf_counter() - start, torch.cuda.max_memory_allocated()


def hardware(device: torch.device) -> dict[str, object]:
    """What it ran on."""
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        models = [line.partition(":")[2].strip() for line in info.read_text().splitlines() if "model name" in line]
        name = models[0] if models else name
    known: dict[str, object] = {"processor": name, "cores": os.cpu_count(), "threads": torch.get_num_threads()}
    if device.type == "cuda":
        known["accelerator"] = torch.cuda.get_device_name()
    return known


def versions(*packages: str) -> dict[str, str]:
    """Of Python, of this library, and of the packages that take part."""
    return {"python": platform.python_version(), **{name: version(name) for name in ("bioinspired", *packages)}}


def save(name: str, device: torch.device, content: Mapping[str, object]) -> Path:
    """Writes results/NAME-cpu.json or results/NAME-gpu.json, whole or not at all."""
    RESULTS.mkdir(exist_ok=True)
    target = RESULTS / f"{name}-{'gpu' if device.type == 'cuda' else 'cpu'}.json"
    unfinished = target.with_suffix(".tmp")
    unfinished.write_text(json.dumps(content, indent=1) + "\n")
    unfinished.replace(target)
    return target
