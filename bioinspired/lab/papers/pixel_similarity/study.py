"""Pixel similarity (arXiv 2410.03952): targets and their controls against the undefended twin and other baselines.

Rows at full scale on CIFAR-10 in grey, ResNet-18 with a 7x7 stem of width 64, 49,500 training images, the paper's
schedule (40 epochs, batch 64, two cycles), alpha 10, Th 0.8, pairs of 5,000 CIFAR-10 images:

    core    standard; thresholded; pixel; alpha 0 (pairs forwarded only); shuffled; noise-trained      seeds 0 to 2
    wide    separate (batch normalisation); random; label; plain squares; blur; pgd-trained            seed 0
    wide    parts: low, high, double, positive, negative                                               seed 0
    wide    (alpha, Th): {4, 10, 20} x {0.2, 0.4, 0.6, 0.8} without (10, 0.8)                          seed 0
    wide    2, 4, 8 and 32 pairs a step; pairs of 100 and of 1,000 images                              seed 0
    wide    pairs of MNIST, pairs of Fashion-MNIST; other strengths of training noise                  seed 0
    wide    colour: standard and thresholded                                                           seed 0
    sources standard (seed 100); vgg (100); thresholded (100): never targets

and on MNIST (20 epochs, alpha 4, Th 0.2) and Fashion-MNIST (20 epochs, alpha 10, Th 0.8) the core rows and pairs of the
other of the two sets.

Rows at scale narrow, five epochs, one at each of the paper's five rates (PGD training two): on MNIST and Fashion-MNIST
with width 8, images in [0, 1] as the authors leave them; on CIFAR-10 in grey with width 16, in bf16:

    core    standard; thresholded; pixel; noise-trained; pgd-trained; alpha 0; shuffled                seeds 0 to 4
    sources as above

Every target is asked, on all 10,000 images: clean, three noises at up to nine strengths, FGSM from the source
"standard" at as many; PGD over epsilon (1,000) where a row has all seeds. The rows of HEADLINE are asked besides: the
boundary attack with 50 steps, common corruptions, distances and spectra of FMN and, in two rows, of the boundary attack
with 10,000 steps. Their first seed: the boundary attack with numbers of steps between, FMN in Linf, FGSM from every
source, momentum from each, with input diversity from all at once, PGD of low and of high frequencies and the attack on
features, similarities; AutoAttack, a gallery, the checks. On how many images: `Effort`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Literal

from bioinspired.declarations import Architecture, Data, Defense, Images, Network, Recipe
from bioinspired.keys import Strength
from bioinspired.lab.declarations import Measurement, Scale, Study, Tier, Trial
from bioinspired.lab.measurements.declarations import (
    Attack,
    Band,
    Checked,
    Clean,
    CommonCorruptions,
    Corruption,
    Distance,
    Gallery,
    Question,
)
from bioinspired.lab.papers.pixel_similarity.declarations import (
    Blur,
    FeatureAttack,
    PixelSimilarity,
    Similarities,
    TrainingCost,
)
from bioinspired.lab.papers.pixel_similarity.settings import SETTINGS, Setting

TITLE = "Pixel similarity"
DATASETS = {
    "smoke": ("digits",),
    "laptop": ("digits", "mnist", "fashion_mnist", "cifar10"),
    "narrow": ("mnist", "fashion_mnist", "cifar10"),
    "full": ("cifar10", "mnist", "fashion_mnist"),
}
SOURCE_SEED = 100
HEADLINE = ("standard", "thresholded", "pixel", "noise-trained")
CHECKED = ("thresholded",)
SHOWN = ("standard", "thresholded", "noise-trained")
ATTACKED = (*SHOWN, "pgd-trained")
COSTED = ("standard", "thresholded", "pgd-trained")
FIRST_SEEDS = 3
LONG = ("standard", "thresholded")  # the long boundary attack takes minutes a network
BANDS: tuple[Literal["low", "high"], ...] = ("low", "high")


def trials(scale: Scale, dataset: str, seeds: tuple[int, ...] | None) -> Study:
    """The study at a scale, on a data set, with other seeds where they are given."""
    setting = SETTINGS[scale, dataset]
    sources = {name: _source(setting, name) for name in setting.sources}
    out = [
        Trial(network=network, label=f"source {name}", measurements=(_on(setting, Clean()),))
        for name, network in sources.items()
    ]
    main = seeds or setting.seeds
    for label, seed in _order(setting, main):
        network = _network(setting, label, seed)
        asked = _everywhere(setting, network, sources)
        if label in HEADLINE:
            asked += _headline(setting, label)
        if label in HEADLINE or label in setting.twice:
            asked += _white_box(setting, strongest=label in ATTACKED and seed == main[0])
        if setting.effort.timed_steps and label in COSTED:
            asked += _costs(setting, label, network)
        if label in HEADLINE and seed == main[0]:
            asked += _once(setting, label, sources, twin=_network(setting, "standard", seed))
        out.append(
            Trial(
                network=network,
                label=label,
                measurements=tuple(dict.fromkeys(asked)),
                factors=_factors(network),
                tier=_tier(setting, label),
            )
        )
    return Study(
        name="pixel_similarity",
        scale=scale,
        trials=tuple(out),
        fidelity=setting.fidelity,
        changes=setting.changes,
    )


def _order(setting: Setting, seeds: Sequence[int]) -> list[tuple[str, int]]:
    """Rows and their seeds: the first three of every row before any other seed."""
    every = {label: label in HEADLINE or label in setting.twice for label in (*HEADLINE, *setting.rows, *setting.wide)}
    first = [(label, seed) for label, more in every.items() for seed in seeds[: FIRST_SEEDS if more else 1]]
    return first + [(label, seed) for label, more in every.items() if more for seed in seeds[FIRST_SEEDS:]]


def _tier(setting: Setting, label: str) -> Tier:
    return "wide" if label in setting.wide else "core"


def _network(setting: Setting, label: str, seed: int) -> Network:
    defense, recipe, data = _row(setting, label)
    architecture = Architecture(name="resnet18_stem7", width=setting.width, normalize=setting.normalize)
    return Network(data=data, architecture=architecture, recipe=recipe, seed=seed, defense=defense)


def _row(setting: Setting, label: str) -> tuple[Defense | None, Recipe, Data]:
    """What a row's label means."""
    recipe, data, base = setting.recipe, setting.data, setting.regularizer
    kind, _, value = label.partition(" ")
    if label in setting.foreign:
        return setting.foreign[label], recipe, data
    if kind == "colour":
        return _row(setting, value)[0], recipe, replace(data, gray=False)
    if label == "alpha 0":
        return replace(base, alpha="0"), recipe, data
    if kind == "alpha":
        alpha, threshold = value.split(", Th ")
        return replace(base, alpha=alpha, threshold=threshold), recipe, data
    if kind == "noise":
        return None, replace(recipe, noise=value), data
    if value in ("pairs", "images"):
        return replace(base, pairs=int(kind)) if value == "pairs" else replace(base, count=int(kind)), recipe, data
    rows: dict[str, tuple[Defense | None, Recipe]] = {
        "standard": (None, recipe),
        "noise-trained": (None, replace(recipe, noise=setting.noise)),
        "pgd-trained": (None, replace(setting.adversarial or recipe, adversary=setting.adversary)),
        "blur": (Blur(sigma=setting.blur), recipe),
        "separate": (replace(base, statistics="separate"), recipe),
        "plain": (replace(base, convention="plain"), recipe),
        "double": (replace(base, target="double", second="0.4"), recipe),
        "thresholded": (base, recipe),
        "pixel": (replace(base, target="pixel"), recipe),
        "low": (replace(base, target="low"), recipe),
        "high": (replace(base, target="high"), recipe),
        "positive": (replace(base, target="positive"), recipe),
        "negative": (replace(base, target="negative"), recipe),
        "shuffled": (replace(base, target="shuffled"), recipe),
        "random": (replace(base, target="random"), recipe),
        "label": (replace(base, target="label"), recipe),
    }
    return *rows[label], data


