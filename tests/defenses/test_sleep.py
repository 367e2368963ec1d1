"""Sleep against an oracle in plain NumPy, written from the specification: same spikes, same weights, step by step."""

import itertools

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import stats
from torch import Tensor, nn

from bioinspired import networks
from bioinspired.declarations import Architecture
from bioinspired.defenses import sleep
from bioinspired.defenses.sleep.scaling import constants, largest_activations
from bioinspired.defenses.sleep.spiking import FACTORS, Rule, Sleepers, all_asleep
from bioinspired.defenses.sleep.stimulus import frames
from bioinspired.errors import UserError

Array = NDArray[np.float64]

A = {"rate": 39.037119, "inc": 0.063997, "dec": 0.06922, "beta1": 36.186585, "beta2": 23.362736, "beta3": 36.384713}
SIZES = (30, 14, 11, 5)


class Oracle:
    """One network, everything dense: membranes, spikes and weights after every step."""

    def __init__(self, weights: list[Array], *, inc: float, dec: float, thresholds: Array, scales: Array) -> None:
        self.weights = [w.copy() for w in weights]
        self.inc, self.dec, self.thresholds, self.scales = inc, dec, thresholds, scales
        self.membranes = [np.zeros(len(w)) for w in weights]

    def step(self, spikes: NDArray[np.bool_]) -> list[NDArray[np.bool_]]:
        seen = []
        for layer, w in enumerate(self.weights):
            self.membranes[layer] = 0.999 * self.membranes[layer] + self.scales[layer] * (w @ spikes.astype(float))
            fired = self.membranes[layer] >= self.thresholds[layer]
            for i in np.flatnonzero(fired):
                for j in range(w.shape[1]):
                    g = 2 * (1 - 1 / (1 + np.exp(-w[i, j] / 0.001)))
                    w[i, j] += self.inc * g if spikes[j] else -self.dec * g
            self.membranes[layer][fired] = 0
            seen.append(fired)
            spikes = fired
        return seen


def trained_like(seed: int, sizes: tuple[int, ...] = SIZES, scale: float = 0.05) -> list[Array]:
    """Small weights that lean to the positive, so that units spike at different times."""
    random = np.random.default_rng(seed)
    return [random.normal(scale / 3, scale, (out, inputs)) for inputs, out in itertools.pairwise(sizes)]


def rule(replicas: int, *, dtype: torch.dtype = torch.float64, **changes: object) -> Rule:
    values = {"inc": 0.02, "dec": 0.015, "rate": 100.0} | changes
    return Rule(
        rate=torch.full((replicas,), values["rate"], dtype=dtype),
        inc=torch.tensor([values["inc"] * (1 + r / 10) for r in range(replicas)], dtype=dtype),
        dec=torch.full((replicas,), values["dec"], dtype=dtype),
        thresholds=torch.tensor([[0.5, 0.05 + r / 100, 0.02] for r in range(replicas)], dtype=dtype),
        scales=torch.tensor([[0.7, 1.4, 1.1]] * replicas, dtype=dtype),
    )


def generators(replicas: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(100 + r) for r in range(replicas)]


def stacked(networks_: list[list[Array]], dtype: torch.dtype = torch.float64) -> list[Tensor]:
    return [torch.tensor(np.stack(layer), dtype=dtype) for layer in zip(*networks_, strict=True)]


@pytest.mark.parametrize("dense", [False, True], ids=["as on a CPU", "as on a GPU"])
def test_every_step_is_the_oracles(dense: bool) -> None:
    replicas = 3
    starts = [trained_like(seed) for seed in range(replicas)]
    sleepers = Sleepers(stacked(starts), rule(replicas), generators(replicas))
    made = rule(replicas)
    oracles = [
        Oracle(start, inc=made.inc[r].item(), dec=made.dec[r].item(), thresholds=made.thresholds[r].numpy(),
               scales=made.scales[r].numpy())
        for r, start in enumerate(starts)
    ]  # fmt: skip
    inputs = torch.rand(80, replicas, SIZES[0], generator=torch.Generator().manual_seed(7)) < 0.3
    inputs[20:24] = False  # membranes only leak
    counts = [[np.zeros(out) for out in SIZES[1:]] for _ in oracles]
    for now in inputs:
        if dense:
            sleepers._dense(now)
        else:
            sleepers.step_through(now[None])
        for r, oracle in enumerate(oracles):
            for layer, fired in enumerate(oracle.step(now[r].numpy())):
                counts[r][layer] += fired
                assert sleepers.counts[layer][r].tolist() == counts[r][layer].tolist()
                assert sleepers.membranes[layer][r].numpy() == pytest.approx(oracle.membranes[layer], abs=1e-11)
                assert sleepers.weights[layer][r].numpy() == pytest.approx(oracle.weights[layer], abs=1e-11)
    for layer in range(3):
        assert all(count[layer].sum() > 2 for count in counts), "a layer without spikes tests nothing"


