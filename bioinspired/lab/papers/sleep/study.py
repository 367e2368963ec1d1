"""Sleep (Tadros et al., ICLR 2020) against the waking network, what it might be no more than, and other baselines.

Rows at full scale on MNIST, 784-1200-1200-10 as released, 60,000 training images, two epochs:

    standard; sleep A, sleep B (the released parameter sets)                                           seeds 2 to 13
    distilled as coded, fine-tuned on FGSM                                                             seeds 2 to 13
    distilled, fine-tuned on noise, on blur                                                      seeds 2 and 7 to 11
    noise-trained, pgd-trained                                                                          seeds 2 to 6
    in place of A and of B: delete the units that slept, as many of the most active, as many at random  seeds 2 to 6
    sleep, deletion, weight noise with searched parameters, for attacks and for distortions             seeds 2 to 6
    what is replayed and the weight factor, for A and for B: noise, shuffled, mean, masked, logistic, one    seed 2
    dropout 0.5, scaled down                                                                                 seed 2
    source search: trained without the last 5,000 images; the first is asked the six searches       seeds 0 and 1

Every row is asked: clean (10,000 images), rectified (2,000), noise at five variances and blur at eight sigmas (10,000;
the tier "wide" 500), the FGSM scan and the scores of labels (300). Seeds from 7 on were added later, with the claims on
distortions and on patches. The rows of WHITE_BOX are asked besides: PGD on the margin with restarts
at three epsilons (100), DeepFool (100); and, on their first seed, AutoAttack, FMN and Square (50), transfer from the
waking network (100). The rows of SHOWN, on their first seed: the released DeepFool and JSMA, Boundary (30), a gallery;
slept ones checks (100) and layers. What stands for seed 2 only is the tier "wide".

The toy task of patches comes last (`sleep_patches`). CUB-200 is a study of its own (`sleep_features`), on features that
a user supplies.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from bioinspired.declarations import Architecture, Data, Defense, Images, Network, PGDTraining, Recipe
from bioinspired.keys import Strength, number, strength
from bioinspired.lab.declarations import Measurement, Scale, Study, Trial
from bioinspired.lab.measurements.declarations import Attack, Checked, Clean, Distance, Gallery, Question
from bioinspired.lab.papers.sleep import features as sleep_features
from bioinspired.lab.papers.sleep import patches as sleep_patches
from bioinspired.lab.papers.sleep.declarations import (
    Coded,
    Distortion,
    FGSMScan,
    LabelScore,
    Rectified,
    Sleep,
    SleepDeletion,
    SleepLayers,
    SleepNoise,
    SleepRetraining,
    SleepScaling,
    SleepSearch,
)
from bioinspired.lab.papers.sleep.patches import Patches

TITLE = "Sleep"
DATASETS = {"smoke": ("digits",), "laptop": ("digits", "mnist"), "full": ("mnist", "cub200")}
SOURCE_SEED = 100  # the study has no sources that transfer; the searched networks keep seeds 0 and 1

A = Sleep(
    rate="39.037119",
    inc="0.063997",
    dec="0.06922",
    beta1="36.186585",
    beta2="23.362736",
    beta3="36.384713",
    alpha="2.193698",
    steps=27_105,
)
B = Sleep(
    rate="455.364521",
    inc="0.066056",
    dec="0.054991",
    beta1="22.6874",
    beta2="48.092672",
    beta3="18.983305",
    alpha="34.65787",
    steps=3_365,
)
"""The released parameter sets: A of the distortion test, B of the attack scripts."""

FOR_ATTACKS: dict[str, Defense] = {
    "sleep": Sleep(
        rate="590.1",
        inc="0.03492",
        dec="0.02729",
        beta1="32.86",
        beta2="17.74",
        beta3="31.34",
        alpha="7.545",
        steps=2_000,
    ),
    "deletion": SleepDeletion(choice="active", first="0.001073", second="0.001101"),
    "noise": SleepNoise(first="0.07723", second="0.01672", third="0.471"),
}
FOR_DISTORTIONS: dict[str, Defense] = {
    "sleep": Sleep(
        rate="39.48",
        inc="0.009144",
        dec="0.006043",
        beta1="45.31",
        beta2="26.11",
        beta3="21.04",
        alpha="4.421",
        steps=2_000,
    ),
    "deletion": SleepDeletion(choice="active", first="0.001076", second="0.2957"),
    "noise": SleepNoise(first="1.574", second="0.2375", third="0.4102"),
}
"""What the searches of seeds 0 and 1 found, by kind: a test compares them with the records of these searches."""

WHITE_BOX = (
    "standard",
    "sleep A",
    "sleep B",
    "sleep for attacks",
    "deletion for attacks",
    "fine-tuned on FGSM",
    "pgd-trained",
    "noise-trained",
)
SHOWN = ("standard", "sleep A", "sleep B", "pgd-trained")
SEARCHED: tuple[Literal["sleep", "deletion", "noise"], ...] = ("sleep", "deletion", "noise")
HELD = 5_000  # training images that the searched networks do not see


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What differs between scales and data sets.

    `headline_seeds` are those of the rows that claims compare, where they are more than `seeds`; `tuned_seeds` those of
    what claims on distortions compare with, which is in the sweep where there are none. `distorted` images meet noise
    and blur; with `all_distorted` all do, but for the sweep.
    """

    data: Data
    width: int
    recipe: Recipe
    seeds: tuple[int, ...]
    headline_seeds: tuple[int, ...] = ()
    tuned_seeds: tuple[int, ...] = ()
    trained_seeds: tuple[int, ...]
    sweep_seeds: tuple[int, ...]
    sweep: bool
    controls: tuple[tuple[str, Literal["slept", "active", "random"]], ...]
    longest: int
    search_seeds: tuple[int, ...]
    adversary: PGDTraining
    noise: Strength
    variances: tuple[Strength, ...]
    sigmas: tuple[Strength, ...]
    tuned_sigma: Strength
    rectified: int | None
    distorted: int | None
    all_distorted: bool = False
    scanned: int | None
    scan_steps: int
    epsilons: tuple[Strength, ...]
    attacked: int | None
    restarts: int
    searched: int
    hard: int
    boundary_steps: int
    checked: int
    deepfool: int
    eps: Strength
    retraining: SleepRetraining
    patches: Patches
    changes: str


