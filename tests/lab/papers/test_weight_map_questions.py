"""The chapter's own questions against arithmetic: variances by NumPy, bands by the transform, shifts by hand."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from small_networks import EPS, Scaled, digits, images
from torch import Tensor, nn

from bioinspired.attacks.gradient import pgd
from bioinspired.defenses import weight_map
from bioinspired.lab.measurements import band
from bioinspired.lab.measurements.declarations import Band
from bioinspired.lab.measurements.outcome import Asked, Outcome
from bioinspired.lab.papers.weight_map import gradient_spectrum, maps, rescaled, shift, variance
from bioinspired.lab.papers.weight_map.declarations import GradientSpectrum, Maps, Rescaled, Shift, Variance


def dice(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def network(layer: bool = True) -> nn.Module:
    """8x8 images to ten logits, untrained."""
    torch.manual_seed(0)
    first, second = nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(4, 3, 3, padding=1)
    model = nn.Sequential(first, nn.ReLU(), nn.MaxPool2d(2), second, nn.ReLU(), nn.Flatten(), nn.Linear(48, 10))
    if layer:
        weight_map.apply(model, input_shape=(1, 8, 8), generator=dice())
    return model.eval().requires_grad_(False)


def trained(logits: nn.Module | None = None) -> nn.Module:
    """A linear network that answers most digits right; its logits may be changed."""
    x, y, _, _ = digits()
    torch.manual_seed(0)
    model = nn.Linear(64, 10)
    optimizer = torch.optim.Adam(model.parameters(), 0.05)
    for _ in range(60):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x.flatten(1)), y).backward()
        optimizer.step()
    parts = [nn.Flatten(), model] + ([] if logits is None else [logits])
    return nn.Sequential(*parts).eval().requires_grad_(False)


def asked(model: nn.Module, n: int = 40) -> Asked:
    return Asked(model, *images(n), (), dice(5))


# Variance


def test_gain_is_the_ratio_of_variances_over_images() -> None:
    model = network()
    outcome = variance.ask(Variance(name="gain"), asked(model))
    x = asked(model).images
    first, second = weight_map.layers(model).values()
    before = model[0].layer(x)
    after = first(before)
    between = model[3].layer(model[2](model[1](after)))
    pairs = [(before.numpy(), after.numpy()), (between.numpy(), second(between).numpy())]
    np.testing.assert_allclose(outcome.arrays["gain"], [b.var(0).mean() / a.var(0).mean() for a, b in pairs], rtol=1e-5)
    logs = [np.log(((b - b.mean(0)) ** 2).sum((1, 2, 3)) / ((a - a.mean(0)) ** 2).sum((1, 2, 3))) for a, b in pairs]
    np.testing.assert_allclose(outcome.values["value"], np.exp(np.mean(logs, 0)), rtol=1e-4)


def test_a_network_without_the_layer_has_gain_one() -> None:
    outcome = variance.ask(Variance(name="gain"), asked(network(layer=False)))
    assert outcome.values["value"] == [1.0] * 40


def test_gain_of_a_constant_is_its_square() -> None:
    model = network(layer=False)
    options: dict[str, Any] = {"kernel": "identity", "init": "ones", "learns": "nothing", "scale": (3.0, 2.0)}
    weight_map.apply(model, input_shape=(1, 8, 8), **options)
    outcome = variance.ask(Variance(name="gain"), asked(model))
    np.testing.assert_allclose(outcome.arrays["gain"], [9, 4], rtol=1e-5)
    np.testing.assert_allclose(outcome.values["value"], [6.0] * 40, rtol=1e-5)


def test_change_under_noise_is_what_the_activations_show() -> None:
    model = network()
    outcome = variance.ask(Variance(name="noise", strength="0.3"), asked(model))
    x = asked(model).images
    moved = (x + 0.3 * torch.randn(x.shape, generator=dice(5))).clamp(0, 1)

    def places(images: Tensor) -> list[np.ndarray]:
        before = model[0](images)
        return [before.numpy(), model[3](model[2](model[1](before))).numpy(), model(images).numpy()]

    clean, noisy = places(x), places(moved)
    np.testing.assert_allclose(outcome.arrays["variance"], [one.var(0).mean() for one in clean], rtol=1e-4)
    changes = [((b - a) ** 2).mean() for a, b in zip(clean, noisy, strict=True)]
    np.testing.assert_allclose(outcome.arrays["change"], changes, rtol=1e-4)
    logits = ((noisy[2] - clean[2]) ** 2).mean(1) / clean[2].var(0).mean()
    np.testing.assert_allclose(outcome.values["value"], logits, rtol=1e-3)


def test_variance_does_not_depend_on_how_images_are_batched(monkeypatch: pytest.MonkeyPatch) -> None:
    model = network()
    whole = variance.ask(Variance(name="noise", strength="0.3"), asked(model))
    monkeypatch.setattr(variance, "BATCH", 7)
    parts = variance.ask(Variance(name="noise", strength="0.3"), asked(model))
    for name in whole.arrays:
        np.testing.assert_allclose(parts.arrays[name], whole.arrays[name], rtol=1e-5)


def test_an_attack_changes_logits_and_answers_more_than_noise_of_its_size() -> None:
    model = trained()
    attacked = variance.ask(Variance(name="adversarial", strength="0.1"), asked(model))
    noisy = variance.ask(Variance(name="noise", strength="0.1"), asked(model))
    assert np.mean(attacked.values["value"]) > np.mean(noisy.values["value"])
    assert attacked.bits["correct"].mean() < noisy.bits["correct"].mean()


def test_gain_is_followed_through_training() -> None:
    model = network()
    x = (asked(model).images * 255).to(torch.uint8)
    history = weight_map.regularizer(model.train(), images=x).history()
    gains = variance.ask(Variance(name="gain"), Asked(model.eval(), x / 255, *images(40)[1:], (), dice())).arrays
    np.testing.assert_allclose(list(history.values()), gains["gain"], rtol=1e-5)
    assert list(history) == ["gain 1", "gain 2"]


# Spectra and bands


def test_rings_hold_the_frequencies_that_their_number_says() -> None:
    ring = gradient_spectrum.rings(16, 16)
    assert ring[0, 0] == 0
    assert ring[0, 4] == 4  # a quarter of a cycle per pixel: half the Nyquist frequency, the fifth of eight rings
    assert ring[0, 7] == ring[7, 0] == ring[0, -7] == 7
    assert ring[8, 8] == gradient_spectrum.RINGS


@pytest.mark.parametrize(("cycles", "share"), [(1, 0.0), (3, 1.0)])
def test_spectrum_of_a_wave_is_where_its_frequency_is(cycles: int, share: float) -> None:
    wave = torch.cos(2 * math.pi * cycles * torch.arange(8) / 8).expand(8, 8)
    linear = nn.Linear(64, 2, bias=False)
    with torch.no_grad():
        linear.weight[0], linear.weight[1] = wave.flatten(), -wave.flatten()
    model = nn.Sequential(nn.Flatten(), linear)
    x = torch.rand(6, 1, 8, 8, generator=dice())
    outcome = gradient_spectrum.ask(GradientSpectrum(), Asked(model, x, torch.zeros(6, dtype=torch.int64), (), dice()))
    np.testing.assert_allclose(outcome.values["value"], [share] * 6, atol=1e-5)
    assert outcome.arrays["power"][2 * cycles] == pytest.approx(1)
    assert outcome.arrays["power"].sum() == pytest.approx(1)


def test_bands_add_up_and_each_holds_its_own_frequencies() -> None:
    x = torch.randn(3, 2, 9, 12, generator=dice())
    low, high = band.within(x, "low"), band.within(x, "high")
    torch.testing.assert_close(low + high, x)
    spectrum = np.abs(np.fft.fft2(low.numpy()))
    beyond = np.hypot(np.fft.fftfreq(9)[:, None], np.fft.fftfreq(12)[None, :]) >= 0.25
    assert spectrum[..., beyond].max() < 1e-4
    assert np.abs(np.fft.fft2(high.numpy()))[..., ~beyond].max() < 1e-4


def test_an_attack_in_all_frequencies_finds_more_than_one_in_half_of_them() -> None:
    model = trained()
    held = {name: band.ask(Band(name=name, eps="0.06", steps=10), asked(model)).bits["correct"].mean()
            for name in ("all", "low", "high")}  # fmt: skip
    assert held["all"] < min(held["low"], held["high"])
    assert max(held.values()) < images_right(model)


def test_the_euclidean_attack_is_as_strong_as_the_librarys_own() -> None:
    model = trained()
    x, y = images(40)
    ours = band.ask(Band(name="all", eps="0.06", steps=20), asked(model)).bits["correct"].mean()
    theirs = pgd(model, x, y, norm="l2", eps=0.06 * 8, steps=20, loss="margin", generator=dice())
    assert ours == pytest.approx(float((~theirs.success).double().mean()), abs=0.051)


def images_right(model: nn.Module) -> float:
    x, y = images(40)
    return float((model(x).argmax(1) == y).double().mean())


# Shifts, rescaled logits, maps


def test_images_move_as_named_and_what_comes_in_is_black() -> None:
    x = torch.arange(1, 10).view(1, 1, 3, 3)
    right, up = shift.moved(x, 1, 0)[0, 0], shift.moved(x, 0, -1)[0, 0]
    assert right.tolist() == [[0, 1, 2], [0, 4, 5], [0, 7, 8]]
    assert up.tolist() == [[4, 5, 6], [7, 8, 9], [0, 0, 0]]


def test_shifted_images_are_right_only_where_all_four_directions_are() -> None:
    model = trained()
    outcome: Outcome = shift.ask(Shift(pixels=1), asked(model))
    x, y = images(40)
    moved = {"up": (0, -1), "down": (0, 1), "left": (-1, 0), "right": (1, 0)}
    for name, by in moved.items():
        expected = model(shift.moved(x, *by)).argmax(1) == y
        assert outcome.bits[name].tolist() == expected.tolist()
    assert outcome.bits["correct"].tolist() == np.logical_and.reduce([outcome.bits[name] for name in moved]).tolist()


def test_rescaled_logits_are_attacked_where_cross_entropy_sees_nothing() -> None:
    saturated = trained(Scaled())
    x, y = images(40)
    plain = pgd(saturated, x, y, norm="linf", eps=EPS, steps=5, generator=dice())
    outcome = rescaled.ask(Rescaled(eps=str(EPS), steps=5, step_size="0.5"), asked(saturated))
    honest = rescaled.ask(Rescaled(eps=str(EPS), steps=5, step_size="0.5"), asked(trained()))
    assert outcome.values["zero_gradients"][0] > 0.5
    assert honest.values["zero_gradients"][0] == 0
    assert outcome.bits["correct"].tolist() == honest.bits["correct"].tolist()
    assert outcome.bits["correct"].mean() < float((~plain.success).double().mean())
    assert outcome.values["margin"][0] == pytest.approx(1000 * honest.values["margin"][0], rel=1e-4)


def test_maps_are_those_of_the_layers() -> None:
    model = network()
    arrays = maps.ask(Maps(), asked(model)).arrays
    first = next(iter(weight_map.layers(model).values())).weight
    assert arrays["map 1"].shape == (4, 8, 8)
    np.testing.assert_allclose(arrays["map 1"], first[0].numpy(), atol=1e-3)
    assert arrays["weights 1"].sum() == first.numel()
    assert arrays["map 2"].shape == (3, 4, 4)
    assert maps.ask(Maps(), asked(network(layer=False))).arrays == {}
