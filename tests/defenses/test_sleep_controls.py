"""The controls and baselines of the sleep chapter, against NumPy."""

import copy

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import Tensor, nn

from bioinspired import networks
from bioinspired.corruptions.matlab import blurred, noisy
from bioinspired.declarations import Architecture
from bioinspired.defenses import sleep
from bioinspired.errors import UserError
from bioinspired.lab.papers.sleep import sleep_deletion, sleep_noise, sleep_retraining, sleep_scaling
from bioinspired.lab.papers.sleep.declarations import Sleep

SLEEP = Sleep(rate="39", inc="0.06", dec="0.07", beta1="36", beta2="23", beta3="36", alpha="60", steps=300)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def network(dropout: str = "0.2", width: int = 20) -> nn.Module:
    model = networks.build(
        Architecture(name="mlp", width=width, dropout=dropout, normalize=False), classes=10, channels=1, size=8,
        mean=(0.0,), std=(1.0,), generator=generator(),
    )  # fmt: skip
    return model.eval()


def images(n: int = 300) -> Tensor:
    return torch.randint(0, 256, (n, 1, 8, 8), dtype=torch.uint8, generator=generator(5))


def weights(model: nn.Module) -> list[np.ndarray]:
    return [parameter.detach().numpy().copy() for parameter in model.parameters()]


def activities(model: nn.Module) -> list[np.ndarray]:
    """Mean activations of the hidden layers in NumPy, up to the factor of dropout."""
    first, second, _ = weights(model)
    hidden = np.maximum((images().numpy().reshape(300, -1) / 255) @ first.T, 0)
    return [hidden.mean(0), np.maximum(hidden @ second.T, 0).mean(0)]


def deleted(model: nn.Module, **options: object) -> list[set[int]]:
    given = {"choice": "active", "first": 0.0, "second": 0.0, "like": None} | options
    before = weights(model)
    made, _ = sleep_deletion.after(model, images=images(), generator=generator(), **given)
    gone = [{int(i) for i in np.flatnonzero((w == 0).all(1))} for w in weights(made)]
    for old, new, units in zip(before, weights(made), gone, strict=True):
        kept = [i for i in range(len(old)) if i not in units]
        assert np.array_equal(old[kept], new[kept]), "what is not deleted stays"
    assert not gone[2]
    return gone[:2]


def test_the_most_active_units_are_deleted() -> None:
    wanted = [
        set(np.argsort(-mean)[:number].tolist()) for mean, number in zip(activities(network()), (5, 2), strict=True)
    ]
    assert deleted(network(), first=0.25, second=0.1) == wanted


def test_random_units_are_as_many_and_others() -> None:
    found = deleted(network(width=100), choice="random", first=0.25, second=0.1)
    assert [len(units) for units in found] == [25, 10]
    assert found != deleted(network(width=100), choice="active", first=0.25, second=0.1)


def test_the_units_that_slept_are_those_that_sleep_changes() -> None:
    given = sleep_deletion.parameters(SLEEP)
    slept, _ = sleep.after(network(), images=images(), labels=torch.zeros(300, dtype=torch.long),
                           generator=generator(), **given.__dict__)  # fmt: skip
    changed = [
        set(np.flatnonzero((old != new).any(1)).tolist())
        for old, new in zip(weights(network()), weights(slept), strict=True)
    ]
    assert 0 < len(changed[0]) < 20
    assert deleted(network(), choice="slept", like=SLEEP) == changed[:2]
    assert [len(units) for units in deleted(network(), choice="random", like=SLEEP)] == [len(u) for u in changed[:2]]


def test_deleting_what_slept_needs_a_sleep() -> None:
    with pytest.raises(UserError, match="like"):
        deleted(network(), choice="slept")


def test_weight_noise_has_the_size_that_is_asked_for() -> None:
    model = network(width=200)
    before = weights(model)
    sleep_noise.after(model, generator=generator(), first=0.5, second=2.0, third=0.0)
    for old, new, size in zip(before, weights(model), (0.5, 2.0, 0.0), strict=True):
        assert (new - old).std() == pytest.approx(size * old.std(), rel=0.03)
    assert np.array_equal(before[2], weights(model)[2])


def test_scaling_brings_busy_units_down_to_the_mean() -> None:
    model = network()
    before, mean = weights(model), activities(model)
    sleep_scaling.after(model, images=images(), power=1.0)
    for old, new, a in zip(before, weights(model), mean, strict=False):
        factor = np.minimum(a.mean() / np.maximum(a, 1e-12), 1)
        assert new == pytest.approx(old * factor[:, None], rel=1e-4)
        assert (factor < 1).any()
    assert np.array_equal(before[2], weights(model)[2])


# Retraining


def retrained(method: str, **options: object) -> tuple[nn.Module, dict[str, list[float]]]:
    given = {"changed": 100, "level": 0.1, "epochs": 3, "batch": 50} | options
    labels = (images().float().mean((1, 2, 3)) > 127).long()
    return sleep_retraining.after(
        network(), images=images(), labels=labels, generator=generator(), method=method, **given
    )


