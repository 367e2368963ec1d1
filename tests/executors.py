"""Executors for tests of the engine, and tasks that go wrong in a worker."""

import os
import sys
import time
from concurrent.futures import Executor, Future


class Here(Executor):
    """Runs every task at once in the present process."""

    def submit(self, fn, /, *args, **kwargs):
        future = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except BaseException as error:
            future.set_exception(error)
        return future


def misbehave(task, order):
    """What a worker does with a network of a seed; the others leave a file."""
    seed = task.network.seed
    if seed == 1:
        os._exit(1)
    if seed == 2:
        time.sleep(600)
    if seed == 3:
        sys.exit(3)
    (order.store.root / str(seed)).touch()
    return []
