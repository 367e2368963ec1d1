"""Makes what is missing of studies, with progress shown."""

from collections.abc import Sequence

from bioinspired.declarations import Network
from bioinspired.errors import UserError
from bioinspired.keys import key
from bioinspired.lab.declarations import Study, Tier
from bioinspired.lab.engine.plan import Task, units, wanted
from bioinspired.lab.records.store import Store


def make(
    studies: Sequence[Study],
    store: Store,
    *,
    tier: Tier | None = None,
    device: str = "cpu",
    workers: int = 2,
) -> None:
    """Makes what is missing. Nothing heavy is imported when nothing is.

    Args:
        studies, store, tier, device, workers: as for `engine.run`.

    Raises:
        UserError: some tasks could not be done; the sentence names them.
    """
    if not wanted([unit for study in studies for unit in units(study, store, tier=tier)]):
        return
    from bioinspired.lab.engine.progress import Progress
    from bioinspired.lab.engine.run import run

    with Progress(store, device, workers) as shown:
        failures = run(
            studies,
            store,
            device=device,
            tier=tier,
            workers=workers,
            limit=shown.limit,
            started=shown.started,
            ended=shown.ended,
        )
    if failures:
        sentences = "\n".join(f"  {_name(failure.task)}: {failure.why}" for failure in failures)
        raise UserError(f"{len(failures)} tasks could not be done; what had finished is kept:\n{sentences}")


def _name(task: Task) -> str:
    if task.network is not None:
        return f"training of {_network(task.network)}"
    return f"{len(task.questions)} measurements, the first of {_network(task.questions[0][0])}"


def _network(network: Network) -> str:
    return f"{network.architecture.name} on {network.data.name}, seed {network.seed} ({key(network)[:12]})"