def _source(setting: Setting, name: str) -> Network:
    """A network that examples are made on: never a target."""
    if name == "vgg":
        network = _network(setting, "standard", SOURCE_SEED)
        return replace(network, architecture=replace(network.architecture, name="vgg"))
    return _network(setting, name, SOURCE_SEED)


def _factors(network: Network) -> dict[str, str]:
    defense = network.defense
    noise = {"noise": network.recipe.noise} if network.recipe.noise else {}
    if not isinstance(defense, PixelSimilarity):
        return noise
    return {
        "target": defense.target,
        "alpha": defense.alpha,
        "threshold": defense.threshold,
        "pairs": str(defense.pairs),
        "count": str(defense.count),
    }


def _on(setting: Setting, question: Question, n: int | None = None, sources: Iterable[Network] = ()) -> Measurement:
    images = Images(n=setting.effort.images if n is None else n)
    return Measurement(question=question, images=images, sources=tuple(sources))


def _everywhere(setting: Setting, network: Network, sources: Mapping[str, Network]) -> list[Measurement]:
    """Clean images, noise, and one-step examples made on the undefended source, which has to take the same images."""
    grids = setting.strengths
    asked = [_on(setting, Clean())]
    for name, strengths in (
        ("gaussian_noise_own_range", grids.gaussian),
        ("uniform_noise_own_range", grids.uniform),
        ("salt_and_pepper_own_range", grids.salt_and_pepper),
    ):
        asked += [_on(setting, Corruption(name=name, strength=level)) for level in strengths]
    if network.data == setting.data:
        asked += _moved(setting, "fgsm", grids.fgsm, sources["standard"])
    else:
        asked.append(_boundary(setting, 50))
    return asked


