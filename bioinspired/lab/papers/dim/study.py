"""Denoised Internal Models (arXiv 2111.10844), reconstructed: 42 attacks, the worst case per image, every guess varied.

Rows, by how many seeds they are trained with:

    main      standard; DIM; pgd-trained; Binary CNN
    controls  noise-trained; denoiser + CNN; models only (no denoiser); binary DIM (K7)
    fixed     class PCA; nearest neighbour: nothing about them is random, so that five seeds would be one network
    knobs     the first DIM with another of the guesses K1 to K9 changed, and with class-balanced training

At full scale the first DIM, which controls and knobs are variations of, is a row of its own: it is right on 94.5 % of
clean images, where an undefended network is on 99.1. DIM is the one of several that was most accurate on images that
training held out (CHOSEN); claims are judged on it.

Every row is asked: clean images, Gaussian noise, and which images stand against direct attacks, norm by norm and in
all three. Main rows and controls besides: PGD on the margin over epsilon, at full scale also at a smaller radius in L2.
Rows of `member_rows` on the first seed (main rows and controls on every seed at full scale): each of the 42. Rows of
`auto_rows`, `longer_rows`, `checked_rows` on the first seed: AutoAttack; direct attacks with more steps and restarts;
the checks. DIMs and the knobs: clean accuracy and direct attacks on images that training held out, by which a
reconstruction is chosen. DIM, once: the logit scale, attacks that know it, SPSA, transfer, errors class by class. The
networks that the page shows: their closest adversarial images.

The 42 in three groups, by the passes that they take (n images, by seeds; L: at laptop scale, F: at full scale, where
standard, DIM and noise-trained, which a claim compares under all 42, meet the expensive ones on three seeds):

    group      members  passes   L            F
    cheap      30       to 130   20, one      1,000, all seeds
    long        4       1,000    20, one      200, all seeds
    expensive   8       more     20, one (C&W and EAD only)   50, one seed, with the steps in BUDGETS

The grid at `full`, on MNIST with widths as in SMALL and CHOSEN, in rows x seeds; direct attacks on 200 images:

    core   first DIM and main 4 x 5, controls 4 x 5, fixed 2 x 1, knobs 16 x 1
           trained after the claims on them: standard, DIM, Binary CNN, noise-trained 5, pgd-trained 3 seeds; the first
           two and the last also meet AutoAttack in Linf on 1,000 images
    wide   the wide DIM x 1, trained twice as long

A network behind a threshold or a steep step is attacked through several slopes in its place besides, behind a threshold
at full scale also by flips of single values; one that draws noise, through the mean over draws.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from bioinspired.declarations import Architecture, Data, Defense, Images, Network, PGDTraining, Recipe
from bioinspired.keys import Strength
from bioinspired.lab.declarations import Measurement, Scale, Study, Tier, Trial
from bioinspired.lab.measurements.declarations import Attack, Checked, Clean, Corruption, Question
from bioinspired.lab.papers.dim.declarations import (
    DIM,
    Adaptive,
    BinaryInput,
    ClassPCA,
    Closest,
    DenoisedCNN,
    Direct,
    Flips,
    HeldOut,
    InternalErrors,
    LogitScale,
    Member,
    NearestNeighbour,
)
from bioinspired.lab.papers.dim.members import MEMBERS as FORTY_TWO
from bioinspired.lab.papers.dim.members import Member as Listed
from bioinspired.training.recipes import SHORT

TITLE = "Denoised Internal Models"
DATASETS = {"smoke": ("digits",), "laptop": ("digits", "mnist"), "full": ("mnist",)}
SOURCE_SEED = 100
SMALL = DIM(denoiser_widths=(256, 64), model_widths=(64, 8))
WIDE = DIM()
CHOSEN = DIM(denoiser_widths=(256, 64), model_widths=(128, 64))
"""Of the widths of internal models that were tried, with one training of ten epochs each, the most accurate on the
5,000 held-out images: (64, 8) 94.9 %, (64, 16) 96.5, (64, 24) 96.6, (128, 16) 96.9 and with another seed 96.3,
(128, 32) 97.0, (128, 64) 97.1, (256, 16) 95.5, (256, 32) 96.9. (64, 4) stayed below 88 %; 30 epochs of (64, 8) gave
95.7, 20 of (128, 16) 96.6.
"""

FIRST = "first DIM"
SHOWN = ("standard", "DIM", "Binary CNN", "pgd-trained")
RIVALS = ("Binary CNN", "class PCA", "nearest neighbour")  # simple baselines that only this study has
ADAPTIVE: tuple[Literal["latent descent", "collision", "identity backward", "double precision"], ...] = (
    "latent descent",
    "collision",
    "identity backward",
    "double precision",
)
HOPS = 20  # steps of HopSkipJump from the nearest image of another class
LONG_STEPS, MANY_RESTARTS = 1_000, 10  # of direct attacks on the images that `longer` counts
CLOSEST = 6  # images
SOFTER = ("0.3", "1")  # widths in the backward pass, of a step of width 0.1
FACTORS = ("0.01", "1", "100")  # of the logits, which are of size 100 times the error already

EXPENSIVE = 2_000
LONG = 200

BUDGETS: Mapping[Scale, Mapping[str, tuple[int | None, int | None]]] = {
    "smoke": {"DDN": (10, None), "L2ProjectedGradientDescent": (5, None), "LinfProjectedGradientDescent": (5, None)},
    "laptop": {
        "L2CarliniWagner": (50, 3),
        "EAD": (50, 3),
        "DDN": (50, None),
        "NewtonFool": (50, None),
        "LinearSearchContrastReduction": (50, None),
        "GaussianBlur": (50, None),
        "SaltAndPepperNoise": (50, None),
        "LinearSearchBlendedUniformNoise": (50, None),
        "LinfProjectedGradientDescent": (20, None),
        "L2ProjectedGradientDescent": (20, None),
        "L1ProjectedGradientDescent": (20, None),
        "LinfRepeatedAdditiveUniformNoise": (20, None),
        "L2RepeatedAdditiveGaussianNoise": (20, None),
        "L2RepeatedAdditiveUniformNoise": (20, None),
        "L2ClippingAwareRepeatedAdditiveGaussianNoise": (20, None),
        "L2ClippingAwareRepeatedAdditiveUniformNoise": (20, None),
    },
    "full": {
        "L2CarliniWagner": (200, 5),
        "EAD": (200, 5),
        "Boundary": (5_000, None),
        "HopSkipJump": (20, None),
        "L0BrendelBethge": (300, None),
        "L1BrendelBethge": (300, None),
        "L2BrendelBethge": (300, None),
        "LinfinityBrendelBethge": (300, None),
    },
}
"""Steps and searches of members where not Foolbox' defaults; at full scale those of the specification's plan."""


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What differs between scales and data sets.

    `first` is the reconstruction that controls and knobs change, where DIM is another. `later` are seeds trained after
    the claims that compare them, of PGD training the first `later_pgd`; `accurate` images of them meet AutoAttack in
    Linf, and `expensive` of them the expensive members.
    """

    data: Data
    recipe: Recipe
    ordinary: Recipe
    adversary: PGDTraining
    defense: DIM = SMALL
    first: DIM | None = None
    later: tuple[int, ...] = ()
    later_pgd: int = 0
    accurate: int = 0
    expensive: int = 1
    seeds: tuple[int, ...]
    control_seeds: tuple[int, ...]
    knob_seeds: tuple[int, ...]
    wide_seeds: tuple[int, ...] = ()
    held_out: int
    chosen_by: int
    kept: int
    linf: Strength
    l2: Strength = "1.5"
    l0: int = 12
    epsilons: tuple[Strength, ...]
    shorter: tuple[Strength, ...] = ()
    direct: Direct
    images: int
    slopes: tuple[Strength, ...]
    flips: bool = False
    draws: int = 10
    members: Scale
    member_images: tuple[int, int, int]
    leave_out: tuple[str, ...] = ()
    member_rows: tuple[str, ...] = ("standard", "DIM", "pgd-trained", "Binary CNN", "class PCA")
    every_seed: bool = False
    auto_images: int
    auto_rows: tuple[str, ...] = ("DIM",)
    longer: int = 0
    longer_rows: tuple[str, ...] = ("DIM",)
    checked: int
    checked_rows: tuple[str, ...] = ("DIM",)
    checked_norms: tuple[Literal["linf", "l2"], ...] = ("linf",)
    knobs: tuple[str, ...] | None = None
    changes: str


