"""Defenses that are known to have fallen, rebuilt small on digits, and what a naive evaluation and ours say of them."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import pandas as pd
import torch
import torch.nn.functional as F
from pandas.io.formats.style import Styler
from torch import Tensor, nn

from bioinspired.attacks.eot import Expectation
from bioinspired.attacks.gradient import pgd
from bioinspired.attacks.neighborhood import neighborhood
from bioinspired.attacks.predictions import Model, correct
from bioinspired.attacks.reached import roots
from bioinspired.attacks.result import Result
from bioinspired.declarations import Norm
from bioinspired.evaluation.checks import DRAWS, check
from bioinspired.evaluation.evaluate import evaluate

EPS = 0.15
"""In Linf, on the digits' 8x8 values in [0, 1]."""


class Winners(nn.Module):
    """k-WTA: the largest share of a layer's activations, the others zero (Xiao et al., arXiv 1905.10510)."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, x: Tensor) -> Tensor:
        least = x.topk(max(1, int(self.share * x.shape[1])), dim=1).values[:, -1:]
        return torch.where(x >= least, x, 0.0)


class Thermometer(nn.Module):
    """Each value as the thresholds that it reaches (Buckman et al., ICLR 2018).

    The gradient is zero; with `smooth`, what an attacker puts there, that of a sigmoid.
    """

    levels: Tensor
    smooth = False

    def __init__(self, levels: int) -> None:
        super().__init__()
        self.register_buffer("levels", (torch.arange(levels) + 0.5) / levels)

    def forward(self, x: Tensor) -> Tensor:
        apart = x.unsqueeze(1) - self.levels.view(1, -1, *(1,) * (x.ndim - 1))
        smooth = torch.sigmoid(apart / 0.1) if self.smooth else 0 * apart
        return ((apart >= 0).to(x) + (smooth - smooth.detach())).flatten(1)


class Saturated(nn.Module):
    """Logits so far apart that the cross-entropy has no gradient left, as after distillation at a high temperature."""

    def forward(self, logits: Tensor) -> Tensor:
        return 1000 * logits


class Noise(nn.Module):
    """Normal noise on the image, in use too."""

    def __init__(self, deviation: float) -> None:
        super().__init__()
        self.deviation = deviation

    def forward(self, x: Tensor) -> Tensor:
        return x + self.deviation * torch.randn_like(x)


class Resolutions(nn.Module):
    """The median over networks that see the image at several resolutions, with jitter that the image itself decides.

    After "ensemble everything everywhere" (Fort and Lakshminarayanan, arXiv 2408.05446), of which little was left under
    adaptive attack (Zhang et al., arXiv 2411.14834). The jitter's gradient leads nowhere; with `smooth` it is left out.
    """

    smooth = False

    def __init__(self, members: list[nn.Module], sides: tuple[int, ...]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.sides = sides

    def forward(self, x: Tensor) -> Tensor:
        logits = []
        for member, side in zip(self.members, self.sides, strict=True):
            small = F.interpolate(x, size=(side, side), mode="bilinear", align_corners=False)
            jitter = 0.1 * torch.sin(200 * small)
            seen = small + (jitter.detach() if self.smooth else jitter)
            own = member(F.interpolate(seen, size=x.shape[-2:], mode="nearest"))
            logits.append(own - own.amax(1, keepdim=True))
        return torch.stack(logits).median(0).values


@dataclass(frozen=True)
class Fallen:
    """One network: how it is trained and used, what was claimed elsewhere, and the attack that knows it."""

    name: str
    build: Callable[[], nn.Module]
    in_use: Callable[[nn.Module], Model]
    adapted: Callable[[Model], Model]
    honest: bool = False


def _layers(values: int, width: int, activation: Callable[[], nn.Module]) -> list[nn.Module]:
    first = [nn.Flatten(), nn.Linear(values, width), activation()]
    return [*first, nn.Linear(width, width), activation(), nn.Linear(width, 10)]


def _plain() -> nn.Module:
    return nn.Sequential(*_layers(64, 128, nn.ReLU))


def _same(model: Model) -> Model:
    return model


def _around(model: Model) -> Model:
    return neighborhood(model, radius=EPS / 2, draws=20)


def _smooth(model: Model) -> Model:
    """The same network with the gradient of a surrogate."""
    (network,) = roots(model)
    copied = deepcopy(network)
    for module in copied.modules():
        if isinstance(module, Thermometer | Resolutions):
            module.smooth = True
    return copied


def _expected(model: Model) -> Model:
    return Expectation(model, DRAWS)


def _thermometers() -> nn.Module:
    return nn.Sequential(Thermometer(8), *_layers(512, 128, nn.ReLU))


KNOWN = (
    Fallen("undefended", _plain, _same, _same, honest=True),
    Fallen("k-WTA", lambda: nn.Sequential(*_layers(64, 256, lambda: Winners(0.1))), _same, _around),
    Fallen("thermometer", _thermometers, _same, _smooth),
    Fallen("saturated", _plain, lambda net: nn.Sequential(net, Saturated()).eval(), _same),
    Fallen("randomized", _plain, lambda net: nn.Sequential(Noise(0.1), net).eval(), _expected),
    Fallen(
        "resolutions",
        lambda: Resolutions([_plain() for _ in range(3)], (8, 6, 4)),
        _same,
        _smooth,
    ),
)


def digits() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Training images and labels, test images and labels; scikit-learn's digits in a fixed order."""
    from sklearn.datasets import load_digits

    data = load_digits()
    x = torch.tensor(data.images / 16, dtype=torch.float32).unsqueeze(1)
    order = torch.randperm(len(x), generator=torch.Generator("cpu").manual_seed(0))
    x, y = x[order], torch.tensor(data.target)[order]
    return x[:1437], y[:1437], x[1437:], y[1437:]


