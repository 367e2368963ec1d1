"""CUB-200 in the study of sleep: a head on the features of a frozen network, which a user supplies (`data.cub200`).

    standard; sleep with the parameters of the authors' later code                                  seeds 0 to 4
    in place of it: delete the units that slept, as many of the most active, as many at random      seeds 0 to 4

Every network is asked: clean, rectified (all test rows), noise at three variances (500), the FGSM scan (300),
the smallest perturbation in Linf (FMN, 100), the boundary attack (30). Features have no neighbours, so
there is no blur. Distances are in the space of features, scaled to [0, 1].

On made-up clusters of the published size a training takes 35 s on one thread, and 50 epochs only just leave the plateau
that such small initial weights begin on: how features are scaled decides how far the head learns.
"""

from bioinspired.declarations import Architecture, Data, Defense, Images, Network, Recipe
from bioinspired.lab.declarations import Measurement, Study, Trial
from bioinspired.lab.measurements.declarations import Clean, Distance
from bioinspired.lab.papers.sleep.declarations import Distortion, FGSMScan, Rectified, Sleep, SleepDeletion

SEEDS = (0, 1, 2, 3, 4)
DATA = Data(name="cub200", size=1, train=5_800)
HEAD = Architecture(name="feature_head", width=350, dropout="0.25", normalize=False)
RECIPE = Recipe(epochs=50, batch=100, loss="mse", rate="0.1", momentum="0.5", decay="0", schedule="constant")
SLEEP = Sleep(
    rate="32", inc="0.01", dec="0.001", beta1="1", beta2="1", beta3="1", alpha="1", steps=5_000, source="mean"
)
"""All four of the authors' later code (2022)."""

CHANGES = (
    "The protocol of the authors' later code, on features that a user supplied, scaled to [0, 1] by the largest one; "
    "the paper's own protocol and its scaling are not known."
)
VARIANCES = ("0.01", "0.1", "0.3")


def study(seeds: tuple[int, ...] | None) -> Study:
    """The study on CUB-200, with other seeds where they are given."""
    rows: dict[str, tuple[str, Defense | None]] = {"standard": ("", None), "sleep": ("sleep", SLEEP)}
    for choice in ("slept", "active", "random"):
        rows[f"delete {choice}"] = (f"delete {choice}", SleepDeletion(choice=choice, like=SLEEP))
    out = []
    for label, (instead, defense) in rows.items():
        for seed in SEEDS if seeds is None else seeds:
            network = Network(data=DATA, architecture=HEAD, recipe=RECIPE, seed=seed, defense=defense)
            factors = {"sleep": "CUB-200" if defense else "", "instead": instead}
            out.append(Trial(network=network, label=label, measurements=QUESTIONS, factors=factors))
    return Study(name="sleep", scale="full", trials=tuple(out), fidelity="reconstruction", changes=CHANGES)


QUESTIONS = (
    Measurement(question=Clean()),
    Measurement(question=Rectified()),
    *(Measurement(question=Distortion(process="noise", level=level), images=Images(n=500)) for level in VARIANCES),
    Measurement(question=FGSMScan(), images=Images(n=300)),
    Measurement(question=Distance(name="fmn", norm="linf", steps=200), images=Images(n=100)),
    Measurement(question=Distance(name="boundary", norm="l2", steps=2_000), images=Images(n=30)),
)