def _adam(epochs: int, batch: int, held_out: int) -> Recipe:
    return Recipe(epochs=epochs, batch=batch, rate="0.001", optimizer="adam", schedule="constant", decay="0",
                  validation=held_out)  # fmt: skip


COMPILED = ("L0BrendelBethge", "L1BrendelBethge", "L2BrendelBethge", "LinfinityBrendelBethge")
DIGITS = Setting(
    data=Data(name="digits", size=28),
    recipe=_adam(20, 64, 200),
    ordinary=replace(SHORT["digits"], validation=200),
    adversary=PGDTraining(eps="0.15", steps=2, step_size="0.75"),
    seeds=(0, 1, 2),
    control_seeds=(0,),
    knob_seeds=(0,),
    held_out=200,
    chosen_by=50,
    kept=1_237,
    linf="0.15",
    epsilons=("0.05", "0.15"),
    direct=Direct(linf="0.15", steps=40, queries=200),
    images=40,
    slopes=("0.1",),
    members="laptop",
    member_images=(20, 20, 20),
    leave_out=(*COMPILED, "Boundary", "HopSkipJump"),
    auto_images=10,
    checked=30,
    knobs=("K1 code", "K2 raw", "K3 narrow"),
    changes="small networks, scikit-learn's 8x8 digits up-sampled to 28x28, fewer steps of the 42 attacks",
)
SMOKE = replace(
    DIGITS,
    data=Data(name="digits", size=16, train=300),
    defense=DIM(denoiser_widths=(32, 16), model_widths=(16, 4)),
    recipe=_adam(3, 32, 60),
    ordinary=Recipe(epochs=2, batch=32, rate="0.1", validation=60),
    adversary=PGDTraining(eps="0.15", steps=1, step_size="1"),
    seeds=(0,),
    held_out=60,
    kept=200,
    epsilons=("0.15",),
    direct=Direct(linf="0.15", steps=5, queries=5),
    images=12,
    members="smoke",
    member_images=(6, 0, 0),
    member_rows=("standard", "DIM"),
    auto_images=0,
    checked=0,
    knobs=("K1 code",),
    changes="a few steps on a few images: this page shows that the code runs, not a result",
)
MNIST = Setting(
    data=Data(name="mnist", size=28),
    defense=CHOSEN,
    first=SMALL,
    later=(5, 6, 7, 8, 9),
    later_pgd=3,
    accurate=1_000,
    expensive=3,
    recipe=_adam(10, 128, 5_000),
    ordinary=replace(SHORT["mnist"], epochs=3, validation=5_000),
    adversary=PGDTraining(eps="0.3", steps=10, step_size="0.25"),
    seeds=(0, 1, 2, 3, 4),
    control_seeds=(0, 1, 2, 3, 4),
    knob_seeds=(0,),
    wide_seeds=(0,),
    held_out=5_000,
    chosen_by=100,
    kept=10_000,
    linf="0.3",
    epsilons=("0.1", "0.2", "0.3"),
    shorter=("1",),
    direct=Direct(targeted=True, pointwise=True, restarts=3, queries=5_000),
    images=200,
    slopes=("0.03", "0.1", "0.3"),
    flips=True,
    members="full",
    member_images=(1_000, 200, 50),
    every_seed=True,
    auto_images=200,
    auto_rows=("standard", "DIM", "pgd-trained", "Binary CNN", "class PCA", "binary DIM"),
    longer=50,
    longer_rows=("DIM", "pgd-trained", "binary DIM"),
    checked=100,
    checked_rows=("DIM", "pgd-trained"),
    checked_norms=("linf", "l2"),
    changes="Thresholds are those of the ABS paper, networks the smaller of two sizes.",
)
SETTINGS: Mapping[tuple[Scale, str], Setting] = {
    ("smoke", "digits"): SMOKE,
    ("laptop", "digits"): DIGITS,
    ("laptop", "mnist"): replace(
        DIGITS,
        data=Data(name="mnist", size=28, train=6_000),
        recipe=_adam(10, 64, 1_000),
        ordinary=Recipe(epochs=2, batch=64, rate="0.1", validation=1_000),
        adversary=PGDTraining(eps="0.3", steps=5, step_size="0.5"),
        seeds=(0,),
        held_out=1_000,
        kept=5_000,
        linf="0.3",
        epsilons=("0.1", "0.2", "0.3"),
        direct=Direct(steps=40, queries=200),
        changes="networks of a few hundred units trained on 5,000 of MNIST's images, with members' steps cut",
    ),
    ("full", "mnist"): MNIST,
}


