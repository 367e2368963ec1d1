"""Defective convolution (arXiv 1911.08432): keep probabilities against the undefended twin and trained baselines.

Rows, by how many seeds they are trained with:

    main      standard; keep 0.3 and 0.1 on the bottom layers; keep 0.3 on the top layers; pgd-trained; noise-trained
    sweep     keep 0.5; keep 0.3 on all layers, with one mask for all channels, by whole channels, after the addition,
              at test time only; spatial dropout at the same rate; a standard network stopped at a lower accuracy, one
              behind JPEG, one trained with label smoothing
    sources   networks that are never targets: of other families, and of the same one
    surrogates  what an attacker trains who knows the recipe and not the mask: defective networks with other masks, and
              one trained under ever new masks

Every row is asked: clean images, transfer from each source and from all at once (momentum, resized inputs), white-box
PGD, Gaussian noise. Main rows besides: PGD over epsilon, at `full` also on the margin with 100 steps and three restarts
(200 images), on MNIST AutoAttack at two epsilons (100 images); on their first seed C&W with a confidence from a source
of each family. The rows of NEAREST: the smallest perturbation by the boundary attack and by HopSkipJump. Keep 0.1
besides: transfer from 1, 2, 4, ... surrogates. The rows that the page shows one by one, once: AutoAttack, Square, PGD
over steps, gradient norms, a gallery of the first and one of chosen images; the first two of the noise-trained row as
well; the checks of the rows of CHECKED.

The grid at `full`, where rows x seeds are trained as below (n images unless said otherwise; A = AutoAttack on 200):

    data      width  schedule   main   sweep  sources  surrogates  n      boundary
    cifar10   64     18 epochs  6 x 3  10 x 3 3 x 3    8 + 1       5,000  5,000 steps on 100
    mnist     8      2 epochs   6 x 3  9 x 1  2 x 3    4 + 1       1,000  1,000 steps on 50

C&W runs on 1,000 images of CIFAR-10 and 100 of MNIST, Square on 200 and 100, HopSkipJump on 50 and 20.

At `narrow`, where keep 0.5 is a main row and the sweep is one mask, channels, dropout and label smoothing; noise and
clean images are 10,000, AutoAttack runs on 100 with every seed, HopSkipJump on 20:

    cifar10   16     10 epochs  7 x 5  4 x 1  3 x 3    1 + 1       1,000  5,000 steps on 50
    mnist     16     5 epochs   6 x 5  none   2 x 3    none        2,000  1,000 steps on 50

On MNIST (without keep 0.3 top) examples are moved as for the predecessor's table 5 only.

In the tier `wide`, besides, a bridge to the paper's own schedule (350 epochs, on MNIST 50): standard, keep 0.3, 0.1
x 2 seeds.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from bioinspired.declarations import Architecture, Data, Defense, Images, Network, PGDTraining, Recipe
from bioinspired.keys import Strength
from bioinspired.lab.declarations import PAPERS_SCHEDULE, Measurement, Scale, Study, Trial
from bioinspired.lab.measurements.declarations import (
    Attack,
    Checked,
    Clean,
    Corruption,
    Distance,
    Gallery,
    GradientNorm,
    Loss,
    Question,
)
from bioinspired.lab.papers.defective_conv.declarations import (
    ConfidentTransfer,
    DefectiveConv,
    Dropout,
    JPEGInput,
    Striking,
)
from bioinspired.training.recipes import DEFECTIVE_CONV, SHORT

TITLE = "Defective convolution"
DATASETS = {
    "smoke": ("digits",),
    "laptop": ("digits", "mnist", "fashion_mnist", "cifar10"),
    "narrow": ("cifar10", "mnist"),
    "full": ("cifar10", "mnist"),
}
SHOWN = ("standard", "keep 0.1", "pgd-trained")
STRONGLY_ATTACKED = (*SHOWN, "noise-trained")  # by AutoAttack and Square, where Square is asked
CHECKED = ("keep 0.1", "pgd-trained")  # the latter where Square is asked
JUDGE = "noise-trained"  # a row that is not shown, by which striking examples are chosen
GREY = "keep 0.1"
LOSSES: tuple[Loss, ...] = ("margin", "dlr")  # that PGD climbs beside the cross-entropy
BRIDGE = ("standard", "keep 0.3", "keep 0.1")  # rows that are trained by the paper's own schedule too
NEAREST = ("standard", "keep 0.1", "pgd-trained", "label smoothing")  # rows whose smallest perturbations are searched
SOURCE_SEED = 100  # sources are trained with this seed and the two after it; targets stay below
SURROGATE_SEED = 200
FIRST_SEEDS = 3  # of every main row, trained before any other seed
MAIN = ("standard", "keep 0.3", "keep 0.1", "keep 0.3 top", "pgd-trained", "noise-trained")
SWEEP = (
    "keep 0.5",
    "keep 0.3 both",
    "keep 0.3 one mask",
    "keep 0.3 channels",
    "keep 0.3 after addition",
    "keep 0.3 test only",
    "dropout 0.3",
    "stopped early",
    "JPEG",
)


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What differs between scales and data sets.

    `main` and `sweep` are the labels of the rows of every seed and of few. `adversarial` is the schedule of PGD
    training, None the recipe's; `epochs` a shorter one for sources of a family. `easy_images` are asked by questions of
    one pass each, 0: as many as `images`, by the others.
    """

    data: Data
    width: int
    recipe: Recipe
    adversarial: Recipe | None = None
    epochs: Mapping[str, int] = field(default_factory=dict)
    main: tuple[str, ...] = MAIN
    sweep: tuple[str, ...] = SWEEP
    adversary: PGDTraining
    noise: Strength
    seeds: tuple[int, ...]
    sweep_seeds: tuple[int, ...]
    sources: int
    families: tuple[str, ...] = ("vgg",)
    surrogates: tuple[int, ...]
    stop_at: Strength
    transfer: tuple[Attack, ...]
    white_box: tuple[Attack, ...]
    restarted_images: int = 0
    steps: tuple[int, ...]
    boundary: Distance
    boundary_images: int
    sigmas: tuple[Strength, ...]
    gallery: Attack
    auto: Attack | None
    auto_images: int
    auto_everywhere: tuple[Strength, ...] = ()
    checks: Checked | None
    check_images: int
    confident: ConfidentTransfer | None
    confident_images: int
    decision_images: int = 0
    easy_images: int = 0
    images: int | None
    patches: tuple[Strength, ...] = ()
    paper: Recipe | None = None
    changes: str


