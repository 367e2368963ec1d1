"""Sleep of a network of one layer, and its controls, on patches: against NumPy."""

import dataclasses

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from test_sleep import Oracle
from torch import Tensor, nn

from bioinspired import data, networks
from bioinspired.declarations import Architecture, Data
from bioinspired.defenses import one_layer_sleep
from bioinspired.defenses.sleep.spiking import Sleepers
from bioinspired.errors import UserError
from bioinspired.keys import number
from bioinspired.lab.measurements.outcome import Asked
from bioinspired.lab.papers.sleep import one_layer_controls, one_layer_distance, one_layer_weights, repeated_noise
from bioinspired.lab.papers.sleep.declarations import OneLayerDistance, OneLayerSleep, OneLayerWeights, RepeatedNoise

SLEEP = OneLayerSleep(rate="64", inc="0.0035", dec="0.0002", beta="1.045", alpha="4.25", steps=2_500)
NUMBERS = {name: number(getattr(SLEEP, name)) for name in ("rate", "inc", "dec", "beta", "alpha")}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def split() -> data.Split:
    return data.load(Data(name="patches", size=10, overlap=20), "train")


def network() -> nn.Module:
    """As trained: every class weighs its own pixels up, the others' down."""
    model = networks.build(
        Architecture(name="linear", normalize=False), classes=4, channels=1, size=10, mean=(0.25,), std=(0.4,),
        generator=generator(),
    )  # fmt: skip
    pixels = split().images.flatten(1).float() / 255
    with torch.no_grad():
        one_layer_sleep.only_layer(model).weight.add_(0.1 * (pixels - pixels.mean(0)))
    return model.eval()


def weights(model: nn.Module) -> NDArray[np.float64]:
    return one_layer_sleep.only_layer(model).weight.detach().numpy().astype(np.float64)


def slept(model: nn.Module, **changes: object) -> tuple[nn.Module, dict[str, list[float]]]:
    given = NUMBERS | {"steps": 2_500} | changes
    return one_layer_sleep.after(model, images=split().images, labels=split().labels, generator=generator(), **given)


def changed(choice: str, like: OneLayerSleep | None = SLEEP) -> NDArray[np.float64]:
    model, curves = one_layer_controls.after(
        network(), images=split().images, labels=split().labels, generator=generator(), choice=choice, like=like
    )
    assert curves == {}
    return weights(model)