@dataclass(frozen=True)
class Row:
    """One row of the tables. `knob` is the guess that a reconstruction changes; `brief` rows are asked little.

    `later` are those of the seeds that were trained after the claims on them, `compared` says whether a claim compares
    the row under all 42.
    """

    label: str
    defense: Defense | None
    seeds: tuple[int, ...]
    recipe: Recipe
    knob: str = ""
    brief: bool = False
    tier: Tier = "core"
    later: tuple[int, ...] = ()
    compared: bool = False

    @property
    def is_dim(self) -> bool:
        """Whether it is DIM without another guess changed."""
        return self.label in ("DIM", FIRST)

    @property
    def all_seeds(self) -> tuple[int, ...]:
        """Those before the claims and those after."""
        return tuple(dict.fromkeys((*self.seeds, *self.later)))


def trials(scale: Scale, dataset: str, seeds: tuple[int, ...] | None) -> Study:
    """The study at a scale, on a data set, with other seeds where they are given."""
    setting = SETTINGS[scale, dataset]
    if seeds is not None:
        setting = replace(setting, seeds=seeds, control_seeds=seeds, knob_seeds=seeds[:1], wide_seeds=seeds[:1],
                          later=())  # fmt: skip
    out = []
    for row in _rows(setting):
        for seed in row.all_seeds:
            network = _network(setting, row, seed)
            asked = _questions(setting, row, seed)
            if row.is_dim and seed == row.seeds[0]:
                asked += _once(setting, row, seed)
            factors = {"knob": row.knob}
            out.append(Trial(network=network, label=row.label, measurements=asked, factors=factors, tier=row.tier))
    return Study(
        name="dim",
        scale=scale,
        trials=tuple(out),
        fidelity="reconstruction" if scale == "full" else "proxy",
        changes=setting.changes,
        rivals=RIVALS,
    )


