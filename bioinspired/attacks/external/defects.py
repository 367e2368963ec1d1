"""What is known to be wrong with attacks of torchattacks 3.5.1, each shown on a small network trained on the spot.

Every function measures one number twice: with the attack as the library ships it, and with what to use instead. They
run some seconds together; the page `book/torchattacks.ipynb` shows them.
"""

import copy
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bioinspired import attacks
from bioinspired.attacks import catalogue
from bioinspired.attacks.external.entry import library
from bioinspired.attacks.external.guard import Adapter
from bioinspired.attacks.norms import ball
from bioinspired.attacks.predictions import correct

EPS = 0.15  # radius of the adversarial training, Linf
_IMAGES = 32
_SMALL = 0.1


@dataclass(frozen=True, kw_only=True)
class Demonstration:
    """One defect.

    Attributes:
        name: short, for a heading.
        attack: of torchattacks.
        claim: what happens, in one sentence.
        measure: what the two numbers are.
        theirs: the number for the attack as it ships.
        instead: what to use.
        ours: the number for that.
    """

    name: str
    attack: str
    claim: str
    measure: str
    theirs: float
    instead: str
    ours: float


def demonstrate() -> dict[str, Demonstration]:
    """All of them by the names of their functions, those that change a verdict first."""
    return {show.__name__: _quietly(show) for show in (*WRONG_RESULTS, *SIDE_EFFECTS)}


def accuracy_curve() -> dict[str, list[float]]:
    """Robust accuracy in % of the plain network over eps: PGD with its default step, and with steps that follow eps."""
    model, (x, y) = _network(), _images(200)
    found: dict[str, list[float]] = {"eps": [], "2/255, the default": [], "eps / 4": []}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for eps in (0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3):
            found["eps"].append(eps)
            found["2/255, the default"].append(
                _percent(correct(model, library("torchattacks").PGD(model, eps=eps)(x, y), y))
            )
            followed = catalogue.run("torchattacks.PGD", model, x, y, norm="linf", eps=eps)
            found["eps / 4"].append(_percent(~followed.success))
    return found