def _paper_pgd(eps: Strength, *, steps: int, step_size: Strength) -> Attack:
    """The paper's PGD: no random start, one run, cross-entropy."""
    return Attack(name="pgd", eps=eps, steps=steps, step_size=step_size)


def _transfer(small: Strength, large: Strength) -> tuple[Attack, Attack]:
    """The two settings that the headline claims ask for: PGD(2, 7, 8) and PGD(1, 20, 16) in the paper's notation."""
    return _paper_pgd(small, steps=7, step_size="0.25"), _paper_pgd(large, steps=20, step_size="0.0625")


def _white_box(eps: Strength, *, steps: int) -> Attack:
    return Attack(name="pgd", eps=eps, steps=steps, step_size="0.1", random_start=True)


def _restarted(attack: Attack) -> Attack:
    """The same ball, searched longer: on the margin, 100 steps, three restarts."""
    return replace(attack, steps=100, loss="margin", restarts=3)


def _boundary(steps: int) -> Distance:
    return Distance(name="boundary", norm="l2", steps=steps)


DIGITS = Setting(
    data=Data(name="digits", size=16),
    width=8,
    recipe=SHORT["digits"],
    adversary=PGDTraining(eps="0.15", steps=2, step_size="0.75"),
    noise="0.35",
    seeds=(0, 1, 2),
    sweep_seeds=(0,),
    sources=3,
    surrogates=(1, 3),
    stop_at="0.96",
    transfer=_transfer("0.1", "0.2"),
    white_box=tuple(_white_box(eps, steps=20) for eps in ("0.05", "0.1", "0.2", "0.3")),
    steps=(1, 5, 20, 100),
    boundary=_boundary(500),
    boundary_images=12,
    sigmas=("0.1", "0.3", "0.5"),
    gallery=_transfer("0.1", "0.2")[1],
    auto=Attack(name="autoattack", eps="0.2"),
    auto_images=50,
    checks=Checked(eps="0.1"),
    check_images=30,
    confident=ConfidentTransfer(confidence=5, steps=100, searches=4),
    confident_images=20,
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
    surrogates=(1,),
    stop_at="0.3",
    transfer=_transfer("0.1", "0.2")[1:],
    white_box=(_white_box("0.2", steps=3),),
    steps=(1, 3),
    boundary_images=4,
    boundary=_boundary(20),
    sigmas=("0.2",),
    auto=None,
    checks=None,
    confident=None,
    images=64,
    changes="a few steps on a few images: this page shows that the code runs, not a result",
)
MNIST = replace(
    DIGITS,
    data=Data(name="mnist", size=28, train=10_000),
    recipe=Recipe(epochs=2, batch=64, rate="0.1"),
    transfer=_transfer("0.15", "0.3"),
    surrogates=(1, 2, 4),
    stop_at="0.97",
    white_box=tuple(_white_box(eps, steps=20) for eps in ("0.05", "0.1", "0.2", "0.3")),
    boundary=_boundary(1_000),
    boundary_images=20,
    check_images=50,
    confident=ConfidentTransfer(confidence=10, steps=100, searches=4),
    gallery=_transfer("0.15", "0.3")[1],
    images=1_000,
    changes="networks of width 8 trained for two epochs on 10,000 of MNIST's images",
)
COLOUR = _transfer("8/255", "16/255")
FULL_CIFAR10 = Setting(
    data=Data(name="cifar10", size=32),
    width=64,
    recipe=SHORT["cifar10"],
    adversary=PGDTraining(eps="8/255", steps=7),
    noise="0.1",
    seeds=(0, 1, 2),
    sweep_seeds=(0, 1, 2),
    sweep=(*SWEEP, "label smoothing"),
    sources=3,
    families=("vgg19", "densenet121"),
    surrogates=(1, 2, 4, 8),
    stop_at="0.88",
    transfer=COLOUR,
    white_box=tuple(_white_box(eps, steps=50) for eps in ("2/255", "4/255", "8/255")),
    steps=(1, 5, 20, 100, 500),
    boundary=_boundary(5_000),
    boundary_images=100,
    patches=("2", "4", "8"),
    paper=DEFECTIVE_CONV["cifar10"],
    sigmas=("8/255", "16/255", "32/255"),
    gallery=COLOUR[1],
    auto=Attack(name="autoattack", eps="8/255"),
    auto_images=200,
    checks=Checked(eps="8/255"),
    check_images=200,
    confident=ConfidentTransfer(confidence=40, steps=500, searches=9),
    confident_images=1_000,
    decision_images=50,
    restarted_images=200,
    images=5_000,
    changes="an 18-epoch one-cycle schedule in place of 350 epochs",
)
NARROW_CIFAR10 = replace(
    FULL_CIFAR10,
    width=16,
    recipe=replace(FULL_CIFAR10.recipe, epochs=10),
    adversarial=replace(FULL_CIFAR10.recipe, epochs=3),
    epochs={"densenet121": 3},
    main=("standard", "keep 0.5", *MAIN[1:]),
    sweep=("keep 0.3 one mask", "keep 0.3 channels", "dropout 0.3", "label smoothing"),
    seeds=(0, 1, 2, 3, 4),
    sweep_seeds=(0,),
    surrogates=(1,),
    white_box=tuple(_white_box(eps, steps=20) for eps in ("2/255", "4/255", "8/255")),
    restarted_images=0,
    steps=(1, 5, 20, 100),
    boundary_images=50,
    auto_images=100,
    auto_everywhere=("8/255",),
    check_images=100,
    confident=None,
    decision_images=20,
    easy_images=10_000,
    images=1_000,
    paper=None,
    changes="Networks have width 16 instead of 64 and train in bf16, in one cycle of 10 epochs in place of 350 (three "
    "with PGD, and for DenseNet-121), so that all are less accurate than the paper's, those trained with PGD most of "
    "all; 1,000 images are attacked, not 5,000.",
)
TABLE_5 = _paper_pgd("0.3", steps=40, step_size="1/30")
NARROW_MNIST = replace(
    NARROW_CIFAR10,
    data=Data(name="mnist", size=28),
    recipe=replace(NARROW_CIFAR10.recipe, epochs=5, augmentation="flip"),
    adversarial=Recipe(
        epochs=2, batch=128, optimizer="adam", rate="0.002", decay="0", augmentation="flip", precision="bf16"
    ),
    adversary=PGDTraining(eps="0.3"),
    noise="0.35",
    epochs={},
    main=("standard", "keep 0.5", "keep 0.3", "keep 0.1", "pgd-trained", "noise-trained"),
    sweep=(),
    families=("vgg19",),
    surrogates=(),
    transfer=(TABLE_5,),
    white_box=tuple(_white_box(eps, steps=20) for eps in ("0.1", "0.2", "0.3")),
    boundary=_boundary(1_000),
    sigmas=("0.1", "0.3", "0.5"),
    patches=(),
    gallery=TABLE_5,
    auto_everywhere=("0.3",),
    checks=Checked(eps="0.1"),
    images=2_000,
    changes="Networks have width 16 instead of 64 and train in bf16, in one cycle of five epochs in place of 50 (with "
    "PGD two, by Adam); 2,000 images are attacked, not 5,000.",
)
SETTINGS: Mapping[tuple[Scale, str], Setting] = {
    ("smoke", "digits"): SMOKE,
    ("laptop", "digits"): DIGITS,
    ("laptop", "mnist"): MNIST,
    ("laptop", "fashion_mnist"): replace(
        MNIST,
        data=Data(name="fashion_mnist", size=28, train=10_000),
        stop_at="0.8",
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
        families=("vgg19",),
        stop_at="0.5",
        transfer=COLOUR,
        boundary=_boundary(5_000),
        checks=Checked(eps="8/255"),
        auto=Attack(name="autoattack", eps="8/255"),
        white_box=tuple(_white_box(eps, steps=20) for eps in ("2/255", "4/255", "8/255", "16/255")),
        sigmas=("8/255", "16/255", "32/255"),
        gallery=COLOUR[1],
        changes="networks of width 8 trained for six epochs on 10,000 of CIFAR-10's images",
    ),
    ("narrow", "cifar10"): NARROW_CIFAR10,
    ("narrow", "mnist"): NARROW_MNIST,
    ("full", "cifar10"): FULL_CIFAR10,
    ("full", "mnist"): replace(
        MNIST,
        data=Data(name="mnist", size=28),
        recipe=SHORT["mnist"],
        paper=DEFECTIVE_CONV["mnist"],
        boundary_images=50,
        auto_images=200,
        auto_everywhere=("0.1", "0.2"),
        check_images=100,
        confident_images=100,
        decision_images=20,
        restarted_images=200,
        images=1_000,
        changes="networks of width 8 and a 2-epoch schedule in place of 50 epochs",
    ),
}


