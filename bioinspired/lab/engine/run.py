"""Makes what is missing: a loop over tasks through a `concurrent.futures.Executor`.

A measurement is made as soon as the networks it needs are there, before further networks are trained. Local workers are
processes with one torch thread each. Every unit is saved when it finishes, so a run stopped at any moment goes on where
it was.
"""

import multiprocessing
import os
import signal
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

from bioinspired.declarations import Network
from bioinspired.lab.declarations import Study, Tier
from bioinspired.lab.engine.plan import Task, Unit, measuring_tasks, training_tasks, units, wanted
from bioinspired.lab.engine.worker import Order, perform, prepare
from bioinspired.lab.records.provenance import of_run
from bioinspired.lab.records.store import DamagedRecordError, Store

ENDED = "its worker process was ended from outside, perhaps for want of memory; what had finished is kept"
TOO_LONG = "it was not done after {:.0f} minutes and was stopped; what had finished is kept"
STRIKES = 2  # how often a task may end its worker: once beside others, which may have been to blame, and once alone


@dataclass(frozen=True)
class Failure:
    """A task that could not be done, or a part of it, and the sentence that says why."""

    task: Task
    why: str


def run(
    studies: Sequence[Study],
    store: Store,
    *,
    device: str = "cpu",
    tier: Tier | None = None,
    executor: Executor | None = None,
    workers: int = 2,
    limit: Callable[[Task], float] = lambda task: float("inf"),
    started: Callable[[Sequence[Task]], None] = lambda tasks: None,
    ended: Callable[[Task], None] = lambda task: None,
) -> list[Failure]:
    """Makes what is missing of the studies and returns what could not be made.

    Args:
        studies: studies of the store's scale.
        store: where records go.
        device: "cpu" or "cuda"; a GPU has one worker.
        tier: only the units of this tier.
        executor: where tasks run; None: processes of this machine. Another machine must see the store's folder.
        workers: local processes.
        limit: seconds that a task may take before its worker is ended; only local processes can be.
        started: called with the tasks of a pass before it begins.
        ended: called with each task that has ended, well or not.

    Raises:
        KeyboardInterrupt: once the workers are stopped; what they had finished is kept.
    """
    if not wanted([unit for study in studies for unit in units(study, store, tier=tier)]):
        return []
    for damage in [found for found in store.records() if isinstance(found, DamagedRecordError)]:
        store.set_aside(damage)
    order = Order(store, device, of_run(device))
    failures: list[Failure] = []
    tried: set[Task] = set()
    workers = 1 if device.startswith("cuda") else workers

    def todo() -> list[Unit]:
        return wanted([unit for study in studies for unit in units(study, store, tier=tier)])

    with _interrupts() as interrupted:
        # More than one pass: a network that was trained anew may have other weights than its old measurements.
        while missing := todo():
            training = [task for task in training_tasks(missing, store) if task not in tried]
            failed = {failure.task.network for failure in failures}
            measuring = [_without(task, failed) for task in measuring_tasks(missing)]
            measuring = [task for task in measuring if task.questions and task not in tried]
            if not training and not measuring:
                break
            started([*training, *measuring])
            tried.update(training, measuring)
            waiting = _Waiting(training, measuring)
            room = min(workers, len(training) + len(measuring))
            pool = _Given(executor, room) if executor is not None else _Processes(room)
            failures += _drain(pool, waiting, order, limit, ended, interrupted)
    return failures


def _without(task: Task, failed: set[Network | None]) -> Task:
    """The task less the questions that need a network which could not be made."""
    return Task(questions=tuple(q for q in task.questions if not failed.intersection((q[0], *q[1].sources))))


class _Waiting:
    """The tasks that have not begun, measurements whose networks are there first."""

    def __init__(self, training: Sequence[Task], measuring: Sequence[Task]) -> None:
        self._training = deque(training)
        self._measuring = list(measuring)
        self._untrained = {task.network for task in training}
        self.alone: deque[Task] = deque()
        """Tasks one of which has ended its worker: they run one at a time, so that it shows which."""

    def next(self) -> Task | None:
        """The task to begin now, or None where the rest waits for others."""
        if self.alone:
            return self.alone.popleft()
        for task in self._measuring:
            if not self._untrained.intersection(task.needs):
                self._measuring.remove(task)
                return task
        return self._training.popleft() if self._training else None

    def trained(self, task: Task, *, well: bool) -> list[Task]:
        """A training has ended; where not well, the tasks that nothing is left of are returned."""
        self._untrained.discard(task.network)
        if well:
            return []
        narrowed = [(_without(other, {task.network}), other) for other in self._measuring]
        self._measuring = [rest for rest, _ in narrowed if rest.questions]
        return [other for rest, other in narrowed if not rest.questions]

    def again(self, task: Task) -> None:
        """A task that was stopped through no fault of its own."""
        if task.network is not None:
            self._training.appendleft(task)
        else:
            self._measuring.insert(0, task)