def _quietly(show: Callable[[], Demonstration]) -> Demonstration:
    """One demonstration, from a fixed seed, without moving the caller's random numbers and without warnings."""
    with torch.random.fork_rng(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(0)
        return show()


def step() -> Demonstration:
    """PGD, BIM, MI-FGSM and eleven more take 10 steps of 2/255 by default, whatever eps is."""
    model, (x, y) = _network(adversarial=True), _images(200)
    theirs = library("torchattacks").PGD(model, eps=EPS)(x, y)
    ours = catalogue.run("torchattacks.PGD", model, x, y, norm="linf", eps=EPS)
    return Demonstration(
        name="A step that does not follow eps",
        attack="PGD, BIM, MIFGSM and their kin",
        claim="Ten steps of 2/255 cover less than 0.08: at a larger eps they do not reach the border of the ball.",
        measure=f"robust accuracy in % of an adversarially trained network at eps = {EPS}",
        theirs=_percent(correct(model, theirs, y)),
        instead="alpha=eps / 4, as in this library's catalogue",
        ours=_percent(~ours.success),
    )


def iterations() -> Demonstration:
    """AutoAttack builds its members with their default of 10 iterations."""
    model, (x, y) = _network(adversarial=True), _images(_IMAGES)
    stood = ~attacks.pgd(model, x, y, norm="linf", eps=EPS, steps=50).success
    x, y = x[stood][:4], y[stood][:4]  # images that pay for every iteration
    theirs = Adapter(model, x.shape[1:], x.device)
    library("torchattacks").AutoAttack(theirs, eps=EPS, seed=0)(x, y)
    ours = attacks.autoattack(model, x, y, norm="linf", eps=EPS)
    return Demonstration(
        name="An AutoAttack of ten iterations",
        attack="AutoAttack",
        claim="Its members take 10 iterations, the published AutoAttack takes 100: it is another, weaker attack.",
        measure="gradients taken per image that stands to the end",
        theirs=theirs.backwards / len(x),
        instead="autoattack of this library, or pyautoattack",
        ours=float(ours.backwards.double().mean()),
    )


def start() -> Demonstration:
    """CW changes variables by atanh, which is infinite at pixels of 0 and 1."""
    model, (x, y) = _network(), _binary(_IMAGES)
    return Demonstration(
        name="Pixels that cannot move",
        attack="CW",
        claim="It starts at atanh(2x - 1), which is infinite where a pixel is exactly 0 or 1; these pixels never move.",
        measure="share in % of black and white images that are fooled",
        theirs=_percent(~correct(model, library("torchattacks").CW(model)(x, y), y)),
        instead="foolbox.CarliniWagner",
        ours=_percent(~correct(model, _carlini_wagner(model, x, y), y)),
    )


def mask() -> Demonstration:
    """CW takes the label out of the maximum by multiplying its logit with 0 instead of setting it to minus infinity."""
    honest, (x, y) = _network(), _images(_IMAGES)
    model = nn.Sequential(honest, nn.LogSoftmax(1)).eval()
    x = x.clamp(_SMALL, 1 - _SMALL)  # away from the box, so that the defect above plays no part
    return Demonstration(
        name="A margin against zero",
        attack="CW",
        claim="It multiplies the label's logit by 0 to find the best other class: where logits are negative, 0 wins.",
        measure="share in % of images that are fooled on a network that ends in log-softmax",
        theirs=_percent(~correct(model, library("torchattacks").CW(model)(x, y), y)),
        instead="foolbox.CarliniWagner",
        ours=_percent(~correct(model, _carlini_wagner(model, x, y), y)),
    )


def stop() -> Demonstration:
    """CW ends as soon as the loss of the whole batch has not fallen for a tenth of its steps."""
    model, (x, y) = _network(adversarial=True), _images(16)
    x = x.clamp(_SMALL, 1 - _SMALL)

    def changed(attack: Callable[[Tensor, Tensor], Tensor]) -> float:
        together = attack(x, y)
        alone = torch.cat([attack(x[i : i + 1], y[i : i + 1]) for i in range(len(x))])
        return float((ball("linf").size(together - alone) > 1e-3).sum())

    return Demonstration(
        name="Images that depend on their neighbours",
        attack="CW",
        claim="It ends when the loss of the whole batch stops falling: an image's result depends on its batch.",
        measure=f"images of {len(x)} whose perturbed image changes when they are attacked one by one",
        theirs=changed(library("torchattacks").CW(model)),
        instead="foolbox.CarliniWagner",
        ours=changed(lambda x, y: _carlini_wagner(model, x, y, searches=1)),
    )


def overshoot() -> Demonstration:
    """DeepFool lengthens each step by 2 %, which is nothing once the remaining gap is a rounding error."""
    model, (x, y) = _network(), _images(_IMAGES)
    theirs = library("torchattacks").DeepFool(model)(x, y)
    ours = catalogue.run("foolbox.DeepFool", model, x, y, norm="l2", eps=float(x[0].numel()))
    return Demonstration(
        name="Short of the boundary",
        attack="DeepFool",
        claim="It lengthens every step and not their sum by 2 %, and can end a rounding error short of the boundary.",
        measure="share in % of images that are fooled",
        theirs=_percent(~correct(model, theirs, y)),
        instead="foolbox.DeepFool",
        ours=_percent(ours.success),
    )


def radius() -> Demonstration:
    """PGDL2 draws the radius of its random start uniformly, which in many dimensions is far from the border."""
    model, x = _network(), torch.full((500, 1, 8, 8), 0.5)
    y = torch.zeros(len(x), dtype=torch.int64)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        theirs = library("torchattacks").PGDL2(model, eps=_SMALL, steps=0)(x, y)
    ours = ball("l2").start(x, _SMALL, torch.Generator().manual_seed(0))
    return Demonstration(
        name="A start that is not uniform in the ball",
        attack="PGDL2",
        claim="The radius of its start is uniform in [0, eps]; of points uniform in the ball, nearly all lie far out.",
        measure="mean distance of the random start from the image, in units of eps (64 pixels)",
        theirs=float((ball("l2").size(theirs - x) / _SMALL).mean()),
        instead='pgd(..., norm="l2", random_start=True)',
        ours=float((ball("l2").size(ours - x) / _SMALL).mean()),
    )


def gradients() -> Demonstration:
    """CW, DeepFool, FAB, JSMA, EAD, SparseFool and PI-FGSM call `backward`, which also fills the weights' gradients."""
    x, y = _images(8)

    def left(attack: Callable[[nn.Module], object]) -> float:
        model = copy.deepcopy(_network())
        attack(model)
        return float(sum(p.grad is not None and bool((p.grad != 0).any()) for p in model.parameters()))

    return Demonstration(
        name="Gradients left in the weights",
        attack="CW, DeepFool, FAB, JSMA, EADL1, EADEN, SparseFool, PIFGSM",
        claim="They call backward(), so the weights' gradients grow; an optimizer's next step adds them to its own.",
        measure="weight tensors of 6 with a gradient after the attack",
        theirs=left(lambda model: library("torchattacks").CW(model)(x, y)),
        instead="the same attack through this library's catalogue",
        ours=left(lambda model: catalogue.run("torchattacks.CW", model, x, y, norm="l2", eps=1.0)),
    )


def seed() -> Demonstration:
    """APGD, FAB and Square seed torch's global generator with 0 in every call."""
    model, (x, y) = _network(), _images(8)

    def draws(attack: Callable[[], object]) -> float:
        found = set()
        with torch.random.fork_rng():
            torch.manual_seed(1)
            for _ in range(5):
                attack()
                found.add(float(torch.rand(())))
        return float(len(found))

    return Demonstration(
        name="A seed set for everyone",
        attack="APGD, APGDT, FAB, Square",
        claim="They seed torch's global generator: whatever the program draws next is the same after every call.",
        measure="different random numbers in 5 draws, each after one call",
        theirs=draws(lambda: library("torchattacks").APGD(model, eps=EPS)(x, y)),
        instead="the same attack through this library's catalogue",
        ours=draws(lambda: catalogue.run("torchattacks.APGD", model, x, y, norm="linf", eps=EPS)),
    )


def mode() -> Demonstration:
    """The library restores the root's training flag, and with it sets the flags of all layers alike."""
    x, y = _images(8)

    def moved(attack: Callable[[nn.Module], object]) -> float:
        model = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(64), nn.Linear(64, 10)).train()
        model[1].eval()  # a frozen layer in a model that trains
        before = [module.training for module in model.modules()]
        attack(model)
        return float(sum(a != b.training for a, b in zip(before, model.modules(), strict=True)))

    return Demonstration(
        name="Frozen layers set free",
        attack="all",
        claim="Afterwards train() is called on the whole model, so a layer that was frozen in eval mode trains again.",
        measure="layers of 4 in another mode than before",
        theirs=moved(lambda model: library("torchattacks").FGSM(model)(x, y)),
        instead="the same attack through this library's catalogue",
        ours=moved(lambda model: catalogue.run("torchattacks.FGSM", model, x, y, norm="linf", eps=EPS)),
    )