@pytest.mark.parametrize("method", ["distillation as coded", "distillation", "fgsm", "noise", "blur"])
def test_retraining_learns_and_hands_back_a_network_in_use(method: str) -> None:
    level = 1.0 if method == "blur" else 0.1
    model, history = retrained(method, level=level)
    losses = history["retraining_loss"]
    assert not model.training
    assert len(losses) == (6 if method == "distillation" else 3)
    assert losses[2] < losses[0] or method == "distillation as coded"
    assert all(not np.array_equal(a, b) for a, b in zip(weights(model), weights(network()), strict=True))
    again, _ = retrained(method, level=level)
    assert all(np.array_equal(a, b) for a, b in zip(weights(model), weights(again), strict=True))


def test_distillation_as_coded_is_self_training_without_a_temperature() -> None:
    """Without dropout the network's own outputs are its targets: nothing is left to learn."""
    labels = torch.zeros(300, dtype=torch.long)
    model, history = sleep_retraining.after(
        network(dropout="0"), images=images(), labels=labels, generator=generator(), method="distillation as coded",
        changed=0, level=0.0, epochs=2, batch=50,
    )  # fmt: skip
    assert history["retraining_loss"] == pytest.approx([0, 0], abs=1e-12)
    for old, new in zip(weights(network()), weights(model), strict=True):
        assert new == pytest.approx(old, abs=1e-7)


def test_the_sign_of_the_released_fgsm() -> None:
    """The gradient of half the squared distance from the ReLU of the scores, passed through that ReLU unchanged."""
    model = network()
    generator_ = generator(3)
    for parameter in model.parameters():
        nn.init.uniform_(parameter, -0.3, 0.3, generator=generator_)
    x = images(4).float() / 255
    first, second, last = (w.astype(np.float64) for w in weights(model))
    a0 = x.numpy().reshape(4, -1).T.astype(np.float64)
    z1 = first @ a0
    z2 = second @ (0.8 * np.maximum(z1, 0))
    scores = last @ (0.8 * np.maximum(z2, 0))
    labels = scores.argmin(0)
    assert (scores[labels, range(4)] < 0).all(), "a true ReLU would pass nothing of the label"
    delta = np.maximum(scores, 0) - np.eye(10)[labels].T
    slope = first.T @ (0.8 * (z1 > 0) * (second.T @ (0.8 * (z2 > 0) * (last.T @ delta))))
    wanted = torch.nn.functional.one_hot(torch.tensor(labels), 10).float()
    found = sleep_retraining.fgsm_sign(model, x, wanted)
    assert np.array_equal(found.numpy().reshape(4, -1).T, np.sign(slope))


def test_fine_tuning_changes_only_the_first_images(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[Tensor] = []
    monkeypatch.setattr(sleep_retraining._Training, "run", lambda self, *_: shown.append(self.x) or [0.0])
    for method, level in (("fgsm", 0.1), ("noise", 0.3), ("blur", 1.0)):
        retrained(method, level=level)
        x = images().float() / 255
        assert torch.equal(shown[-1][100:], x[100:])
        assert ((shown[-1][:100] - x[:100]).flatten(1).abs().amax(1) > 0).all()
        assert 0 <= float(shown[-1].min()) <= float(shown[-1].max()) <= 1
    step = (shown[0][:100] - images(300)[:100].float() / 255).abs()
    assert float(step.max()) <= 0.1 + 1e-6
    inside = (images()[:100] > 30) & (images()[:100] < 225)
    assert float(step[inside].mean()) == pytest.approx(0.05, rel=0.05)


# MATLAB's distortions


def test_blur_is_scipys_with_matlabs_kernel() -> None:
    x = torch.rand(2, 3, 20, 20, generator=generator(1))
    for sigma in (0.5, 1.0, 2.5):
        reach = int(np.ceil(2 * sigma))
        wanted = ndimage.gaussian_filter(x.numpy(), sigma, mode="nearest", radius=reach, axes=(2, 3))
        assert blurred(x, sigma).numpy() == pytest.approx(wanted, abs=1e-5)


def test_noise_is_given_by_its_variance() -> None:
    x = torch.full((1, 1, 300, 300), 0.5)
    found = noisy(x, 0.01, generator(1))
    assert float(found.var()) == pytest.approx(0.01, rel=0.03)
    loud = noisy(x, 0.9, generator(1))
    assert float(loud.min()) == 0
    assert float(loud.max()) == 1


def test_controls_do_not_touch_the_model_they_measure() -> None:
    model = network()
    before = weights(model)
    sleep.spikes(model, images=images(), generator=generator(), parameters=sleep_deletion.parameters(SLEEP))
    copy.deepcopy(model)
    assert all(np.array_equal(a, b) for a, b in zip(before, weights(model), strict=True))