def trials(scale: Scale, dataset: str, seeds: tuple[int, ...] | None) -> Study:
    """The study at a scale, on a data set, with other seeds where they are given."""
    setting = SETTINGS[scale, dataset]
    main = seeds or setting.seeds
    sources, surrogates = _sources(setting), _surrogates(setting)
    rows = _rows(setting)
    out = [_source(setting, network) for network in sources]
    for part in (main[:FIRST_SEEDS], main[FIRST_SEEDS:]):
        for label in setting.main:
            for seed in part:
                asked = _questions(setting, sources, setting.white_box)
                if setting.restarted_images:
                    images = Images(n=setting.restarted_images)
                    asked += tuple(Measurement(question=_restarted(a), images=images) for a in setting.white_box)
                asked += _autoattack(setting)
                if label == GREY:
                    asked += _grey(setting, surrogates)
                if label in NEAREST and (label != "pgd-trained" or seed == main[0]):
                    asked += _nearest(setting)
                if seed == main[0]:
                    judge = _network(setting, main[0], **rows[JUDGE])
                    asked += _confident(setting, sources) + _shown(setting, label, _network(setting, seed), judge)
                out.append(_trial(setting, label, seed, rows[label], asked))
    for label in setting.sweep:
        for seed in (seeds or setting.sweep_seeds)[: len(setting.sweep_seeds)]:
            asked = _questions(setting, sources, setting.white_box[-3:][:1])
            if label in NEAREST:
                asked += _nearest(setting)
            out.append(_trial(setting, label, seed, rows[label], asked))
    out += [_source(setting, network) for network in surrogates]
    for label in BRIDGE if setting.paper is not None else ():
        for seed in main[:2]:
            options = rows[label] | {"recipe": setting.paper}
            asked = _questions(setting, sources, setting.white_box)
            out.append(replace(_trial(setting, label + PAPERS_SCHEDULE, seed, options, asked), tier="wide"))
    return Study(
        name="defective_conv",
        scale=scale,
        trials=tuple(out),
        fidelity="changed" if scale == "full" and setting.width == 64 else "proxy",
        changes=setting.changes,
    )