def trained(one: Fallen, *, epochs: int = 15, seed: int = 0) -> Model:
    """The network, trained on the digits as it is used."""
    x, y, _, _ = digits()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = one.build()
        optimizer = torch.optim.Adam(network.parameters(), 3e-3)
        for _ in range(epochs):
            for index in torch.split(torch.randperm(len(x)), 64):
                optimizer.zero_grad()
                torch.autograd.backward(F.cross_entropy(network(x[index]), y[index]))
                optimizer.step()
        return one.in_use(network.eval())


def naive(model: Model, x: Tensor, y: Tensor, eps: float = EPS) -> float:
    """What one run of PGD by cross-entropy says, each image judged by one pass."""
    found = pgd(model, x, y, norm="linf", eps=eps, steps=20, step_size=eps / 4)
    return float(correct(model, found.x_adv, y).double().mean())


def ours(one: Fallen, model: Model, x: Tensor, y: Tensor, eps: float = EPS) -> float:
    """What the evaluation says that knows how the network is made; every image is shown to the network itself."""

    def adapted(
        given: Model, x: Tensor, y: Tensor, *, norm: Norm, eps: float, generator: torch.Generator | None
    ) -> Result:
        return pgd(one.adapted(given), x, y, norm=norm, eps=eps, steps=50, loss="margin")

    known = one.adapted(model)
    if isinstance(known, Expectation):
        return evaluate(known, x, y, norm="linf", eps=eps, attacks=("pgd", "pgd_margin")).robust_accuracy
    attacks: dict[str, Any] = {"pgd": "pgd", "knows it": adapted, "square": "square"}
    return evaluate(model, x, y, norm="linf", eps=eps, attacks=attacks).robust_accuracy


def table(n: int = 100, names: tuple[str, ...] = ()) -> pd.DataFrame:
    """Per network the accuracies in percent, and the checks that speak."""
    _, _, x, y = digits()
    x, y = x[:n], y[:n]
    twin, rows = trained(KNOWN[0], seed=1), []
    for one in KNOWN:
        if names and one.name not in names:
            continue
        model = trained(one)
        rows.append(
            {
                "network": one.name,
                "honest": one.honest,
                "clean": 100 * float(correct(model, x, y).double().mean()),
                "naive": 100 * naive(model, x, y),
                "ours": 100 * ours(one, model, x, y),
                "checks that fail": ", ".join(check(model, x, y, norm="linf", eps=EPS, twin=twin).failed),
            }
        )
    return pd.DataFrame(rows)


def answer(found: pd.DataFrame) -> str:
    """How many of the fallen are caught, and whether an honest network is accused."""
    broken, honest = found[~found["honest"]], found[found["honest"]]
    caught = int((broken["checks that fail"] != "").sum())
    accused = int((honest["checks that fail"] != "").sum())
    return (
        f"**Of {len(broken)} networks that are known to have fallen, the checks speak on {caught}; of {len(honest)} "
        f"honest ones they accuse {accused}. The naive evaluation leaves the fallen ones up to "
        f"{broken['naive'].max():.0f} % "
        f"within eps = {EPS:g} in Linf, ours at most {broken['ours'].max():.0f} %.**"
    )


def styled(found: pd.DataFrame) -> Styler:
    """The table as the page shows it."""
    return found.drop(columns="honest").style.format(precision=1).hide(axis="index")