def _moved(
    setting: Setting, name: Literal["fgsm", "mi_fgsm"], epsilons: Iterable[Strength], source: Network
) -> list[Measurement]:
    n, steps = (None, 1) if name == "fgsm" else (setting.effort.fmn_images, 10)
    return [_on(setting, Attack(name=name, eps=eps, steps=steps), n, (source,)) for eps in epsilons]


def _boundary(setting: Setting, steps: int) -> Measurement:
    return _on(setting, Distance(name="boundary", norm="l2", steps=steps), setting.effort.boundary_images)


def _headline(setting: Setting, label: str) -> list[Measurement]:
    """What every seed of the compared rows is asked besides."""
    effort = setting.effort
    asked = [_boundary(setting, 50)]
    asked += [
        _on(setting, CommonCorruptions(band=band, severity=severity), effort.corrupted_images)
        for severity in effort.severities
        for band in ("low", "medium", "high")
    ]
    asked += [
        _on(setting, search, effort.fmn_images if search.search == "fmn" else effort.spectrum_images)
        for search in effort.spectrum
        if search.search == "fmn" or label in LONG
    ]
    return asked


def _pgd(setting: Setting, eps: Strength) -> Attack:
    return Attack(name="pgd", eps=eps, steps=setting.effort.white_box_steps, step_size="0.25", random_start=True)


def _white_box(setting: Setting, *, strongest: bool) -> list[Measurement]:
    """PGD over epsilon, of every row that has all seeds; AutoAttack of one of them."""
    effort, grids = setting.effort, setting.strengths
    asked = [_on(setting, _pgd(setting, eps), effort.white_box_images) for eps in grids.white_box]
    if strongest:
        asked += [
            _on(setting, Attack(name="autoattack", norm=norm, eps=eps), effort.auto_images) for norm, eps in grids.auto
        ]
    return asked


def _costs(setting: Setting, label: str, network: Network) -> list[Measurement]:
    """What a training step costs; memory of the regularizer alone, which is the same with every seed."""
    steps, images = setting.effort.timed_steps, Images(n=1)
    asked = [Measurement(question=TrainingCost(name="time", network=network, steps=steps), images=images)]
    if label == "thresholded":
        asked.append(Measurement(question=TrainingCost(name="memory", network=network, steps=steps), images=images))
    return asked


def _once(setting: Setting, label: str, sources: Mapping[str, Network], *, twin: Network) -> list[Measurement]:
    """What one seed of the compared rows is asked besides."""
    effort, grids = setting.effort, setting.strengths
    asked = []
    if label in SHOWN:
        searches = [Distance(name="boundary", norm="l2", steps=steps) for steps in effort.boundary_steps]
        asked += [_on(setting, search, effort.spectrum_images) for search in searches]
    asked.append(_on(setting, Distance(name="fmn", norm="linf", steps=effort.fmn_steps), effort.fmn_images))
    for name, source in sources.items():
        if name != "standard":
            asked += _moved(setting, "fgsm", grids.fgsm[-1:], source)
        asked += _moved(setting, "mi_fgsm", grids.fgsm[-1:], source)
    if len(sources) > 1:
        together = Attack(name="mi_fgsm", eps=grids.fgsm[-1], steps=10, diversity="0.7")
        asked.append(_on(setting, together, effort.fmn_images, sources.values()))
    bands = [Band(name=band, eps=grids.band, steps=effort.white_box_steps) for band in BANDS]
    asked += [_on(setting, question, effort.fmn_images) for question in bands]
    middle = grids.white_box[len(grids.white_box) // 2]
    asked.append(_on(setting, FeatureAttack(eps=middle, steps=effort.white_box_steps), effort.fmn_images))
    asked.append(Measurement(question=Similarities(), images=Images(n=effort.similar_images, split="train")))
    if label in SHOWN:
        asked.append(Measurement(question=Gallery(attack=_pgd(setting, middle))))
    if label in CHECKED and effort.check_images:
        asked.append(_on(setting, Checked(eps=middle), effort.check_images, (twin,)))
    return asked