RECIPE = Recipe(epochs=2, batch=100, loss="mse", rate="0.1", momentum="0.5", decay="0", schedule="constant")

MNIST = Setting(
    data=Data(name="mnist", size=28),
    width=1_200,
    recipe=RECIPE,
    seeds=(2, 3, 4, 5, 6),
    headline_seeds=tuple(range(2, 14)),
    tuned_seeds=(2, 7, 8, 9, 10, 11),
    trained_seeds=(2, 3, 4, 5, 6),
    sweep_seeds=(2,),
    sweep=True,
    controls=tuple((name, choice) for name in ("A", "B") for choice in ("slept", "active", "random")),
    longest=A.steps,
    search_seeds=(0, 1),
    adversary=PGDTraining(eps="0.1", steps=2, step_size="0.75"),
    noise="0.3",
    variances=("0.1", "0.3", "0.5", "0.7", "0.9"),
    sigmas=("0.5", "1", "1.5", "2", "2.5", "3", "3.5", "4"),
    tuned_sigma="2.5",
    rectified=2_000,
    distorted=500,
    all_distorted=True,
    scanned=300,
    scan_steps=81,
    epsilons=("0.05", "0.1", "0.2"),
    attacked=100,
    restarts=2,
    searched=50,
    hard=30,
    boundary_steps=2_000,
    checked=100,
    deepfool=100,
    eps="0.1",
    retraining=SleepRetraining(method="fgsm"),
    patches=Patches(
        overlaps=(23, 5, 15, 20, 22, 24), seeds=(2, 3, 4, 5, 6), control_seeds=(2, 3, 4, 5, 6), claimed=(23, 12)
    ),
    changes="a port of the released code, without the paper's text; attacks on the first images of the test set",
)
FEW_PATCHES = Patches(
    overlaps=(15, 24),
    seeds=(0, 1, 2),
    control_seeds=(0,),
    steps=9_000,
    boundary_steps=500,
    variances=("0.1", "0.3", "0.7"),
)
DIGITS = replace(
    MNIST,
    data=Data(name="digits", size=16),
    width=200,
    recipe=replace(RECIPE, epochs=16, batch=20),
    seeds=(0, 1, 2),
    headline_seeds=(),
    tuned_seeds=(),
    trained_seeds=(0, 1, 2),
    sweep_seeds=(0,),
    search_seeds=(),
    longest=9_000,
    adversary=PGDTraining(eps="0.1", steps=1, step_size="1"),
    variances=("0.1", "0.3", "0.7"),
    sigmas=("0.5", "1.5", "2.5"),
    tuned_sigma="1.5",
    rectified=None,
    distorted=None,
    all_distorted=False,
    scanned=200,
    attacked=100,
    restarts=2,
    searched=20,
    hard=20,
    boundary_steps=500,
    checked=60,
    deepfool=50,
    retraining=SleepRetraining(method="fgsm", changed=120, epochs=16, batch=20),
    patches=FEW_PATCHES,
    changes=(
        "networks of width 200 on scikit-learn's 8x8 digits, up-sampled to 16x16; sleep re-scaled with the width and "
        "at most 9,000 steps long"
    ),
)
SMOKE = replace(
    DIGITS,
    data=Data(name="digits", size=16, train=300),
    width=40,
    recipe=replace(RECIPE, epochs=2, batch=20),
    seeds=(0,),
    trained_seeds=(0,),
    sweep=False,
    controls=(("B", "slept"),),
    longest=1_000,
    variances=("0.3",),
    sigmas=("1.5",),
    distorted=64,
    scanned=64,
    scan_steps=9,
    epsilons=("0.1",),
    attacked=32,
    restarts=1,
    searched=0,
    hard=0,
    deepfool=0,
    retraining=SleepRetraining(method="fgsm", changed=30, epochs=1, batch=20),
    patches=replace(FEW_PATCHES, overlaps=(24,), seeds=(0,), steps=1_000, scan_steps=9, boundary_steps=0),
    changes="a few steps on a few images: this page shows that the code runs, not a result",
)
SETTINGS: Mapping[tuple[Scale, str], Setting] = {
    ("smoke", "digits"): SMOKE,
    ("laptop", "digits"): DIGITS,
    ("laptop", "mnist"): replace(
        MNIST,
        data=Data(name="mnist", size=28, train=10_000),
        width=400,
        recipe=replace(RECIPE, epochs=6),
        seeds=(0,),
        headline_seeds=(),
        tuned_seeds=(),
        trained_seeds=(0,),
        sweep_seeds=(0,),
        sweep=False,
        all_distorted=False,
        search_seeds=(),
        searched=0,
        hard=0,
        retraining=SleepRetraining(method="fgsm", changed=833, epochs=6),
        patches=FEW_PATCHES,
        changes="networks of width 400 trained for six epochs on 10,000 of MNIST's images",
    ),
    ("full", "mnist"): MNIST,
}


