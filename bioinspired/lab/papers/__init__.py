"""One folder per paper, found by its name: which networks and which measurements at each scale, and the claims.

    study.py          declarations only; what the paper says of its networks and measurements, at each scale
    declarations.py   its own defenses and kinds of measurement; a kind is answered by the module of its name
    claims.toml       the headline claims, judged
    cells.csv         every other number that it prints, compared

`study.py` has a function `trials(scale, dataset, seeds)` that returns its `Study`; `DATASETS`, the data sets it can
run on at each scale, its own first; `SOURCE_SEED`, from which the seeds of its sources count; and a `TITLE`.
"""

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from types import ModuleType

from bioinspired.errors import UserError
from bioinspired.lab.declarations import Scale, Study
from bioinspired.lab.records.store import SCALES

NAMES = tuple(sorted(path.parent.name for path in Path(__file__).parent.glob("*/study.py")))


def study(name: str, scale: Scale, *, dataset: str = "", seeds: Sequence[int] | None = None) -> Study:
    """A paper's experiments at a scale.

    Args:
        name: one of NAMES.
        scale: "smoke", "laptop", "narrow" or "full".
        dataset: another data set than the scale's own; "" for that.
        seeds: seeds of the networks that are compared, instead of the scale's own. Sources keep theirs.

    Raises:
        UserError: no such study or scale, a data set that it cannot take, or seeds that its sources use.
    """
    known = datasets(name, scale)
    module = _module(name)
    if not known:
        raise UserError(f"{name} has nothing to run at scale {scale}.")
    if dataset and dataset not in known:
        raise UserError(f'{name} at scale {scale} runs on {" or ".join(known)}, not on "{dataset}".')
    if seeds is not None and (not seeds or min(seeds) < 0 or max(seeds) >= module.SOURCE_SEED):
        raise UserError(
            f"Seeds of {name} are numbers from 0 to {module.SOURCE_SEED - 1}: those above are the sources'."
        )
    made: Study = module.trials(scale, dataset or known[0], tuple(dict.fromkeys(seeds)) if seeds else None)
    return made


def title(name: str) -> str:
    """What the book calls a study's chapter.

    Raises:
        UserError: no such study.
    """
    return str(_module(name).TITLE)


def shared_dataset(scale: Scale) -> str:
    """The data set that every study can run on at a scale; the first of them where there are several."""
    return next(data for data in datasets(NAMES[0], scale) if all(data in datasets(name, scale) for name in NAMES))


def datasets(name: str, scale: Scale) -> tuple[str, ...]:
    """The data sets that a study runs on at a scale, its own first; () where it has none.

    Raises:
        UserError: no such study or scale.
    """
    module = _module(name)
    if scale not in SCALES:
        raise UserError(f'"{scale}" is no scale: choose one of {", ".join(SCALES)}.')
    known: tuple[str, ...] = module.DATASETS.get(scale, ())
    return known


def _module(name: str) -> ModuleType:
    if name not in NAMES:
        raise UserError(f'"{name}" is no study: choose one of {", ".join(NAMES)}.')
    return import_module(f"{__name__}.{name}.study")