def _rows(setting: Setting) -> dict[str, dict[str, Any]]:
    """Of every row, what differs from the standard network."""
    recipe = setting.recipe
    return {
        "standard": {},
        "keep 0.5": {"defense": DefectiveConv(keep="0.5")},
        "keep 0.3": {"defense": DefectiveConv(keep="0.3")},
        "keep 0.1": {"defense": DefectiveConv(keep="0.1")},
        "keep 0.3 top": {"defense": DefectiveConv(keep="0.3", where="top")},
        "pgd-trained": {"recipe": replace(setting.adversarial or recipe, adversary=setting.adversary)},
        "noise-trained": {"recipe": replace(recipe, noise=setting.noise)},
        "keep 0.3 both": {"defense": DefectiveConv(keep="0.3", where="both")},
        "keep 0.3 one mask": {"defense": DefectiveConv(keep="0.3", shared=True)},
        "keep 0.3 channels": {"defense": DefectiveConv(keep="0.3", channels=True)},
        "keep 0.3 after addition": {"defense": DefectiveConv(keep="0.3", after_addition=True)},
        "keep 0.3 test only": {"defense": DefectiveConv(keep="0.3", test_only=True)},
        "dropout 0.3": {"defense": Dropout(keep="0.3", unit="channel")},
        "label smoothing": {"recipe": replace(recipe, smoothing="0.1")},
        "stopped early": {"recipe": replace(recipe, stop_at=setting.stop_at)},
        "JPEG": {"defense": JPEGInput()},
    }