def trials(scale: Scale, dataset: str, seeds: tuple[int, ...] | None) -> Study:
    """The study at a scale, on a data set, with other seeds where they are given."""
    if dataset == "cub200":
        return sleep_features.study(seeds)
    setting = SETTINGS[scale, dataset]
    if seeds is not None:
        compared = seeds if setting.tuned_seeds else ()
        setting = replace(setting, seeds=seeds, headline_seeds=(), tuned_seeds=compared, trained_seeds=seeds,
                          sweep_seeds=seeds[:1])  # fmt: skip
    out = _searches(setting)
    for row in _rows(setting):
        for seed in row.seeds:
            network = _network(setting, seed, row)
            twin = _network(setting, seed, Row("standard", row.seeds))
            asked = _questions(setting, row) + (_white_box(setting) if row.label in WHITE_BOX else ())
            if seed == row.seeds[0]:
                asked += _once(setting, row, network, twin)
            factors = {"sleep": row.like, "instead": row.instead}
            out.append(Trial(network=network, label=row.label, measurements=asked, factors=factors, tier=row.tier))
    out += sleep_patches.trials(setting.patches, seeds)
    return Study(
        name="sleep",
        scale=scale,
        trials=tuple(out),
        fidelity="changed" if scale == "full" else "proxy",
        changes=setting.changes,
    )


