"""Progress with the time left, weighted by what each task is expected to cost."""

import sys
import time
from collections.abc import Sequence
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

from bioinspired.lab.engine.costs import CostModel
from bioinspired.lab.engine.plan import Task
from bioinspired.lab.records.store import Store

PATIENCE, LEAST_LIMIT = 50.0, 1800.0  # a task may take so many times what is expected, or so many seconds
SILENCE = 10.0  # seconds between two lines where there is no terminal


class Progress:
    """A bar on a terminal, now and then a line elsewhere. Nothing is shown while there is nothing to do."""

    def __init__(self, store: Store, device: str, workers: int) -> None:
        self._model = CostModel(store, device)
        self._workers = 1 if device.startswith("cuda") else workers
        self._expected: dict[Task, float] = {}
        self._done = 0.0
        self._ended = 0
        self._began = self._spoke = time.monotonic()
        self._terminal = sys.stderr.isatty()
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[left]}"),
            TimeElapsedColumn(),
        )
        self._bar = Bar(*columns, console=Console(stderr=True), disable=not self._terminal, transient=True)
        self._line: TaskID | None = None
        self._stage = ""

    def __enter__(self) -> "Progress":
        self._bar.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.__exit__(kind, error, trace)

    def started(self, tasks: Sequence[Task]) -> None:
        """A pass begins with these tasks."""
        self._expected = {task: self._model.seconds(task) for task in tasks}
        self._done, self._ended, self._began = 0.0, 0, time.monotonic()
        networks = sum(task.network is not None for task in tasks)
        self._stage = "training and measuring" if networks else "measuring"
        if self._line is not None:
            self._bar.remove_task(self._line)
        self._line = self._bar.add_task(self._stage, total=sum(self._expected.values()), left="")
        time_left = duration(self._model.total(tasks, self._workers))
        self._say(f"{networks} networks and {len(tasks) - networks} sets of measurements: about {time_left}")

    def limit(self, task: Task) -> float:
        """Seconds after which a task counts as hung."""
        return max(LEAST_LIMIT, PATIENCE * self._expected.get(task, 0.0))

    def ended(self, task: Task) -> None:
        """A task has ended, well or not."""
        self._done += self._expected.get(task, 0.0)  # 0: less is left of it than was expected
        self._ended += 1
        passed, total = time.monotonic() - self._began, sum(self._expected.values())
        pace = (
            max(passed / max(self._done, 1e-9), 1 / self._workers) if self._ended > self._workers else 1 / self._workers
        )
        left = pace * (total - self._done)
        text = f"{self._ended} of {len(self._expected)}, {duration(left)} left"
        if self._line is not None:
            self._bar.update(self._line, completed=self._done, left=text)
        if time.monotonic() - self._spoke > SILENCE:
            self._say(f"{self._stage}: {text}")

    def _say(self, line: str) -> None:
        self._spoke = time.monotonic()
        if not self._terminal:
            print(line, file=sys.stderr, flush=True)


def duration(seconds: float) -> str:
    """Seconds in words: "40 s", "3 min", "2.5 h"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
