"""The sleep chapter's questions against arithmetic that is written out here."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bioinspired import networks
from bioinspired.declarations import Architecture
from bioinspired.errors import UserError
from bioinspired.lab.measurements.outcome import Asked
from bioinspired.lab.papers.sleep import (
    coded,
    distortion,
    fgsm_scan,
    label_score,
    rectified,
    sleep_layers,
    sleep_search,
)
from bioinspired.lab.papers.sleep.declarations import (
    Coded,
    Distortion,
    FGSMScan,
    LabelScore,
    Rectified,
    SleepLayers,
    SleepSearch,
)


class Plane(nn.Module):
    """Two classes apart at a plane: the scores are +-(w x - b) + shift, the same in training and in use."""

    def __init__(self, w: list[float], b: float, shift: float = 5.0) -> None:
        super().__init__()
        self.w, self.b, self.shift = torch.tensor(w), b, shift

    def forward(self, x: Tensor) -> Tensor:
        side = x.flatten(1) @ self.w - self.b
        return torch.stack([side + self.shift, self.shift - side], 1)


def asked(model: nn.Module, x: Tensor, y: Tensor, *sources: nn.Module) -> Asked:
    return Asked(model.eval(), x, y, sources, torch.Generator().manual_seed(0))


def points(*rows: list[float]) -> Tensor:
    return torch.tensor(rows).view(len(rows), 1, 1, -1)


def mlp(seed: int, width: int = 24, size: int = 8) -> nn.Module:
    architecture = Architecture(name="mlp", width=width, dropout="0.2", normalize=False)
    generator = torch.Generator().manual_seed(seed)
    model = networks.build(
        architecture, classes=10, channels=1, size=size, mean=(0.0,), std=(1.0,), generator=generator
    )
    return model.eval().requires_grad_(False)


def images(n: int, size: int = 8) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(4)
    return torch.rand(n, 1, size, size, generator=generator), torch.randint(10, (n,), generator=generator)


def test_the_scan_finds_where_a_plane_is_crossed() -> None:
    """Sign steps cross w x = b after (w x - b) / |w|_1: here 0.1 / 2, 0.3 / 2 and, wrong from the start, 0."""
    x = points([0.5, 0.4], [0.6, 0.3], [0.2, 0.5])
    outcome = fgsm_scan.ask(FGSMScan(), asked(Plane([1.0, -1.0], 0.0), x, torch.tensor([0, 0, 0])))
    assert outcome.values["distance"] == pytest.approx([0.05, 0.15, 0.0], abs=0.0051)
    assert outcome.values["value"] == pytest.approx([100 * 10 / 81, 100 * 30 / 81, 0], abs=1.3)
    curve = outcome.values["curve"]
    assert len(curve) == 81
    assert [curve[0], curve[20]] == pytest.approx([200 / 3, 100 / 3], rel=1e-4)
    assert curve[-1] == 0
    assert outcome.bits["correct"].tolist() == [True, True, False]


def test_an_image_that_the_scan_never_fools_has_no_distance() -> None:
    outcome = fgsm_scan.ask(
        FGSMScan(largest="0.1"), asked(Plane([1.0, -1.0], 0.0), points([0.9, 0.1]), torch.tensor([0]))
    )
    assert outcome.values["distance"] == [None]
    assert outcome.values["value"] == [100]


def test_the_scan_cannot_fool_an_image_whose_score_is_above_one() -> None:
    """The label's score is shift + w x, the other's is 0: above one the squared error grows as the score rises."""

    class One(Plane):
        def forward(self, x: Tensor) -> Tensor:
            side = x.flatten(1) @ self.w + self.shift
            return torch.stack([side, torch.zeros_like(side)], 1)

    x, y = points([0.5, 0.4]), torch.tensor([0])
    for shift, distance in ((0.0, pytest.approx(0.05, abs=0.0051)), (1.2, None)):
        model = One([1.0, -1.0], 0.0, shift)
        score = label_score.ask(LabelScore(), asked(model, x, y))
        assert score.values["score"] == pytest.approx([shift + 0.1])
        assert score.bits["correct"].tolist() == [True]
        assert fgsm_scan.ask(FGSMScan(), asked(model, x, y)).values["distance"] == [distance]


def test_distortions_are_those_of_the_level() -> None:
    """A lone bright pixel lies above a threshold until blur spreads it; noise of variance 0.9 flips about a half."""
    x = torch.zeros(400, 1, 9, 9)
    x[:, 0, 4, 4] = 1.0
    w = torch.zeros(81)
    w[40] = 1.0
    model = Plane(w.tolist(), 0.5)
    y = torch.zeros(400, dtype=torch.long)
    peak = {sigma: float(np.outer(*[np.exp(-np.arange(-r, r + 1) ** 2 / (2 * sigma**2))] * 2).sum())
            for sigma, r in ((0.4, 1), (1.0, 2))}  # fmt: skip
    for sigma, total in peak.items():
        found = distortion.ask(Distortion(process="blur", level=str(sigma)), asked(model, x, y)).bits["correct"]
        assert found.all() == (1 / total > 0.5)
        assert found.any() == found.all()
    loud = distortion.ask(Distortion(process="noise", level="0.9"), asked(model, x, y)).bits["correct"]
    assert loud.mean() == pytest.approx(0.70, abs=0.08)  # P(N < 0.5 / 0.949)
    assert Distortion(process="blur", level="2.50").name == "blur 2.50"


def test_rectified_scores_tie_where_none_is_positive() -> None:
    class Scores(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.flatten(1)

    x = points([-1.0, -2.0, -3.0], [2.0, 1.0, 0.0], [-1.0, -2.0, 3.0], [-1.0, -0.5, -2.0])
    outcome = rectified.ask(Rectified(), asked(Scores(), x, torch.tensor([0, 0, 2, 0])))
    assert outcome.bits["correct"].tolist() == [False, True, True, False]
    assert outcome.values["images"] == [3, 0, 1]
    assert outcome.values["recall"] == [pytest.approx(200 / 3), None, 100]
    assert outcome.values["answers"] == [2, 1, 1]
    assert outcome.values["tied"] == [2, 0, 0]


def test_coded_deepfool_against_its_formula() -> None:
    """First step in NumPy: f and w of the losses, 1.05 |f| w / |w|^2; large scores keep the ReLU out of play."""
    w, b, shift = np.array([0.8, -0.3]), 0.1, 5.0
    x0 = np.array([0.6, 0.2])
    side = w @ x0 - b
    a = np.array([shift + side, shift - side])
    loss = [0.5 * ((a - np.eye(2)[k]) ** 2).sum() for k in range(2)]
    slope = [np.array([a[0] - (k == 0), a[1] - (k == 1)]) @ np.stack([w, -w]) for k in range(2)]
    f, v = loss[0] - loss[1], slope[0] - slope[1]
    wanted = x0 + 1.05 * abs(f) * v / (v @ v)
    x = points(x0.tolist())
    outcome = coded.ask(Coded(name="deepfool", steps=1), asked(Plane(w.tolist(), b), x, torch.tensor([0])))
    moved, _ = coded._deepfool(Plane(w.tolist(), b), x, torch.tensor([0]), 1)
    assert moved.numpy().ravel() == pytest.approx(wanted, rel=1e-4)
    if w @ wanted < b:
        assert outcome.values["distance"] == pytest.approx([((wanted - x0) ** 2).mean()], rel=1e-4)
    assert outcome.bits["stayed"].tolist() == [bool(w @ wanted >= b)]


def test_coded_deepfool_fools_a_network_and_measures_the_mean_square() -> None:
    x, _ = images(20)
    model = mlp(0)
    own = model(x).argmax(1)
    outcome = coded.ask(Coded(name="deepfool", steps=99), asked(model, x, own))
    assert outcome.bits["clean"].all()
    stayed = outcome.bits["stayed"]
    assert stayed.mean() < 0.5
    assert [value is None for value in outcome.values["distance"]] == stayed.tolist()
    assert not model.training


def test_coded_jsma_moves_one_pixel_a_step_and_seven_times_at_most() -> None:
    """On a plane the pixel with the largest |w| goes first, by tenths, until it has moved seven times or is at 0."""
    x = points([0.95, 0.5, 0.5])
    model = Plane([1.0, 0.1, -0.5], -5.0)
    for steps, wanted in ((1, [0.85, 0.5, 0.5]), (7, [0.25, 0.5, 0.5]), (9, [0.25, 0.5, 0.7])):
        moved, _ = coded._jsma(model, x, torch.tensor([0]), steps)
        assert moved.numpy().ravel() == pytest.approx(wanted, abs=1e-6)
    low = points([0.25, 0.5, 0.5])
    moved, _ = coded._jsma(model, low, torch.tensor([0]), 4)
    assert moved.numpy().ravel() == pytest.approx([0.0, 0.5, 0.6], abs=1e-6)


def test_coded_attacks_repeat_although_they_draw_dropout() -> None:
    x, y = images(6)
    model = mlp(1)
    runs = [coded.ask(Coded(name="jsma", steps=30), asked(model, x, y)).values["distance"] for _ in range(2)]
    assert runs[0] == runs[1]


def test_coded_attacks_need_a_module() -> None:
    x, y = images(2)
    with pytest.raises(UserError, match="module"):
        coded.ask(Coded(name="jsma", steps=1), Asked(lambda x: x.flatten(1), x, y, (), torch.Generator()))


def test_layers_tell_what_changed() -> None:
    awake, slept = mlp(2), mlp(2)
    slept[1].fc1.weight[[3, 5]] = -1.0
    x, y = images(50)
    arrays = sleep_layers.ask(SleepLayers(), asked(slept, x, y, awake)).arrays
    assert np.flatnonzero(arrays["changed_1"]).tolist() == [3, 5]
    assert not arrays["changed_2"].any()
    assert arrays["weights_1"].sum(1).tolist() == [24 * 64] * 2
    assert arrays["weights_1"][1, 0] == 2 * 64
    before = np.maximum(x.numpy().reshape(50, -1) @ awake[1].fc1.weight.numpy().T, 0) * 0.8
    assert arrays["activity_1"][0] == pytest.approx(before.mean(0), rel=2e-3, abs=1e-4)
    means = np.stack([before[y.numpy() == k].mean(0) for k in range(10)])
    assert arrays["correlation_1"][0] == pytest.approx(np.corrcoef(means), abs=2e-3)
    busiest = max((3, 5), key=lambda unit: before[:, unit].mean())
    assert arrays["fields"].shape == (2, 2, 8, 8)
    assert arrays["fields"][0, 0].ravel() == pytest.approx(awake[1].fc1.weight[busiest].numpy(), rel=1e-3)


# The search


@pytest.fixture
def learned() -> tuple[list[nn.Module], Tensor, Tensor]:
    """Two networks that tell bright from dark images, and images: octets, as a data set has them."""
    generator = torch.Generator().manual_seed(8)
    y = torch.randint(2, (240,), generator=generator)
    x = (torch.rand(240, 1, 8, 8, generator=generator) * 0.4 + 0.4 * y[:, None, None, None]).mul(255).round() / 255
    models = []
    for seed in (0, 1):
        model = mlp(seed).requires_grad_(True)
        optimizer = torch.optim.Adam(model.parameters(), 3e-3)
        for _ in range(40):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(10 * model(x[:200]), y[:200]).backward()
            optimizer.step()
        models.append(model.requires_grad_(False))
    return models, x, y


@pytest.mark.parametrize("name", ["sleep", "deletion", "noise"])
@pytest.mark.parametrize("objective", ["fgsm", "distortion"])
def test_a_search_reports_the_best_of_its_budget(
    name: str, objective: str, learned: tuple[list[nn.Module], Tensor, Tensor]
) -> None:
    models, x, y = learned
    question = SleepSearch(name=name, objective=objective, candidates=6, generations=2, held=40, scored=30, steps=60)
    outcome = sleep_search.ask(question, asked(models[0], x, y, models[1]))
    values = outcome.values
    bounds = list(sleep_search.BOUNDS[name].values())
    assert values["candidates"] == [18]
    assert len(values["course"]) == 3
    assert values["course"] == sorted(values["course"])
    assert values["course"][-1] == values["score"][0]
    assert len(values["best"]) == len(bounds)
    for value, (low, high) in zip(values["best"], bounds, strict=True):
        assert 0.999 * low <= value <= 1.001 * high
        assert float(f"{value:.4g}") == value
    again = sleep_search.ask(question, asked(models[0], x, y, models[1]))
    assert again.values == values


def test_a_searched_score_can_be_had_by_hand(learned: tuple[list[nn.Module], Tensor, Tensor]) -> None:
    """Deletion for distortions: delete the named shares, show noise and blur of held-out images, count."""
    from scipy import ndimage

    models, x, y = learned
    question = SleepSearch(name="deletion", objective="distortion", candidates=5, generations=1, held=40, scored=30)
    values = sleep_search.ask(question, asked(models[0], x, y, models[1])).values
    rates = []
    for model in models:
        first, second, last = (w.numpy().copy() for w in model.parameters())
        hidden = np.maximum(x[:200].numpy().reshape(200, -1) @ first.T, 0)
        busy = [hidden.mean(0), np.maximum(hidden @ second.T, 0).mean(0)]
        for w, activity, share in zip((first, second), busy, values["best"], strict=True):
            w[np.argsort(-activity)[: round(share * 24)]] = 0
        shown = x[200:230].numpy()
        noise = torch.randn(30, 1, 8, 8, generator=torch.Generator().manual_seed(0)).numpy()
        loud = np.clip(shown + np.sqrt(0.3) * noise, 0, 1)
        soft = ndimage.gaussian_filter(shown, 2.5, mode="nearest", radius=5, axes=(2, 3))
        for distorted in (loud, soft):
            hidden = np.maximum(distorted.reshape(30, -1) @ first.T, 0)
            scores = np.maximum(hidden @ second.T, 0) @ last.T
            rates.append((scores.argmax(1) == y[200:230].numpy()).mean())
    assert values["score"][0] == pytest.approx(100 * np.mean(rates), abs=0.01)


def test_a_search_needs_images_that_were_held_out(learned: tuple[list[nn.Module], Tensor, Tensor]) -> None:
    models, x, y = learned
    question = SleepSearch(name="noise", objective="fgsm", candidates=5, generations=1, held=10, scored=30)
    with pytest.raises(UserError, match="held out"):
        sleep_search.ask(question, asked(models[0], x, y))