def _source(setting: Setting, network: Network) -> Trial:
    return Trial(network=network, label=f"source {_name(network)}", measurements=_clean(setting))


def _trial(
    setting: Setting, label: str, seed: int, options: Mapping[str, Any], asked: tuple[Measurement, ...]
) -> Trial:
    network = _network(setting, seed, **options)
    keep = getattr(network.defense, "keep", "")
    return Trial(network=network, label=label, measurements=asked, factors={"keep": keep})


def _network(
    setting: Setting,
    seed: int,
    *,
    family: str = "resnet18",
    defense: Defense | None = None,
    recipe: Recipe | None = None,
) -> Network:
    return Network(
        data=setting.data,
        architecture=Architecture(name=family, width=setting.width),
        recipe=recipe or setting.recipe,
        seed=seed,
        defense=defense,
    )


def _sources(setting: Setting) -> list[Network]:
    made = []
    for family in (*setting.families, "resnet18"):
        recipe = replace(setting.recipe, epochs=setting.epochs.get(family, setting.recipe.epochs))
        seeds = range(SOURCE_SEED, SOURCE_SEED + setting.sources)
        made += [_network(setting, seed, family=family, recipe=recipe) for seed in seeds]
    return made


def _surrogates(setting: Setting) -> list[Network]:
    """Networks that know the recipe of keep 0.1: with masks of their own, and last the one under ever new masks."""
    if not setting.surrogates:
        return []
    masked = [
        _network(setting, SURROGATE_SEED + k, defense=DefectiveConv(keep="0.1")) for k in range(max(setting.surrogates))
    ]
    return [*masked, _network(setting, SURROGATE_SEED, defense=Dropout(keep="0.1", unit="neuron"))]


def _name(source: Network) -> str:
    if isinstance(source.defense, DefectiveConv):
        return "same recipe"
    return "new masks" if source.defense else source.architecture.name


def _clean(setting: Setting) -> tuple[Measurement, ...]:
    return (Measurement(question=Clean(), images=_easy(setting)),)


def _easy(setting: Setting) -> Images:
    """The images of questions that take one pass each."""
    return Images(n=setting.easy_images or setting.images)