def _drain(
    pool: "_Processes | _Given",
    waiting: _Waiting,
    order: Order,
    limit: Callable[[Task], float],
    ended: Callable[[Task], None],
    interrupted: threading.Event,
) -> list[Failure]:
    """Runs the tasks, as many at a time as the pool has workers."""
    running: dict[Future[list[str]], tuple[Task, float]] = {}
    failures: list[Failure] = []
    strikes = Counter[Task]()
    lonely = False

    def over(task: Task, reasons: Sequence[str]) -> None:
        failures.extend(Failure(task, why) for why in reasons)
        gone = waiting.trained(task, well=not reasons) if task.network is not None else []
        for one in (task, *gone):
            ended(one)

    with pool:
        while True:
            room = 1 if waiting.alone or lonely else pool.workers
            while len(running) < room:
                lonely = bool(waiting.alone)
                task = waiting.next()
                if task is None:
                    break
                running[pool.submit(perform, task, order)] = (task, time.monotonic())
                room = 1 if lonely else room
            if not running:
                return failures
            done, _ = wait(running, timeout=1.0, return_when=FIRST_COMPLETED)
            if interrupted.is_set():
                raise KeyboardInterrupt
            broken = []
            for future in done:
                task, _ = running.pop(future)
                try:
                    over(task, future.result())
                except BrokenProcessPool:
                    broken.append(task)
                except (Exception, SystemExit) as error:
                    over(task, [f"{type(error).__name__}: {error}"])
                if interrupted.is_set():
                    raise KeyboardInterrupt
            late = [future for future, (task, began) in running.items() if time.monotonic() - began > limit(task)]
            if broken or late:
                hung = [running.pop(future)[0] for future in late]
                others = [task for task, _ in running.values()]
                running.clear()
                pool.restart()
                for task in hung:
                    over(task, [TOO_LONG.format(limit(task) / 60)])
                for task in others if not broken else ():
                    waiting.again(task)
                suspects = [*broken, *others] if broken else []
                strikes.update(suspects)
                for task in suspects:
                    if strikes[task] >= STRIKES:
                        over(task, [ENDED])
                    else:
                        waiting.alone.append(task)
            lonely = lonely and bool(running)


@contextmanager
def _interrupts() -> Iterator[threading.Event]:
    """An event that is set on Ctrl-C and SIGTERM, besides the exception: that one is lost where Python happens to run a
    callback whose exceptions it only prints."""
    asked = threading.Event()
    interrupt = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return

    def note(number: int, frame: FrameType | None) -> None:
        asked.set()
        if callable(interrupt):
            interrupt(number, frame)

    # Ctrl-C stays ignored where a shell has it ignored.
    heard = [signal.SIGTERM, *([signal.SIGINT] if callable(interrupt) else [])]
    before = {number: signal.signal(number, note) for number in heard}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Given:
    """An executor of the caller's; it is not ours to stop."""

    def __init__(self, executor: Executor, workers: int) -> None:
        self.submit = executor.submit
        self.workers = workers

    def __enter__(self) -> "_Given":
        return self

    def __exit__(self, *reason: object) -> None:
        pass

    def restart(self) -> None:
        """Nothing: an executor that lost its processes goes on by itself or fails every task."""


class _Processes:
    """Local processes that end with this one, however it ends."""

    def __init__(self, workers: int) -> None:
        self.workers = workers

    def __enter__(self) -> "_Processes":
        self._pool = self._new()
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        if kind is not None:
            self._end()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def submit(self, *call: object) -> Future[list[str]]:
        """As of an executor; a pool that has just lost a worker refuses, which the future then says."""
        try:
            return self._pool.submit(*call)  # type: ignore[arg-type]
        except BrokenProcessPool as error:
            future: Future[list[str]] = Future()
            future.set_exception(error)
            return future

    def restart(self) -> None:
        """Ends the processes, whatever they do, and starts new ones."""
        self._end()
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._pool = self._new()

    def _new(self) -> ProcessPoolExecutor:
        context = multiprocessing.get_context("spawn")
        return ProcessPoolExecutor(self.workers, mp_context=context, initializer=_start_worker, initargs=(os.getpid(),))

    def _end(self) -> None:
        for process in list((self._pool._processes or {}).values()):
            process.kill()


def _start_worker(parent: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    prepare()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