def _rows(setting: Setting) -> list[Row]:
    base, main, controls, plain = (
        setting.first or setting.defense,
        setting.seeds,
        setting.control_seeds,
        setting.ordinary,
    )
    later, pgd = setting.later, replace(plain, epochs=2 * plain.epochs, adversary=setting.adversary)
    rows = [
        Row("standard", None, main, plain, later=later, compared=True),
        Row("DIM", setting.defense, later or main, setting.recipe, later=later, compared=True),
        Row("pgd-trained", None, main, pgd, later=later[: setting.later_pgd]),
        Row("Binary CNN", BinaryInput(), main, plain, later=later),
        Row("noise-trained", None, controls, replace(plain, noise="0.3"), later=later, compared=True),
        Row("class PCA", ClassPCA(), controls[:1], setting.recipe),
        Row("nearest neighbour", NearestNeighbour(images=setting.kept), controls[:1], setting.recipe),
        Row("denoiser + CNN", DenoisedCNN(denoiser_widths=base.denoiser_widths), controls, setting.recipe),
        Row("models only", replace(base, denoiser="none"), controls, setting.recipe),
        Row("binary DIM", replace(base, binarized="before"), controls, setting.recipe, knob="K7"),
    ]
    if setting.first is not None:
        rows.append(Row(FIRST, setting.first, main, setting.recipe, knob="K4"))
    for label, changed in knobs(base).items():
        if setting.knobs is None or label in setting.knobs:
            rows.append(Row(label, changed, setting.knob_seeds, setting.recipe, knob=label.split()[0], brief=True))
    if setting.wide_seeds:
        longer = replace(setting.recipe, epochs=2 * setting.recipe.epochs)
        rows.append(Row("wide DIM", WIDE, setting.wide_seeds, longer, knob="K3, K4", brief=True, tier="wide"))
    return rows


