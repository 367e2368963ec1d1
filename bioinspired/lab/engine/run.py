"""Makes what is missing: a loop over tasks through a `concurrent.futures.Executor`.

First the networks, then their measurements; there are no other dependencies. Local workers are processes with one torch
thread each. Every unit is saved when it finishes, so a run stopped at any moment goes on where it was.
"""

import multiprocessing
import os
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, as_completed
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


@dataclass(frozen=True)
class Failure:
    """A task that could not be done, and the sentence that says why."""

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
        started: called before each of the two stages with its tasks.
        ended: called with each task that has ended, well or not.

    Raises:
        KeyboardInterrupt: once the workers are stopped; what they had finished is kept.
    """

    def todo() -> list[Unit]:
        return wanted([unit for study in studies for unit in units(study, store, tier=tier)])

    missing = todo()
    if not missing:
        return []
    for damage in [found for found in store.records() if isinstance(found, DamagedRecordError)]:
        store.set_aside(damage)
    order = Order(store, device, of_run(device))
    with (
        _interrupts() as interrupted,
        _pool(executor, 1 if device.startswith("cuda") else min(workers, len(missing))) as pool,
    ):
        training = training_tasks(missing, store)
        started(training)
        failures = _drain(pool, training, order, ended, interrupted)
        failed = {failure.task.network for failure in failures}
        # Read the store again: a network that was trained anew may have other weights than its measurements.
        tasks = [_without(task, failed) for task in measuring_tasks(todo())]
        tasks = [task for task in tasks if task.questions]
        started(tasks)
        failures += _drain(pool, tasks, order, ended, interrupted)
    return failures


def _without(task: Task, failed: set[Network | None]) -> Task:
    """The task less the questions that need a network which could not be made."""
    return Task(questions=tuple(q for q in task.questions if not failed.intersection((q[0], *q[1].sources))))


def _drain(
    pool: Executor,
    tasks: Sequence[Task],
    order: Order,
    ended: Callable[[Task], None],
    interrupted: threading.Event,
) -> list[Failure]:
    futures: dict[Future[str | None], Task] = {}
    failures = []
    try:
        for task in tasks:
            futures[pool.submit(perform, task, order)] = task
        for future in as_completed(futures):
            try:
                why = future.result()
            except BrokenProcessPool:
                why = ENDED
            except Exception as error:
                why = f"{type(error).__name__}: {error}"
                traceback.print_exception(error)
            if why is not None:
                failures.append(Failure(futures[future], why))
            ended(futures[future])
            if interrupted.is_set():
                raise KeyboardInterrupt
    except BrokenProcessPool:
        failures += [Failure(task, ENDED) for task in tasks if task not in futures.values()]
    except BaseException:
        for future in futures:
            future.cancel()
        raise
    return failures


@contextmanager
def _interrupts() -> Iterator[threading.Event]:
    """An event that is set on Ctrl-C, besides the exception: that one is lost where Python happens to run a callback
    whose exceptions it only prints."""
    asked = threading.Event()
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield asked
        return

    def note(number: int, frame: FrameType | None) -> None:
        asked.set()
        before(number, frame)

    signal.signal(signal.SIGINT, note)
    try:
        yield asked
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def _pool(executor: Executor | None, workers: int) -> Iterator[Executor]:
    """The given executor, or local processes that end with this one, however it ends."""
    if executor is not None:
        yield executor
        return
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_start_worker, initargs=(os.getpid(),))
    try:
        yield pool
    except BaseException:
        for process in list((pool._processes or {}).values()):
            process.terminate()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _start_worker(parent: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    prepare()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