@dataclass(frozen=True)
class Row:
    """One row of the tables.

    Attributes:
        label: what the row is called. seeds: of its networks. defense: what is done to the waking network.
        recipe, dropout: where the training differs.
        like, instead: which sleep ("A", "B", ...) the row stands for or replaces, and by what; "" for none.
    """

    label: str
    seeds: tuple[int, ...]
    defense: Defense | None = None
    recipe: Recipe | None = None
    dropout: Strength = "0.2"
    like: str = ""
    instead: str = ""
    wide: bool = False

    @property
    def tier(self) -> Literal["core", "wide"]:
        """Which tier the row belongs to."""
        return "wide" if self.wide else "core"


def _rows(setting: Setting) -> list[Row]:
    main, recipe, tuned = setting.seeds, setting.recipe, setting.retraining
    most = setting.headline_seeds or main
    sleeps = {name: replace(scaled(sleep, setting.width), steps=min(sleep.steps, setting.longest))
              for name, sleep in (("A", A), ("B", B))}  # fmt: skip
    rows = [Row("standard", most)]
    rows += [Row(f"sleep {name}", most, sleep, like=name, instead="sleep") for name, sleep in sleeps.items()]
    rows += [
        Row("distilled as coded", most, replace(tuned, method="distillation as coded")),
        Row("fine-tuned on FGSM", most, tuned),
        *(_tuned(setting, setting.tuned_seeds) if setting.tuned_seeds else ()),
        Row("noise-trained", setting.trained_seeds, recipe=replace(recipe, noise=setting.noise)),
        Row("pgd-trained", setting.trained_seeds, recipe=replace(recipe, adversary=setting.adversary)),
    ]
    for name, choice in setting.controls:
        control = SleepDeletion(choice=choice, like=sleeps[name])
        control_seeds = setting.trained_seeds if choice == "random" else main
        rows.append(Row(f"delete {choice} ({name})", control_seeds, control, like=name, instead=f"delete {choice}"))
    if setting.search_seeds:
        for objective, found in (("attacks", FOR_ATTACKS), ("distortions", FOR_DISTORTIONS)):
            for kind, defense in found.items():
                name = "weight noise" if kind == "noise" else kind
                rows.append(Row(f"{name} for {objective}", main, defense, like=objective, instead=name))
    if setting.sweep:
        rows += _sweep(setting, sleeps)
    return rows


def _tuned(setting: Setting, seeds: tuple[int, ...]) -> list[Row]:
    """What the authors compare sleep with under distortions, besides distillation as they coded it."""
    tuned = setting.retraining
    return [
        Row("distilled", seeds, replace(tuned, method="distillation")),
        Row("fine-tuned on noise", seeds, replace(tuned, method="noise", level="0.3")),
        Row("fine-tuned on blur", seeds, replace(tuned, method="blur", level=setting.tuned_sigma)),
    ]


def _sweep(setting: Setting, sleeps: Mapping[str, Sleep]) -> list[Row]:
    """Rows of one seed: what is replayed, the weight factor, and further baselines."""
    seeds = setting.sweep_seeds
    rows = []
    for name, slept in sleeps.items():
        for source in ("noise", "shuffled", "mean", "masked"):
            rows.append(Row(f"{name} on {source}", seeds, replace(slept, source=source), like=name, instead=source))
        for factor in ("logistic", "one"):
            rows.append(
                Row(f"{name}, factor {factor}", seeds, replace(slept, factor=factor), like=name, instead=factor)
            )
    return [
        replace(row, wide=True)
        for row in (
            *rows,
            *(() if setting.tuned_seeds else _tuned(setting, seeds)),
            Row("dropout 0.5", seeds, dropout="0.5"),
            Row("scaled down", seeds, SleepScaling()),
        )
    ]


def scaled(sleep: Sleep, width: int) -> Sleep:
    """Released parameters for networks of another width.

    Thresholds, rate and alpha stay: the scales of the layers take the size of activations out. Weights are larger in
    narrower networks, by the square root of the ratio, and so are inc and dec.
    """
    factor = math.sqrt(1_200 / width)
    inc, dec = (f"{number(value) * factor:.6f}" for value in (sleep.inc, sleep.dec))
    return replace(sleep, inc=strength(inc), dec=strength(dec))


def _network(setting: Setting, seed: int, row: Row) -> Network:
    architecture = Architecture(name="mlp", width=setting.width, dropout=row.dropout, normalize=False)
    recipe = row.recipe or setting.recipe
    return Network(data=setting.data, architecture=architecture, recipe=recipe, seed=seed, defense=row.defense)