def _questions(setting: Setting, sources: list[Network], white_box: tuple[Attack, ...]) -> tuple[Measurement, ...]:
    images = Images(n=setting.images)
    easy: list[Question] = [Corruption(name="gaussian_noise_clipped", strength=sigma) for sigma in setting.sigmas]
    easy += [Corruption(name="patch_shuffle", strength=pieces) for pieces in setting.patches]
    alone = [Measurement(question=attack, images=images) for attack in white_box]
    alone += [Measurement(question=question, images=_easy(setting)) for question in easy]
    moved = [Measurement(question=attack, images=images, sources=(s,)) for attack in setting.transfer for s in sources]
    strong = Measurement(question=_momentum(setting), images=images, sources=tuple(sources))
    return (*_clean(setting), *alone, *moved, strong)


def _momentum(setting: Setting) -> Attack:
    """What moves best between networks: momentum and resized inputs, at the larger epsilon of the claims."""
    return Attack(name="mi_fgsm", eps=setting.transfer[-1].eps, steps=10, diversity="0.7")


def _confident(setting: Setting, sources: list[Network]) -> tuple[Measurement, ...]:
    """C&W with a confidence, made on the first source of each family."""
    if setting.confident is None:
        return ()
    images = Images(n=setting.confident_images)
    firsts = sources[:: setting.sources]
    return tuple(Measurement(question=setting.confident, images=images, sources=(source,)) for source in firsts)


def _autoattack(setting: Setting) -> tuple[Measurement, ...]:
    """AutoAttack on every seed, on fewer images."""
    images = Images(n=setting.check_images)
    attacks = [Attack(name="autoattack", eps=eps) for eps in setting.auto_everywhere]
    return tuple(Measurement(question=attack, images=images) for attack in attacks)


def _nearest(setting: Setting) -> tuple[Measurement, ...]:
    """The smallest perturbations by attacks on decisions."""
    asked = [Measurement(question=setting.boundary, images=Images(n=setting.boundary_images))]
    if setting.decision_images:
        search = Distance(name="hopskipjump", norm="l2", steps=20)
        asked.append(Measurement(question=search, images=Images(n=setting.decision_images)))
    return tuple(asked)


def _grey(setting: Setting, surrogates: list[Network]) -> tuple[Measurement, ...]:
    """Transfer from ensembles of ever more surrogates, and from the one under ever new masks."""
    if not surrogates:
        return ()
    images, attack = Images(n=setting.images), _momentum(setting)
    ensembles = [tuple(surrogates[:k]) for k in setting.surrogates]
    return tuple(Measurement(question=attack, images=images, sources=s) for s in (*ensembles, (surrogates[-1],)))


def _striking(setting: Setting, judge: Network) -> Measurement:
    """Chosen examples, as another network reads them."""
    return Measurement(
        question=Striking(attack=setting.gallery), images=Images(n=setting.check_images), sources=(judge,)
    )


def _shown(setting: Setting, label: str, twin: Network, judge: Network) -> tuple[Measurement, ...]:
    """What one seed of the rows that the page shows one by one is asked besides."""
    asked: list[Measurement] = []
    if label in SHOWN:
        images = Images(n=setting.check_images)
        asked.append(Measurement(question=Gallery(attack=setting.gallery)))
        asked.append(_striking(setting, judge))
        asked.append(Measurement(question=GradientNorm(), images=Images(n=setting.images)))
        middle = setting.white_box[-2:][0].eps
        attacks = [_white_box(middle, steps=steps) for steps in setting.steps]
        attacks += [replace(_white_box(middle, steps=20), loss=loss) for loss in LOSSES]
        asked += [Measurement(question=attack, images=images) for attack in attacks]
        if setting.auto is not None:
            asked.append(Measurement(question=setting.auto, images=Images(n=setting.auto_images)))
        if setting.decision_images:
            asked.append(Measurement(question=Attack(name="square", eps=middle), images=images))
    elif label in STRONGLY_ATTACKED and setting.decision_images and setting.auto is not None:
        square = Attack(name="square", eps=setting.auto.eps)
        asked.append(Measurement(question=setting.auto, images=Images(n=setting.auto_images)))
        asked.append(Measurement(question=square, images=Images(n=setting.check_images)))
    checked = CHECKED if setting.decision_images else CHECKED[:1]
    if label in checked and setting.checks is not None:
        images = Images(n=setting.check_images)
        asked.append(Measurement(question=setting.checks, images=images, sources=(twin,)))
    return tuple(asked)