def knobs(base: DIM) -> dict[str, DIM]:
    """Reconstructions that differ from one in a single guess, by label."""
    changes: dict[str, dict[str, Any]] = {
        "K1 code": {"reads": "code"},
        "K2 raw": {"target": "raw"},
        "K3 conv": {"denoiser": "conv"},
        "K3 narrow": {"denoiser_widths": tuple(width // 2 for width in base.denoiser_widths)},
        "K4 narrow": {"model_widths": tuple(width // 2 for width in base.model_widths)},
        "K4 conv": {"models": "conv"},
        "K5 gaussian": {"noise": "gaussian"},
        "K5 uniform": {"noise": "uniform"},
        "K5 salt and pepper": {"noise": "salt_and_pepper"},
        "K6 l1": {"sparsity": "l1", "penalty": "1"},
        "K6 kl": {"sparsity": "kl", "penalty": "3"},
        "K6 winners": {"sparsity": "winners"},
        "K7 inside": {"binarized": "inside"},
        "K8 rescaled": {"rescaled": True},
        "K9 noise": {"test_noise": "0.1"},
        "balanced classes": {"balanced": True},
    }
    return {label: replace(base, **changed) for label, changed in changes.items()}


def _network(setting: Setting, row: Row, seed: int) -> Network:
    architecture = Architecture(name="small_cnn", width=16, normalize=False)
    return Network(data=setting.data, architecture=architecture, recipe=row.recipe, seed=seed, defense=row.defense)


def _questions(setting: Setting, row: Row, seed: int) -> tuple[Measurement, ...]:
    few, whole = Images(n=setting.images), Images(n=1_000 if setting.members == "full" else None)
    direct = _direct(setting, row.defense)
    asked = [
        Measurement(question=Clean()),
        Measurement(question=Corruption(name="gaussian_noise_clipped", strength="0.5"), images=whole),
        Measurement(question=direct, images=few),
    ]
    first, label = seed == row.all_seeds[0], "DIM" if row.is_dim else row.label
    if row.is_dim or row.knob:
        held_out = replace(direct, last=min(setting.held_out, setting.chosen_by))
        asked.append(Measurement(question=held_out, images=Images(split="train")))
        if first or row.label == "DIM":
            asked.append(Measurement(question=HeldOut(last=setting.held_out), images=Images(split="train")))
    if row.brief:
        return tuple(asked)
    asked += [Measurement(question=_margin(setting, eps), images=few) for eps in setting.epsilons]
    asked += [Measurement(question=_margin(setting, eps, "l2"), images=few) for eps in setting.shorter]
    if setting.flips and _is_behind_a_threshold(row.defense):
        asked.append(Measurement(question=Flips(linf=setting.linf, l2=setting.l2, l0=setting.l0), images=few))
    after = row.compared and seed in row.later
    asked += _autoattack(setting, first=first and label in setting.auto_rows, after=after and setting.accurate > 0)
    if first and label in setting.longer_rows:
        asked += _longer(setting, direct)
    if first and label in setting.checked_rows:
        asked += _checks(setting, seed)
    if after or seed not in row.later:
        expensive = first or (after and seed in row.later[: setting.expensive])
        if setting.every_seed or (first and label in setting.member_rows):
            asked += _members(setting, expensive=expensive)
    if first and label in SHOWN:
        asked.append(Measurement(question=Closest(steps=setting.direct.steps), images=Images(n=CLOSEST)))
    return tuple(asked)


def _direct(setting: Setting, defense: Defense | None) -> Direct:
    """The direct attacks in all norms, with what a defense's thresholds or randomness call for."""
    if _is_behind_a_threshold(defense):
        return replace(setting.direct, widths=setting.slopes)
    if isinstance(defense, DIM) and defense.binarized == "inside":
        return replace(setting.direct, widths=SOFTER)
    if isinstance(defense, DIM) and defense.test_noise != "0":
        return replace(setting.direct, draws=setting.draws)
    return setting.direct


def _is_behind_a_threshold(defense: Defense | None) -> bool:
    return isinstance(defense, BinaryInput) or (isinstance(defense, DIM) and defense.binarized == "before")


def _margin(setting: Setting, eps: Strength, norm: Literal["linf", "l2"] = "linf") -> Attack:
    steps = setting.direct.steps
    return Attack(name="pgd", eps=eps, norm=norm, steps=steps, step_size="0.1", loss="margin", random_start=True)


def _balls(setting: Setting) -> dict[Literal["linf", "l2"], Strength]:
    return {"linf": setting.linf, "l2": setting.l2}


def _autoattack(setting: Setting, *, first: bool, after: bool) -> list[Measurement]:
    """On the first seed in every norm; of what a claim compares, on every seed in Linf, on more images."""
    asked = dict.fromkeys(_balls(setting), setting.auto_images if first else 0)
    if after:
        asked["linf"] = setting.accurate
    attacks = {norm: Attack(name="autoattack", eps=eps, norm=norm) for norm, eps in _balls(setting).items()}
    return [Measurement(question=attacks[norm], images=Images(n=n)) for norm, n in asked.items() if n]


def _longer(setting: Setting, direct: Direct) -> list[Measurement]:
    if not setting.longer:
        return []
    longer = replace(direct, steps=LONG_STEPS, restarts=MANY_RESTARTS, starts=MANY_RESTARTS, targeted=False)
    return [Measurement(question=longer, images=Images(n=setting.longer))]


def _checks(setting: Setting, seed: int) -> list[Measurement]:
    if not setting.checked:
        return []
    twin = _network(setting, next(row for row in _rows(setting) if row.label == "standard"), seed)
    checks = [Checked(eps=_balls(setting)[norm], norm=norm) for norm in setting.checked_norms]
    return [Measurement(question=one, images=Images(n=setting.checked), sources=(twin,)) for one in checks]


def _members(setting: Setting, *, expensive: bool) -> list[Measurement]:
    """The 42, or those that this scale runs; the expensive ones where they are asked for.

    Noise and loss of contrast run at the threshold only.
    """
    asked = []
    for listed in FORTY_TWO:
        images = setting.member_images[group(listed)]
        if not images or listed.name in setting.leave_out or (group(listed) == 2 and not expensive):
            continue
        steps, searches = BUDGETS[setting.members].get(listed.name, (None, None))
        question = Member(name=listed.name, linf=setting.linf, l2=setting.l2, l0=setting.l0, steps=steps,
                          searches=searches)  # fmt: skip
        if not (listed.minimal or listed.optimises):
            question = replace(question, grid=("1",))
        asked.append(Measurement(question=question, images=Images(n=images)))
    return asked


def group(listed: Listed) -> int:
    """0 for a cheap member, 1 for a long one, 2 for an expensive one."""
    return 2 if listed.forwards >= EXPENSIVE else 1 if listed.forwards > LONG else 0


def _once(setting: Setting, row: Row, seed: int) -> tuple[Measurement, ...]:
    """What the first DIM is asked besides."""
    rows = {row.label: row for row in _rows(setting)}
    twin = _network(setting, rows["standard"], seed)
    others = [_network(setting, rows[label], seed) for label in ("Binary CNN", "pgd-trained")]
    others += [_network(setting, row, other) for other in row.all_seeds if other != seed][:1]
    few = Images(n=setting.images)
    asked = [Measurement(question=InternalErrors(), images=few)]
    steps = setting.direct.steps
    attacks: list[Question] = []
    for norm, eps in _balls(setting).items():
        attacks += [Adaptive(name=name, norm=norm, eps=eps, steps=steps) for name in ADAPTIVE]
        for factor in FACTORS:
            scaled = LogitScale(name="pgd", factor=factor, norm=norm, eps=eps, steps=steps)
            attacks.append(scaled)
    for factor in FACTORS:
        attacks.append(LogitScale(name="carlini_wagner", factor=factor, norm="l2", eps=setting.l2, steps=steps))
        attacks.append(LogitScale(name="fmn", factor=factor, norm="l2", eps=setting.l2, steps=steps))
    asked += [Measurement(question=attack, images=few) for attack in attacks]
    for norm, eps in _balls(setting).items():
        moved = _margin(setting, eps, norm)
        asked += [Measurement(question=moved, images=few, sources=(source,)) for source in (twin, *others)]
    if setting.auto_images:
        small = Images(n=setting.auto_images)
        asked.append(Measurement(question=Attack(name="torchattacks.SPSA", eps=setting.linf), images=small))
        for norm, eps in _balls(setting).items():
            walk = Adaptive(name="nearest start", norm=norm, eps=eps, steps=HOPS)
            asked.append(Measurement(question=walk, images=small))
    return tuple(asked)
