"""Defective convolution (arXiv 1911.08432): keep probabilities against the undefended twin and two trained baselines.

Rows: standard; keep 0.5, 0.3 and 0.1 on the bottom layers; keep 0.3 on the top layers; pgd-trained; noise-trained; and
sources that are never targets, of another family (vgg) and of the same one (resnet18). Every target is asked: clean
images, transfer from each source, white-box PGD over epsilon, Gaussian noise over sigma.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from bioinspired.keys import Strength
from bioinspired.trials import (
    Architecture,
    Attack,
    Checked,
    Clean,
    Corruption,
    Data,
    DefectiveConv,
    Gallery,
    Images,
    Measurement,
    Network,
    PGDTraining,
    Question,
    Recipe,
    Scale,
    Study,
    Trial,
)

TITLE = "Defective convolution"
DATASETS = {
    "smoke": ("digits",),
    "laptop": ("digits", "mnist", "fashion_mnist", "cifar10"),
    "full": ("cifar10", "mnist"),
}
SHOWN = ("standard", "keep 0.1", "pgd-trained")
CHECKED = ("keep 0.1", "pgd-trained")
SOURCE_SEED = 100  # sources are trained with this seed and the two after it; targets stay below


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What differs between scales and data sets."""

    data: Data
    width: int
    recipe: Recipe
    adversary: PGDTraining
    noise: Strength
    seeds: tuple[int, ...]
    sweep_seeds: tuple[int, ...]
    sources: int
    transfer: tuple[Attack, ...]
    white_box: tuple[Attack, ...]
    sigmas: tuple[Strength, ...]
    gallery: Attack
    auto: Attack | None
    auto_images: int
    checks: Checked | None
    check_images: int
    images: int | None
    changes: str


def _paper_pgd(eps: Strength, *, steps: int, step_size: Strength) -> Attack:
    """The paper's PGD: no random start, one run, cross-entropy."""
    return Attack(name="pgd", eps=eps, steps=steps, step_size=step_size)


def _transfer(small: Strength, large: Strength) -> tuple[Attack, Attack]:
    """The two settings that the headline claims ask for: PGD(2, 7, 8) and PGD(1, 20, 16) in the paper's notation."""
    return _paper_pgd(small, steps=7, step_size="0.25"), _paper_pgd(large, steps=20, step_size="0.0625")


def _white_box(eps: Strength, *, steps: int) -> Attack:
    return Attack(name="pgd", eps=eps, steps=steps, step_size="0.1", random_start=True)


DIGITS = Setting(
    data=Data(name="digits", size=16),
    width=8,
    recipe=Recipe(epochs=8, batch=64, rate="0.1"),
    adversary=PGDTraining(eps="0.15", steps=2, step_size="0.75"),
    noise="0.35",
    seeds=(0, 1, 2),
    sweep_seeds=(0,),
    sources=3,
    transfer=_transfer("0.1", "0.2"),
    white_box=tuple(_white_box(eps, steps=20) for eps in ("0.05", "0.1", "0.2", "0.3")),
    sigmas=("0.1", "0.3", "0.5"),
    gallery=_transfer("0.1", "0.2")[1],
    auto=Attack(name="autoattack", eps="0.2"),
    auto_images=50,
    checks=Checked(eps="0.1"),
    check_images=50,
    images=None,
    changes="networks of width 8 trained for a few epochs on scikit-learn's 8x8 digits, up-sampled to 16x16",
)
SMOKE = replace(
    DIGITS,
    data=Data(name="digits", size=16, train=300),
    width=4,
    recipe=Recipe(epochs=2, batch=64, rate="0.1"),
    seeds=(0,),
    sources=1,
    transfer=_transfer("0.1", "0.2")[1:],
    white_box=(_white_box("0.2", steps=3),),
    sigmas=("0.2",),
    auto=None,
    checks=None,
    images=64,
    changes="a few steps on a few images: this page shows that the code runs, not a result",
)
MNIST = replace(
    DIGITS,
    data=Data(name="mnist", size=28, train=10_000),
    recipe=Recipe(epochs=2, batch=64, rate="0.1"),
    transfer=_transfer("0.15", "0.3"),
    white_box=tuple(_white_box(eps, steps=20) for eps in ("0.05", "0.1", "0.2", "0.3")),
    gallery=_transfer("0.15", "0.3")[1],
    images=1_000,
    changes="networks of width 8 trained for two epochs on 10,000 of MNIST's images",
)
COLOUR = _transfer("8/255", "16/255")
SETTINGS: Mapping[tuple[Scale, str], Setting] = {
    ("smoke", "digits"): SMOKE,
    ("laptop", "digits"): DIGITS,
    ("laptop", "mnist"): MNIST,
    ("laptop", "fashion_mnist"): replace(
        MNIST,
        data=Data(name="fashion_mnist", size=28, train=10_000),
        transfer=_transfer("0.05", "0.1"),
        gallery=_transfer("0.05", "0.1")[1],
        changes="networks of width 8 trained for two epochs on 10,000 of Fashion-MNIST's images",
    ),
    ("laptop", "cifar10"): replace(
        MNIST,
        data=Data(name="cifar10", size=32, train=10_000),
        recipe=Recipe(epochs=6, batch=64, rate="0.1", augmentation="crop_flip"),
        adversary=PGDTraining(eps="8/255", steps=2, step_size="0.75"),
        noise="0.1",
        transfer=COLOUR,
        checks=Checked(eps="8/255"),
        auto=Attack(name="autoattack", eps="8/255"),
        white_box=tuple(_white_box(eps, steps=20) for eps in ("2/255", "4/255", "8/255", "16/255")),
        sigmas=("8/255", "16/255", "32/255"),
        gallery=COLOUR[1],
        changes="networks of width 8 trained for six epochs on 10,000 of CIFAR-10's images",
    ),
    ("full", "cifar10"): Setting(
        data=Data(name="cifar10", size=32),
        width=64,
        recipe=Recipe(epochs=40, batch=512, rate="0.4", augmentation="crop_flip", nesterov=True, precision="bf16"),
        adversary=PGDTraining(eps="8/255", steps=7),
        noise="0.1",
        seeds=(0, 1, 2),
        sweep_seeds=(0, 1, 2),
        sources=3,
        transfer=COLOUR,
        white_box=tuple(_white_box(eps, steps=50) for eps in ("2/255", "4/255", "8/255")),
        sigmas=("8/255", "16/255", "32/255"),
        gallery=COLOUR[1],
        auto=Attack(name="autoattack", eps="8/255"),
        auto_images=200,
        checks=Checked(eps="8/255"),
        check_images=200,
        images=5_000,
        changes="a 40-epoch one-cycle schedule in place of 350 epochs",
    ),
    ("full", "mnist"): replace(
        MNIST,
        data=Data(name="mnist", size=28),
        recipe=Recipe(epochs=5, batch=128, rate="0.1"),
        seeds=(0, 1, 2),
        auto_images=200,
        check_images=200,
        images=5_000,
        changes="networks of width 8 and a 5-epoch schedule in place of 50 epochs",
    ),
}