def test_a_spike_crosses_all_layers_in_its_step() -> None:
    weights = [np.ones((1, 1)) for _ in range(3)]
    sleepers = Sleepers(stacked([weights]), rule(1), generators(1))
    sleepers.rule.thresholds.fill_(0.5)
    sleepers.step_through(torch.ones(1, 1, 1, dtype=torch.bool))
    assert [int(count.sum()) for count in sleepers.counts] == [1, 1, 1]
    assert [float(membrane.sum()) for membrane in sleepers.membranes] == [0, 0, 0]


def test_replicas_do_not_depend_on_their_neighbours() -> None:
    starts = [trained_like(seed) for seed in range(10)]  # more than sleep at once on a CPU
    shown = torch.rand(150, SIZES[0], generator=torch.Generator().manual_seed(3))
    made = rule(10, dtype=torch.float32, rate=400.0)
    weights, counts = all_asleep(stacked(starts, torch.float32), made, generators(10), [shown[:90], shown[90:]])
    assert all(int(count.sum()) > 0 for count in counts)
    for r, start in enumerate(starts):
        alone = Sleepers(stacked([start], torch.float32), made.part(slice(r, r + 1)), generators(10)[r : r + 1])
        alone.sleep(shown)
        for layer in range(3):  # vector instructions round the last bit by position
            assert torch.equal(alone.counts[layer][0], counts[layer][r])
            assert torch.allclose(alone.weights[layer][0], weights[layer][r], rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(
    ("w", "g"), [(0.0, 1.0), (0.001, 0.53788), (-0.001, 1.46212), (0.005, 0.01339), (-0.01, 1.99991), (-300.0, 2.0),
                 (300.0, 0.0)]
)  # fmt: skip
def test_the_released_factor_freezes_positive_weights(w: float, g: float) -> None:
    assert float(FACTORS["released"](torch.tensor(w))) == pytest.approx(g, abs=1e-5)


def test_the_other_factors() -> None:
    w = torch.tensor([-1.0, 0.0, 2.0])
    assert FACTORS["logistic"](w).numpy() == pytest.approx(1 / (1 + np.exp(-w.numpy())))
    assert FACTORS["one"](w).tolist() == [1, 1, 1]


def test_a_pixel_spikes_at_twice_the_nominal_rate_and_at_most_once_a_step() -> None:
    silent = [np.zeros((1, 4))]
    sleepers = Sleepers(stacked([silent]), Rule(torch.tensor([300.0]), torch.zeros(1), torch.zeros(1),
                        torch.ones(1, 1), torch.ones(1, 1)), generators(1))  # fmt: skip
    shown = torch.tensor([0.0, 0.25, 0.5, 1.0]).expand(20_000, 4)
    hits = sleepers._drawn(shown)[:, 0].sum(0).tolist()
    for count, chance in zip(hits, (0.0, 0.15, 0.3, 0.6), strict=True):
        assert stats.binomtest(count, 20_000, chance).pvalue > 1e-3
    sleepers.rule.rate.fill_(700)
    assert int(sleepers._drawn(shown)[:, 0, 3].sum()) == 20_000


def test_steps_draw_anew() -> None:
    sleepers = Sleepers(stacked([trained_like(0)]), rule(1), generators(1))
    drawn = sleepers._drawn(torch.full((200, SIZES[0]), 1.0))
    assert len({tuple(row.tolist()) for row in drawn[:, 0]}) > 190


# Scales


def test_constants_chain_over_the_factors() -> None:
    """lambda = 4, 6, 3: f = 4, 6 / 4, 3 / 1.5, not 4, 6 / 4, 3 / 6."""
    weights = [torch.tensor([0.5]), torch.tensor([6.0]), torch.tensor([-9.0])]
    assert constants(weights, [4.0, 1.0, 3.0]) == pytest.approx([1 / 4, 4 / 6, 1.5 / 3])


def small_network(width: int = 20) -> nn.Module:
    model = networks.build(
        Architecture(name="mlp", width=width, dropout="0.2", normalize=False), classes=10, channels=1, size=8,
        mean=(0.0,), std=(1.0,), generator=torch.Generator().manual_seed(0),
    )  # fmt: skip
    return model.eval()


def images(n: int = 300) -> Tensor:
    return torch.randint(0, 256, (n, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(5))


def test_largest_activations_are_those_that_the_next_layer_sees() -> None:
    model = small_network()
    first, second, last = (p.detach().numpy().astype(np.float64) for p in model.parameters())
    h1 = 0.8 * np.maximum(first @ (images().numpy().reshape(300, -1) / 255).T, 0)
    h2 = 0.8 * np.maximum(second @ h1, 0)
    found = largest_activations(model, images())
    assert found == pytest.approx([h1.max(), h2.max(), max((last @ h2).max(), 0)], rel=1e-5)


def test_networks_with_biases_cannot_sleep() -> None:
    with pytest.raises(UserError, match="without biases"):
        largest_activations(nn.Sequential(nn.Flatten(), nn.Linear(64, 10)), images())


# What is shown


def test_images_come_in_order_and_again() -> None:
    shown = frames(images(5), "images", 3, 7, generator=torch.Generator())
    assert shown.numpy() == pytest.approx(images(5).flatten(1)[[3, 4, 0, 1]].numpy() / 255)


def test_shuffled_images_keep_their_values_and_noise_its_mean() -> None:
    generator = torch.Generator().manual_seed(0)
    plain = frames(images(5), "images", 0, 5, generator=generator)
    mixed = frames(images(5), "shuffled", 0, 5, generator=generator)
    assert torch.equal(plain.sort(1).values, mixed.sort(1).values)
    assert not torch.equal(plain, mixed)
    again = frames(images(5), "shuffled", 5, 10, generator=generator)
    assert not torch.equal(mixed, again)
    noise = frames(images(5), "noise", 0, 3, generator=generator)
    assert noise.numpy() == pytest.approx(np.full((3, 64), images(5).numpy().mean() / 255), rel=1e-5)


def test_the_mean_through_a_window() -> None:
    generator = torch.Generator().manual_seed(0)
    many = torch.randint(1, 256, (40, 1, 28, 28), dtype=torch.uint8, generator=generator)
    mean = frames(many, "mean", 0, 2, generator=generator)
    assert mean.numpy() == pytest.approx(np.tile(many.numpy().mean(0).ravel() / 255, (2, 1)), rel=1e-5)
    seen = frames(many, "masked", 0, 300, generator=generator)
    assert (seen > 0).sum(1).tolist() == [121] * 300
    assert ((seen == 0) | torch.isclose(seen, mean[0])).all()
    corners = {int(row.nonzero()[0]) for row in seen}
    assert len(corners) > 150, "windows stand everywhere"


# The whole


def slept(model: nn.Module, **changes: object) -> tuple[nn.Module, dict[str, list[float]]]:
    options = A | {"alpha": 60.0, "steps": 400} | changes
    return sleep.after(
        model, images=images(), labels=torch.zeros(300, dtype=torch.int64),
        generator=torch.Generator().manual_seed(0), **options,
    )  # fmt: skip


def test_after_equals_the_oracle_on_the_same_input_spikes(monkeypatch: pytest.MonkeyPatch) -> None:
    model = small_network()
    start = [p.detach().numpy().astype(np.float64) for p in model.parameters()]
    c = constants([torch.tensor(w) for w in start], largest_activations(model, images()))
    drawn: list[NDArray[np.bool_]] = []
    original = Sleepers._drawn

    def remember(self: Sleepers, shown: Tensor) -> Tensor:
        spikes = original(self, shown)
        drawn.extend(spikes[:, 0].numpy())
        return spikes

    monkeypatch.setattr(Sleepers, "_drawn", remember)
    made, curves = slept(model)
    oracle = Oracle(start, inc=A["inc"], dec=A["dec"], scales=60 * np.array(c),
                    thresholds=np.array([A["beta1"], A["beta2"], A["beta3"]]))  # fmt: skip
    spikes = np.array([[fired.sum() for fired in oracle.step(now)] for now in drawn])
    assert len(drawn) == 400
    assert spikes.sum(0).min() > 0
    for parameter, wanted in zip(made.parameters(), oracle.weights, strict=True):
        assert parameter.detach().numpy() == pytest.approx(wanted, abs=1e-4)
    lengths = np.diff(curves["step"])
    for layer, units in enumerate((20, 20, 10)):
        assert np.dot(curves[f"spikes_{layer + 1}"][1:], lengths) * units == pytest.approx(spikes[:, layer].sum())


def test_curves_end_with_the_network_that_is_given_back() -> None:
    model, curves = slept(small_network())
    x = images().float() / 255
    assert curves["accuracy"][-1] == pytest.approx(float((model(x).argmax(1) == 0).float().mean()))
    hidden = model[1].relu1(model[1].fc1(x.flatten(1)))
    assert curves["silent_1"][-1] == pytest.approx(float((hidden <= 0).all(0).float().mean()))
    assert curves["step"][0] == 0
    assert curves["step"][-1] == 400
    assert curves["step"] == sorted(set(curves["step"]))


def test_sleep_repeats_and_depends_on_its_generator() -> None:
    first, again = slept(small_network())[0], slept(small_network())[0]
    for a, b in zip(first.parameters(), again.parameters(), strict=True):
        assert torch.equal(a, b)
    other, _ = sleep.after(
        small_network(), images=images(), labels=torch.zeros(300, dtype=torch.int64),
        generator=torch.Generator().manual_seed(1), **A, alpha=60.0, steps=400,
    )  # fmt: skip
    assert any(not torch.equal(a, b) for a, b in zip(first.parameters(), other.parameters(), strict=True))


@pytest.mark.parametrize("changes", [{"rate": 0.0}, {"beta2": 0.0}, {"alpha": -1.0}, {"steps": 0}])
def test_parameters_out_of_range(changes: dict[str, object]) -> None:
    with pytest.raises(UserError, match="above 0"):
        slept(small_network(), **changes)