def test_it_is_the_oracles_sleep_at_a_scale_from_the_softmax(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[NDArray[np.bool_]] = []
    original = Sleepers._drawn

    def remember(self: Sleepers, shown: Tensor) -> Tensor:
        spikes = original(self, shown)
        drawn.extend(spikes[:, 0].numpy())
        return spikes

    monkeypatch.setattr(Sleepers, "_drawn", remember)
    start = weights(network())
    scores = split().images.numpy().reshape(4, 100) / 255 @ start.T
    chances = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    constant = 1 / max(start.max(), chances.max())
    made, curves = slept(network())
    oracle = Oracle([start], inc=0.0035, dec=0.0002, thresholds=np.array([1.045]), scales=np.array([4.25 * constant]))
    spikes = np.array([oracle.step(now)[0] for now in drawn])
    assert len(drawn) == 2_500
    assert spikes.sum() > 20
    assert weights(made) == pytest.approx(oracle.weights[0], abs=1e-4)
    assert curves["step"] == [0, 1_000, 2_000, 2_500]
    assert np.dot(curves["spikes_1"][1:], np.diff(curves["step"])) * 4 == pytest.approx(spikes.sum())
    assert curves["changed_1"][-1] == spikes.any(0).mean()
    assert set(curves) == {"step", "accuracy", "spikes_1", "changed_1"}


def test_curves_begin_with_the_waking_network_and_end_with_the_slept_one() -> None:
    model = network()
    with torch.no_grad():
        one_layer_sleep.only_layer(model).weight.neg_()  # answers wrong
    x = split().images.float() / 255
    before = float((model(x).argmax(1) == split().labels).float().mean())
    made, curves = slept(model, steps=1_500)
    assert curves["accuracy"][0] == before == 0
    assert curves["accuracy"][-1] == float((made(x).argmax(1) == split().labels).float().mean())


@pytest.mark.parametrize("changes", [{"rate": 0.0}, {"beta": 0.0}, {"alpha": -1.0}, {"steps": 0}])
def test_parameters_out_of_range(changes: dict[str, object]) -> None:
    with pytest.raises(UserError, match="above 0"):
        slept(network(), **changes)


def test_more_layers_are_another_sleep() -> None:
    deep = nn.Sequential(nn.Flatten(), nn.Linear(100, 9, bias=False), nn.Linear(9, 4, bias=False))
    with pytest.raises(UserError, match="the network has 2"):
        slept(deep)


# Controls


def test_scaling_and_turning_take_sleep_apart() -> None:
    awake, asleep = weights(network()), weights(slept(network())[0])
    scaled, turned = changed("scaled"), changed("turned")

    def length(w: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.linalg.norm(w, axis=1, keepdims=True)

    assert np.abs(length(asleep) / length(awake) - 1).max() > 0.05, "a sleep that changes nothing tests nothing"
    assert scaled / length(asleep) == pytest.approx(awake / length(awake), abs=1e-6)
    assert length(scaled) == pytest.approx(length(asleep), rel=1e-5)
    assert turned / length(awake) == pytest.approx(asleep / length(asleep), abs=1e-6)
    assert length(turned) == pytest.approx(length(awake), rel=1e-5)


def test_noise_is_as_long_as_the_change() -> None:
    awake, asleep, noisy = weights(network()), weights(slept(network())[0]), changed("noise")
    wanted = np.linalg.norm(asleep - awake, axis=1)
    assert np.linalg.norm(noisy - awake, axis=1) == pytest.approx(wanted, rel=1e-4)
    assert abs(np.corrcoef((noisy - awake).ravel(), (asleep - awake).ravel())[0, 1]) < 0.5


def test_only_weights_from_pixels_that_are_always_off_are_deleted() -> None:
    off = (split().images.flatten(1) == 0).all(0).numpy()
    found = changed("deleted", like=None)
    assert off.sum() == 60
    assert not found[:, off].any()
    assert found[:, ~off] == pytest.approx(weights(network())[:, ~off])


def test_a_control_that_imitates_needs_a_sleep() -> None:
    with pytest.raises(UserError, match="name the sleep"):
        changed("scaled", like=None)


# Questions


def asked(model: nn.Module, *sources: nn.Module) -> Asked:
    return Asked(model, split().images.float() / 255, split().labels, sources, generator())


def test_repeated_noise_is_the_share_that_is_answered_right() -> None:
    outcome = repeated_noise.ask(RepeatedNoise(level="0.3", repeats=400), asked(network()))
    (w, x), random = (weights(network()), split().images.numpy().reshape(4, 100) / 255), np.random.default_rng(0)
    noisy = np.clip(x + np.sqrt(0.3) * random.normal(size=(400, 4, 100)), 0, 1)
    share = ((noisy @ w.T).argmax(2) == np.arange(4)).mean(0)
    assert 0.3 < share.min() < 0.99
    assert outcome.values["value"] == pytest.approx((100 * share).tolist(), abs=12)
    assert outcome.bits["correct"].tolist() == (share > 0.5).tolist()
    assert outcome.forwards == 400


def test_weights_are_shown_beside_the_waking_ones() -> None:
    outcome = one_layer_weights.ask(OneLayerWeights(), asked(slept(network())[0], network()))
    shown = outcome.arrays["weights"].reshape(2, 4, 100)
    assert shown[0] == pytest.approx(weights(network()), abs=1e-3)
    assert shown[1] == pytest.approx(weights(slept(network())[0]), abs=1e-3)
    assert outcome.arrays["images"].shape == (4, 1, 10, 10)


@pytest.mark.parametrize("factor", [1.0, 7.0])
def test_the_smallest_change_is_that_of_the_best_sign_pattern_whatever_the_weights_are_multiplied_with(
    factor: float,
) -> None:
    """All pixels move by eps in the direction that hurts toward a class: below it nothing happens, above it does."""
    model = slept(network())[0]
    w, x = weights(model), split().images.numpy().reshape(4, 100) / 255
    with torch.no_grad():
        one_layer_sleep.only_layer(model).weight.mul_(factor)
    outcome = one_layer_distance.ask(OneLayerDistance(), asked(model))
    assert outcome.bits["correct"].all()
    for k, eps in enumerate(outcome.values["distance"]):
        moved = {scale: [np.clip(x[k] + scale * eps * np.sign(w[j] - w[k]), 0, 1) for j in range(4) if j != k]
                 for scale in (0.999, 1.001)}  # fmt: skip
        assert 0.1 < eps < 0.6
        assert all((w @ image).argmax() == k for image in moved[0.999])
        assert any((w @ image).argmax() != k for image in moved[1.001])


def test_a_wrong_image_is_at_no_distance() -> None:
    model = network()
    with torch.no_grad():
        layer = one_layer_sleep.only_layer(model)
        layer.weight.zero_()
        layer.weight[1] = split().images[1].flatten() / 255
        layer.weight[0] = -1.0
    found = one_layer_distance.ask(OneLayerDistance(), asked(model))
    assert found.values["distance"][0] == 0
    assert found.bits["correct"].tolist() == [False, True, False, False]


def test_the_distance_is_a_formula_for_one_layer_and_binary_images() -> None:
    grey = dataclasses.replace(asked(network()), images=torch.full((4, 1, 10, 10), 0.5))
    with pytest.raises(UserError, match="binary images"):
        one_layer_distance.ask(OneLayerDistance(), grey)
    deep = nn.Sequential(nn.Flatten(), nn.Linear(100, 9, bias=False), nn.Linear(9, 4, bias=False))
    with pytest.raises(UserError, match="the network has 2"):
        one_layer_distance.ask(OneLayerDistance(), asked(deep))