def trials(scale: Scale, dataset: str, seeds: tuple[int, ...] | None) -> Study:
    """The study at a scale, on a data set, with other seeds where they are given."""
    setting = SETTINGS[scale, dataset]
    main = seeds or setting.seeds
    sweep = seeds or setting.sweep_seeds
    sources = _sources(setting)
    out = [
        Trial(network=network, label=f"source {network.architecture.name}", measurements=_clean(setting))
        for network in sources
    ]
    for label, defense, recipe, used in _rows(setting, main, sweep):
        for seed in used:
            network = _network(setting, seed, defense=defense, recipe=recipe)
            asked = _questions(setting, sources)
            if seed == main[0]:
                asked += _shown(setting, label, _network(setting, seed, recipe=setting.recipe))
            out.append(Trial(network=network, label=label, measurements=asked, factors=_factors(defense)))
    return Study(
        name="defective_conv",
        scale=scale,
        trials=tuple(out),
        fidelity="changed" if scale == "full" and setting.width == 64 else "proxy",
        changes=setting.changes,
    )


def _rows(
    setting: Setting, main: tuple[int, ...], sweep: tuple[int, ...]
) -> list[tuple[str, DefectiveConv | None, Recipe, tuple[int, ...]]]:
    recipe = setting.recipe
    return [
        ("standard", None, recipe, main),
        ("keep 0.5", DefectiveConv(keep="0.5"), recipe, sweep),
        ("keep 0.3", DefectiveConv(keep="0.3"), recipe, main),
        ("keep 0.1", DefectiveConv(keep="0.1"), recipe, main),
        ("keep 0.3 top", DefectiveConv(keep="0.3", where="top"), recipe, main),
        ("pgd-trained", None, replace(recipe, adversary=setting.adversary), main),
        ("noise-trained", None, replace(recipe, noise=setting.noise), main),
    ]


def _network(
    setting: Setting, seed: int, *, family: str = "resnet18", defense: DefectiveConv | None = None, recipe: Recipe
) -> Network:
    architecture = Architecture(name=family, width=setting.width)
    return Network(data=setting.data, architecture=architecture, recipe=recipe, seed=seed, defense=defense)


def _sources(setting: Setting) -> list[Network]:
    seeds = range(SOURCE_SEED, SOURCE_SEED + setting.sources)
    return [_network(setting, s, family=f, recipe=setting.recipe) for f in ("vgg", "resnet18") for s in seeds]


def _factors(defense: DefectiveConv | None) -> dict[str, str]:
    return {"keep": defense.keep} if defense else {}


def _clean(setting: Setting) -> tuple[Measurement, ...]:
    return (Measurement(question=Clean(), images=Images(n=setting.images)),)


def _questions(setting: Setting, sources: list[Network]) -> tuple[Measurement, ...]:
    images = Images(n=setting.images)
    asked: list[Question] = [*setting.white_box]
    asked += [Corruption(name="gaussian_noise_clipped", strength=sigma) for sigma in setting.sigmas]
    alone = [Measurement(question=question, images=images) for question in asked]
    moved = [Measurement(question=attack, images=images, sources=(s,)) for attack in setting.transfer for s in sources]
    return (*_clean(setting), *alone, *moved)


def _shown(setting: Setting, label: str, twin: Network) -> tuple[Measurement, ...]:
    """What one seed of the rows that the page shows one by one is asked besides: a gallery, AutoAttack, the checks."""
    asked: list[Measurement] = []
    if label in SHOWN:
        asked.append(Measurement(question=Gallery(attack=setting.gallery)))
        if setting.auto is not None:
            asked.append(Measurement(question=setting.auto, images=Images(n=setting.auto_images)))
    if label in CHECKED and setting.checks is not None:
        images = Images(n=setting.check_images)
        asked.append(Measurement(question=setting.checks, images=images, sources=(twin,)))
    return tuple(asked)
