"""The Weight Map layer (arXiv 1905.00568), reconstructed: what of the abstract holds, and what of the layer does it.

Rows, all of one small CNN without batch normalisation (three 3x3 convolutions, 16 channels), each with as many seeds:

    standard                                             the undefended twin of all others, seed by seed
    smoothing, unsharp                                   the two variants, as the claims file names them
    kernel alone (W = 1), map alone (K = delta),         what brings an effect: the parts, a constant gain of the size
    gain alone, equal weights, learned kernel            measured, more channels, a depthwise convolution
    box mean, neighbours, edge, laplacian                the other kernels
    pgd-trained, noise-trained                           baselines
    source standard, source smoothing, source unsharp    one seed, attacked, never a target

Sweeps, exploratory (`wide` at full scale): coupling, initialisation, place, batch normalisation, both learned, the
scale of the maps, learning rate, and on the undefended network learning rate and initial scale.

What is asked, and of how many images at full scale on MNIST:

    every row      clean 10,000; uniform noise 0.5 on 5,000; PGD-20 at the primary epsilon 500; gain, spectrum 250
    but kernels and sweeps, besides
                   other noise 5,000; FGSM 500; change of activations under noise and PGD 250; transfer from the three
                   sources 500
    variants and baselines, besides
                   other epsilons of PGD-20, and PGD-30 on the margin, 500
    standard, smoothing, unsharp, besides
                   FMN in Linf and L2 100; PGD on rescaled logits 500; bands 250; shifts 1,000; of the variants transfer
                   from their own twin 500; of one seed AutoAttack 50, checks 30, gallery, maps
    full, MNIST    16 rows x 5 seeds + 3 sources: 83 trainings of one epoch, about half a core-hour with what is asked
    narrow, MNIST  13 rows x 5 seeds + 3 sources: 68 trainings of ten epochs. The judged rows (standard, smoothing,
                   unsharp, gain alone, both trained baselines) and, in brief elsewhere, batch normalisation, kernel
                   alone, map alone. Noise on 10,000, attacks on 1,000, AutoAttack and FMN on 100, the latter two of
                   every seed of a judged row
    full, CIFAR-10 ResNet-20 (all rows but kernels and sweeps) and ResNet-18 (standard, smoothing, unsharp), with batch
                   normalisation, 3 seeds, 30 epochs, bf16: the scaled-up models; needs a GPU
    narrow, CIFAR-10
                   the 7 judged rows x 5 seeds + 3 sources of ResNet-20: 38 trainings of six epochs in bf16, with PGD of
                   two. Noise on 5,000, attacks on 500, AutoAttack and FMN on 100
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Literal

from bioinspired.declarations import Architecture, Data, Images, Network, PGDTraining, Recipe
from bioinspired.keys import Strength, strength
from bioinspired.lab.declarations import Measurement, Scale, Study, Tier, Trial
from bioinspired.lab.measurements.declarations import (
    Attack,
    Band,
    Checked,
    Clean,
    Corruption,
    Distance,
    Gallery,
    Question,
)
from bioinspired.lab.papers.weight_map.declarations import GradientSpectrum, Maps, Rescaled, Shift, Variance, WeightMap
from bioinspired.lab.records.store import PUBLISHED

TITLE = "Weight Map layer"
DATASETS = {
    "smoke": ("digits",),
    "laptop": ("digits", "mnist", "fashion_mnist"),
    "narrow": ("mnist", "cifar10"),
    "full": ("mnist", "cifar10"),
}
SOURCE_SEED = 100
FIRST_SEEDS = 3  # of every row, trained before any other seed
SHOWN = ("standard", "smoothing", "unsharp")
JUDGED = (*SHOWN, "smoothing: gain alone", "unsharp: gain alone", "pgd-trained", "noise-trained")
SMOOTHING = WeightMap(kernel="box_sum")
UNSHARP = WeightMap(kernel="unsharp")

Group = Literal["variant", "control", "kernel", "baseline", "sweep", "scaled", "source"]


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What differs between scales and data sets.

    `gains` are the square roots of the gains, layer by layer, that trained smoothing and unsharp layers were measured
    to have with another seed; empty where that was not measured. `equal_width` gives the undefended network as many
    weights as the layers add. `adversarial_epochs` is a shorter schedule for PGD training, None the recipe's. `chosen`
    are the labels of its rows, () for all; where rows are chosen, each one is asked what a control is, and those that
    are judged meet AutoAttack and the searches with every seed. Images: asked when clean, under noise, attacks, and by
    searches and spectra.
    """

    data: Data
    architecture: Architecture
    equal_width: int
    recipe: Recipe
    adversary: PGDTraining
    adversarial_epochs: int | None = None
    noise: Strength
    gains: tuple[tuple[Strength, ...], ...]
    seeds: tuple[int, ...]
    sweep_seeds: tuple[int, ...]
    uniform: tuple[Strength, ...]
    gaussian: tuple[Strength, ...]
    eps: tuple[Strength, ...]
    primary_noise: Strength = "0.5"
    primary_eps: Strength = "0.1"
    clean_images: int | None = None
    noise_images: int | None = None
    attack_images: int | None = None
    search_images: int = 50
    look_images: int = 250
    shift_images: int | None = None
    auto_images: int = 20
    check_images: int = 30
    chosen: tuple[str, ...] = ()
    changes: str


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of the tables: a network, less its seed."""

    label: str
    group: Group
    defense: WeightMap | None = None
    recipe: Recipe
    architecture: Architecture


DIGITS = Setting(
    data=Data(name="digits", size=16),
    architecture=Architecture(name="small_cnn", width=16, batch_norm=False),
    equal_width=22,
    recipe=Recipe(epochs=12, batch=64, optimizer="adam", rate="0.0015", decay="0"),
    adversary=PGDTraining(eps="0.1", steps=2, step_size="0.75"),
    noise="0.2",
    gains=(("7.3", "5.4", "3.9"), ("1.22", "1.56", "1.99")),
    seeds=(0, 1, 2),
    sweep_seeds=(0,),
    uniform=("0.25", "0.5", "0.75"),
    gaussian=("0.25", "0.5"),
    eps=("0.05", "0.1", "0.2"),
    attack_images=200,
    changes="a small CNN on scikit-learn's 8x8 digits, up-sampled to 16x16",
)
SMOKE = replace(
    DIGITS,
    data=Data(name="digits", size=16, train=300),
    architecture=Architecture(name="small_cnn", width=4, batch_norm=False),
    equal_width=8,
    recipe=replace(DIGITS.recipe, epochs=1),
    seeds=(0,),
    sweep_seeds=(),
    uniform=("0.5",),
    gaussian=("0.5",),
    eps=("0.1",),
    clean_images=64,
    noise_images=64,
    attack_images=32,
    search_images=8,
    look_images=32,
    shift_images=32,
    auto_images=4,
    check_images=0,
    changes="a few steps on a few images: this page shows that the code runs, not a result",
)
MNIST = replace(
    DIGITS,
    data=Data(name="mnist", size=28, train=10_000),
    equal_width=29,
    recipe=replace(DIGITS.recipe, epochs=3, rate="0.002"),
    gains=(("6.7", "5.5", "5.9"), ("1.33", "1.62", "1.84")),
    seeds=(0, 1, 2),
    eps=("0.05", "0.1", "0.2"),
    clean_images=1_000,
    noise_images=1_000,
    attack_images=200,
    shift_images=200,
    changes="a small CNN trained for three epochs on 10,000 of MNIST's images",
)
FULL_MNIST = replace(
    MNIST,
    data=Data(name="mnist", size=28),
    recipe=replace(DIGITS.recipe, epochs=1, rate="0.002"),
    seeds=(0, 1, 2, 3, 4),
    sweep_seeds=(0, 1, 2),
    clean_images=10_000,
    noise_images=5_000,
    attack_images=500,
    shift_images=1_000,
    search_images=100,
    auto_images=50,
    check_images=30,
    changes="The layer is the family that fits the abstract, the network a small CNN of 16 channels trained for one "
    "epoch, noise, attacks and strengths are this study's choice.",
)
NARROW_MNIST = replace(
    FULL_MNIST,
    recipe=replace(FULL_MNIST.recipe, epochs=10),
    adversary=PGDTraining(eps="0.1"),
    gains=(("6.2", "5.7", "4.4"), ("1.36", "1.69", "1.79")),
    sweep_seeds=(0, 1, 2, 3, 4),
    noise_images=10_000,
    attack_images=1_000,
    auto_images=100,
    chosen=(
        *JUDGED,
        "smoothing, batch normalisation",
        "unsharp, batch normalisation",
        "standard, batch normalisation",
        "smoothing: kernel alone",
        "unsharp: kernel alone",
        "map alone",
    ),
    changes="The layer is the family that fits the abstract, the network a small CNN of 16 channels trained for ten "
    "epochs, noise, attacks and strengths are this study's choice.",
)
FASHION = replace(
    MNIST,
    data=Data(name="fashion_mnist", size=28, train=10_000),
    uniform=("0.1", "0.25", "0.5"),
    gaussian=("0.1", "0.25"),
    eps=("0.0125", "0.025", "0.05"),
    primary_noise="0.25",
    primary_eps="0.05",
    adversary=PGDTraining(eps="0.05", steps=2, step_size="0.75"),
    noise="0.1",
    changes="a small CNN trained for three epochs on 10,000 of Fashion-MNIST's images",
)
FULL_CIFAR10 = replace(
    FULL_MNIST,
    data=Data(name="cifar10", size=32),
    architecture=Architecture(name="resnet20", width=16),
    equal_width=21,
    recipe=Recipe(epochs=30, batch=128, rate="0.1", nesterov=True, augmentation="crop_flip", precision="bf16"),
    adversary=PGDTraining(eps="2/255"),
    noise="0.05",
    gains=(),
    seeds=(0, 1, 2),
    uniform=("0.0625", "0.125", "0.25"),
    gaussian=("0.0625", "0.125"),
    eps=("1/510", "1/255", "2/255", "4/255"),
    primary_noise="0.125",
    primary_eps="2/255",
    attack_images=1_000,
    changes="The layer is the family that fits the abstract; ResNet-20 and ResNet-18 with batch normalisation and a "
    "30-epoch schedule, noise, attacks and strengths are this study's choice.",
)
NARROW_CIFAR10 = replace(
    FULL_CIFAR10,
    recipe=replace(FULL_CIFAR10.recipe, epochs=6),
    adversarial_epochs=2,
    gains=(
        (
            *("7.41", "7.92", "8.23", "8.19", "8.29", "8.18", "8.4"),
            *("6.96", "7.84", "7.44", "7.83", "7.8", "8.13"),
            *("6.21", "7.45", "7.02", "7.91", "7.76", "8.17"),
        ),
        (
            *("1.28", "1.35", "1.46", "1.67", "1.6", "1.7", "1.7"),
            *("1.58", "1.59", "1.6", "1.61", "1.53", "1.6"),
            *("1.6", "1.58", "1.51", "1.46", "1.39", "1.26"),
        ),
    ),
    seeds=(0, 1, 2, 3, 4),
    attack_images=500,
    auto_images=100,
    chosen=JUDGED,
    changes="The layer is the family that fits the abstract; ResNet-20 with batch normalisation, a six-epoch schedule "
    "(PGD training: two epochs), noise, attacks and strengths are this study's choice.",
)
SETTINGS: Mapping[tuple[Scale, str], Setting] = {
    ("smoke", "digits"): SMOKE,
    ("laptop", "digits"): DIGITS,
    ("laptop", "mnist"): MNIST,
    ("laptop", "fashion_mnist"): FASHION,
    ("narrow", "mnist"): NARROW_MNIST,
    ("narrow", "cifar10"): NARROW_CIFAR10,
    ("full", "mnist"): FULL_MNIST,
    ("full", "cifar10"): FULL_CIFAR10,
}


def trials(scale: Scale, dataset: str, seeds: tuple[int, ...] | None) -> Study:
    """The study at a scale, on a data set, with other seeds where they are given."""
    setting = SETTINGS[scale, dataset]
    main = seeds or setting.seeds
    rows = _rows(setting)
    sources = [
        Trial(
            network=_network(setting, row, SOURCE_SEED),
            label=f"source {row.label}",
            measurements=(Measurement(question=Clean(), images=Images(n=setting.clean_images)),),
            factors={"group": "source"},
            tier=_tier(scale, dataset, "source"),
        )
        for row in rows
        if row.label in SHOWN
    ]
    twins = {seed: _network(setting, rows[0], seed) for seed in main}
    found = list(sources)
    for part in (main[:FIRST_SEEDS], main[FIRST_SEEDS:]):
        for row in rows:
            used = (seeds or setting.sweep_seeds) if row.group == "sweep" else main
            for seed in (seed for seed in used if seed in part):
                asked = _questions(setting, row, [trial.network for trial in sources])
                shown = row.label in SHOWN and seed == main[0]
                if row.label in (JUDGED if setting.chosen else SHOWN):
                    asked += _looked_at(setting, None if row.label == "standard" else twins[seed])
                    asked += (_autoattack(setting),) if shown or setting.chosen else ()
                asked += _shown(setting, row, twins[seed]) if shown else ()
                found.append(
                    Trial(
                        network=_network(setting, row, seed),
                        label=row.label,
                        measurements=asked,
                        factors={"group": row.group},
                        tier=_tier(scale, dataset, row.group),
                    )
                )
    return Study(
        name="weight_map",
        scale=scale,
        trials=tuple(found),
        fidelity="reconstruction" if scale in PUBLISHED else "proxy",
        changes=setting.changes,
    )


def _tier(scale: Scale, dataset: str, group: Group) -> Tier:
    """At full scale, sweeps and whatever needs a GPU are wide."""
    return "wide" if scale == "full" and (dataset == "cifar10" or group == "sweep") else "core"


def _rows(setting: Setting) -> list[Row]:
    """The rows of a setting, those that are chosen in the order in which they were."""
    rows = {row.label: row for row in _all_rows(setting)}
    return [rows[label] for label in setting.chosen or rows if label in rows]


def _all_rows(setting: Setting) -> list[Row]:
    def row(
        label: str,
        group: Group,
        defense: WeightMap | None = None,
        *,
        recipe: Recipe = setting.recipe,
        architecture: Architecture = setting.architecture,
    ) -> Row:
        return Row(label=label, group=group, defense=defense, recipe=recipe, architecture=architecture)

    variants = [row("standard", "baseline"), row("smoothing", "variant", SMOOTHING), row("unsharp", "variant", UNSHARP)]
    alone = WeightMap(kernel="identity", init="ones", learns="nothing")
    controls = [
        row("smoothing: kernel alone", "control", replace(SMOOTHING, init="ones", learns="nothing")),
        row("unsharp: kernel alone", "control", replace(UNSHARP, init="ones", learns="nothing")),
        row("map alone", "control", WeightMap(kernel="identity")),
        *(
            row(f"{name}: gain alone", "control", replace(alone, scale=gains))
            for name, gains in zip(("smoothing", "unsharp"), setting.gains, strict=False)
        ),
        row("equal weights", "control", architecture=replace(setting.architecture, width=setting.equal_width)),
        row("unsharp: learned kernel", "control", replace(UNSHARP, init="ones", learns="kernel")),
    ]
    kernels = [
        row("box mean", "kernel", WeightMap(kernel="box_mean")),
        row("neighbours", "kernel", WeightMap(kernel="neighbours")),
        row("edge", "kernel", WeightMap(kernel="edge")),
        row("laplacian", "kernel", WeightMap(kernel="laplacian")),
    ]
    epochs = setting.adversarial_epochs or setting.recipe.epochs
    baselines = [
        row("pgd-trained", "baseline", recipe=replace(setting.recipe, epochs=epochs, adversary=setting.adversary)),
        row("noise-trained", "baseline", recipe=replace(setting.recipe, noise=setting.noise)),
    ]
    if setting.architecture.name != "small_cnn":
        resnet18 = Architecture(name="resnet18", width=64)
        larger = [row(f"resnet18: {one.label}", "scaled", one.defense, architecture=resnet18) for one in variants]
        return [*variants, *controls, *baselines, *larger]
    rate, normalized = Fraction(setting.recipe.rate), replace(setting.architecture, batch_norm=True)
    sweeps = [
        row("unsharp, one map for all channels", "sweep", replace(UNSHARP, coupling="shared")),
        row("unsharp, maps across channels", "sweep", replace(UNSHARP, coupling="all")),
        row("unsharp, maps from ones", "sweep", replace(UNSHARP, init="ones")),
        row("unsharp, maps from U(-1, 1)", "sweep", replace(UNSHARP, init="uniform")),
        row("unsharp, after the activation", "sweep", replace(UNSHARP, place="after")),
        row("unsharp, first layer only", "sweep", replace(UNSHARP, where="first")),
        row("unsharp, kernel learned too", "sweep", replace(UNSHARP, learns="both")),
        row("unsharp, batch normalisation", "sweep", UNSHARP, architecture=normalized),
        row("smoothing, batch normalisation", "sweep", SMOOTHING, architecture=normalized),
        row("standard, batch normalisation", "sweep", architecture=normalized),
        row("unsharp, maps × 1/2", "sweep", replace(UNSHARP, scale=("0.5",))),
        row("unsharp, maps × 2", "sweep", replace(UNSHARP, scale=("2",))),
        row("standard, maps of 1/2", "sweep", replace(alone, scale=("0.5",))),
        row("standard, maps of 2", "sweep", replace(alone, scale=("2",))),
        row("standard, rate × 1/3", "sweep", recipe=replace(setting.recipe, rate=strength(rate / 3))),
        row("standard, rate × 3", "sweep", recipe=replace(setting.recipe, rate=strength(3 * rate))),
    ]
    return [*variants, *controls, *kernels, *baselines, *sweeps]


def _network(setting: Setting, row: Row, seed: int) -> Network:
    return Network(data=setting.data, architecture=row.architecture, recipe=row.recipe, seed=seed, defense=row.defense)


def primary(setting: Setting) -> Attack:
    """The attack of the headline claims."""
    return Attack(name="pgd", eps=setting.primary_eps, steps=20, step_size="0.125", random_start=True)


def _questions(setting: Setting, row: Row, sources: list[Network]) -> tuple[Measurement, ...]:
    """What a row is asked: the primary questions, of a control more, of variants and baselines the whole grids."""
    attacked, noisy = Images(n=setting.attack_images), Images(n=setting.noise_images)
    looked = Images(n=setting.look_images)
    asked: list[tuple[Question, Images]] = [
        (Clean(), Images(n=setting.clean_images)),
        (Corruption(name="uniform_noise", strength=setting.primary_noise), noisy),
        (primary(setting), attacked),
        (Variance(name="gain"), looked),
        (GradientSpectrum(), looked),
    ]
    if row.group in ("kernel", "sweep") and not setting.chosen:
        return tuple(Measurement(question=question, images=images) for question, images in asked)
    others = [name for name in setting.uniform if name != setting.primary_noise]
    asked += [(Corruption(name="uniform_noise", strength=width), noisy) for width in others]
    asked += [(Corruption(name="gaussian_noise", strength=sigma), noisy) for sigma in setting.gaussian]
    asked += [
        (Attack(name="fgsm", eps=setting.primary_eps), attacked),
        (Variance(name="noise", strength=setting.gaussian[0]), looked),
        (Variance(name="adversarial", strength=setting.primary_eps), looked),
    ]
    if row.group in ("variant", "baseline"):
        margin = replace(primary(setting), steps=30, step_size="0.1", loss="margin")
        others = [eps for eps in setting.eps if eps != setting.primary_eps]
        asked += [(margin, attacked), *((replace(primary(setting), eps=eps), attacked) for eps in others)]
    alone = [Measurement(question=question, images=images) for question, images in asked]
    moved = [Measurement(question=_moved(setting), images=attacked, sources=(source,)) for source in sources]
    return (*alone, *moved)


def _moved(setting: Setting) -> Attack:
    """The attack whose examples are shown to other networks."""
    return replace(primary(setting), random_start=False)


def _looked_at(setting: Setting, twin: Network | None) -> tuple[Measurement, ...]:
    """What the rows of most interest are asked besides, with every seed."""
    eps = setting.primary_eps
    half = strength(Fraction(eps) / 2)  # of the Euclidean attack, as root mean square per value
    searched, looked = Images(n=setting.search_images), Images(n=setting.look_images)
    asked: list[tuple[Question, Images]] = [
        (Distance(name="fmn", norm="linf", steps=100), searched),
        (Distance(name="fmn", norm="l2", steps=100), searched),
        (Rescaled(eps=eps, steps=20, step_size="0.125"), Images(n=setting.attack_images)),
        *((Band(name=band, eps=half, steps=10), looked) for band in ("low", "high", "all")),
        *((Shift(pixels=pixels), Images(n=setting.shift_images)) for pixels in (1, 2, 3, 4)),
    ]
    found = [Measurement(question=question, images=images) for question, images in asked]
    if twin is not None:
        found.append(Measurement(question=_moved(setting), images=Images(n=setting.attack_images), sources=(twin,)))
    return tuple(found)


def _autoattack(setting: Setting) -> Measurement:
    return Measurement(
        question=Attack(name="autoattack", eps=setting.primary_eps), images=Images(n=setting.auto_images)
    )


def _shown(setting: Setting, row: Row, twin: Network) -> tuple[Measurement, ...]:
    """What one seed of the variants and of the undefended network is asked besides."""
    found = [Measurement(question=Gallery(attack=primary(setting)), images=Images(n=24))]
    if row.label != "standard":
        found.append(Measurement(question=Maps(), images=Images(n=1)))
        if setting.check_images:
            checked = Images(n=setting.check_images)
            found.append(Measurement(question=Checked(eps=setting.primary_eps), images=checked, sources=(twin,)))
    return tuple(found)