def _searches(setting: Setting) -> list[Trial]:
    """The networks that the searches look at; the first is asked them, the others are its sources."""
    recipe = replace(setting.recipe, validation=HELD)
    networks = [_network(setting, seed, Row("", (), recipe=recipe)) for seed in setting.search_seeds]
    asked = tuple(
        Measurement(question=search(name, objective), images=Images(split="train"), sources=tuple(networks[1:]))
        for objective in ("fgsm", "distortion")
        for name in SEARCHED
    )
    clean = (Measurement(question=Clean()),)
    return [
        Trial(network=network, label="source search", measurements=clean if i else clean + asked)
        for i, network in enumerate(networks)
    ]


def search(name: Literal["sleep", "deletion", "noise"], objective: Literal["fgsm", "distortion"]) -> SleepSearch:
    """A search as the study asks it: the same budget for all."""
    return SleepSearch(
        name=name,
        objective=objective,
        candidates=16,
        generations=5,
        held=HELD,
        scored=200,
        steps=2_000 if name == "sleep" else 0,
    )


def _questions(setting: Setting, row: Row) -> tuple[Measurement, ...]:
    """What every row is asked."""
    few = Images(n=None if setting.all_distorted and not row.wide else setting.distorted)
    scan = FGSMScan(steps=setting.scan_steps)
    return (
        Measurement(question=Clean()),
        Measurement(question=Rectified(), images=Images(n=setting.rectified)),
        *(Measurement(question=Distortion(process="noise", level=v), images=few) for v in setting.variances),
        *(Measurement(question=Distortion(process="blur", level=s), images=few) for s in setting.sigmas),
        Measurement(question=scan, images=Images(n=setting.scanned)),
        Measurement(question=LabelScore(), images=Images(n=setting.scanned)),
    )


def _white_box(setting: Setting) -> tuple[Measurement, ...]:
    """What every seed of the rows of WHITE_BOX is asked besides."""
    pgd = [
        Attack(name="pgd", eps=eps, steps=50, step_size="0.1", loss="margin", random_start=True,
               restarts=setting.restarts)
        for eps in setting.epsilons
    ]  # fmt: skip
    asked = [Measurement(question=attack, images=Images(n=setting.attacked)) for attack in pgd]
    if setting.deepfool:
        deepfool = Distance(name="deepfool", norm="l2", steps=50)
        asked.append(Measurement(question=deepfool, images=Images(n=setting.deepfool)))
    return tuple(asked)


def _once(setting: Setting, row: Row, network: Network, twin: Network) -> tuple[Measurement, ...]:
    """What the first seed of some rows is asked besides."""
    asked: list[Measurement] = []
    if row.instead == "sleep" and not row.wide:
        asked.append(Measurement(question=SleepLayers(), images=Images(n=setting.distorted), sources=(twin,)))
    if row.label in SHOWN:
        shown = Attack(name="pgd", eps=setting.eps, steps=50, step_size="0.1")
        asked.append(Measurement(question=Gallery(attack=shown)))
    if row.label in WHITE_BOX and setting.searched:
        eps, few = setting.eps, Images(n=setting.searched)
        questions: list[Question] = [
            Attack(name="autoattack", eps=eps),
            Attack(name="square", eps=eps),
            Distance(name="fmn", norm="l2", steps=100),
        ]
        asked += [Measurement(question=question, images=few) for question in questions]
        if network != twin and row.recipe is None:
            moved = Attack(name="pgd", eps=eps, steps=50, step_size="0.1", loss="margin")
            asked.append(Measurement(question=moved, images=Images(n=setting.attacked), sources=(twin,)))
    if row.label in SHOWN and setting.hard:
        few = Images(n=setting.hard)
        hard: list[Question] = [Coded(name="deepfool", steps=99), Coded(name="jsma", steps=500)]
        hard.append(Distance(name="boundary", norm="l2", steps=setting.boundary_steps))
        asked += [Measurement(question=question, images=few) for question in hard]
        if row.instead == "sleep":
            checked = Images(n=setting.checked)
            asked.append(Measurement(question=Checked(eps=setting.eps), images=checked, sources=(twin,)))
    return tuple(asked)