def error() -> Demonstration:
    """Nothing is put back when an attack raises."""
    x, y = _images(8)

    def left(attack: Callable[[nn.Module], object]) -> float:
        model = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 3)).train()
        try:
            attack(model)
        except Exception:
            return float(sum(not module.training for module in model.modules()))
        raise RuntimeError("this attack was to raise")

    return Demonstration(
        name="No way back after an error",
        attack="all",
        claim="When an attack raises, here for too few classes, the model stays in eval mode.",
        measure="layers of 5 left in eval mode of a model that trains",
        theirs=left(lambda model: library("torchattacks").APGDT(model)(x, y % 3)),
        instead="the same attack through this library's catalogue",
        ours=left(lambda model: catalogue.run("torchattacks.APGDT", model, x, y % 3, norm="linf", eps=EPS)),
    )


def graph() -> Demonstration:
    """APGD, APGDT and AutoAttack return images that still hang on a graph."""
    model, (x, y) = _network(), _images(8)
    theirs = library("torchattacks").APGD(model, eps=EPS)(x, y)
    ours = catalogue.run("torchattacks.APGD", model, x, y, norm="linf", eps=EPS).x_adv
    return Demonstration(
        name="Images that keep a graph alive",
        attack="APGD, APGDT, AutoAttack",
        claim="The images come back with requires_grad set: what is computed from them keeps its memory.",
        measure="1 if the result requires a gradient, 0 if not",
        theirs=float(theirs.requires_grad),
        instead="the same attack through this library's catalogue, or detach()",
        ours=float(ours.requires_grad),
    )


WRONG_RESULTS: tuple[Callable[[], Demonstration], ...] = (step, iterations, start, mask, stop, overshoot, radius)
SIDE_EFFECTS: tuple[Callable[[], Demonstration], ...] = (gradients, seed, mode, error, graph)


@cache
def _digits() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    from sklearn.datasets import load_digits

    data = load_digits()
    x = torch.tensor(data.images / 16, dtype=torch.float32).unsqueeze(1)
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    x, y = x[order], torch.tensor(data.target)[order]
    return x[:1437], y[:1437], x[1437:], y[1437:]


def _images(n: int) -> tuple[Tensor, Tensor]:
    """The first n test images, 8x8 digits, that both networks answer correctly."""
    _, _, x, y = _digits()
    known = correct(_network(), x, y) & correct(_network(adversarial=True), x, y)
    return x[known][:n], y[known][:n]


def _binary(n: int) -> tuple[Tensor, Tensor]:
    """Digits in black and white that the plain network answers correctly."""
    _, _, x, y = _digits()
    x = (x > 0.5).float()
    known = correct(_network(), x, y)
    return x[known][:n], y[known][:n]


@cache
def _network(*, adversarial: bool = False) -> nn.Sequential:
    """A network of two hidden layers, trained for about two seconds."""
    dice = torch.Generator().manual_seed(0)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(
            nn.Flatten(), nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, 10)
        )
    x, y, _, _ = _digits()
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    for _ in range(12):
        for rows in torch.split(torch.randperm(len(x), generator=dice), 64):
            shown = x[rows]
            if adversarial:
                found = attacks.pgd(
                    model, shown, y[rows], norm="linf", eps=EPS, steps=5, early_exit=False, generator=dice
                )
                shown = found.x_adv
            optimizer.zero_grad()
            torch.autograd.backward(F.cross_entropy(model(shown), y[rows]))
            optimizer.step()
    optimizer.zero_grad()
    return model.eval()


def _carlini_wagner(model: nn.Module, x: Tensor, y: Tensor, *, searches: int = 3) -> Tensor:
    """The images that Foolbox's attack of that name makes; every image runs all its steps."""
    foolbox = library("foolbox")
    attack = foolbox.attacks.L2CarliniWagnerAttack(
        binary_search_steps=searches, steps=100, initial_const=1.0, abort_early=False
    )
    found: Tensor = attack(foolbox.PyTorchModel(model, bounds=(0, 1), device=x.device), x, y, epsilons=None)[0]
    return found


def _percent(bits: Tensor) -> float:
    return 100 * float(bits.double().mean())
