"""The chapter's own questions and networks: against NumPy, on networks of known answers, and through a training."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import Tensor, nn

from bioinspired import data
from bioinspired.declarations import Architecture, Data, Images, Network, Recipe
from bioinspired.defenses import blur
from bioinspired.errors import UserError
from bioinspired.lab.declarations import Measurement
from bioinspired.lab.engine.measuring import measure
from bioinspired.lab.measurements import common_corruptions
from bioinspired.lab.measurements.declarations import Clean, CommonCorruptions
from bioinspired.lab.measurements.outcome import Asked
from bioinspired.lab.papers.pixel_similarity import feature_attack, radial_spectrum, similarities, training_cost
from bioinspired.lab.papers.pixel_similarity.declarations import (
    Blur,
    FeatureAttack,
    PixelSimilarity,
    RadialSpectrum,
    Similarities,
    TrainingCost,
)
from bioinspired.lab.papers.pixel_similarity.settings import FULL, SETTINGS
from bioinspired.lab.papers.pixel_similarity.study import trials
from bioinspired.training import train

DIGITS = Data(name="digits", size=8, train=300)


class Staged(nn.Module):
    """Layers of the names that the regularizer looks for, all linear; logits read two frequencies of the image."""

    def __init__(self, row: int, column: int, size: int = 16) -> None:
        super().__init__()
        self.relu = nn.Identity()
        for k in range(1, 5):
            setattr(self, f"layer{k}", nn.Identity())
        places = torch.arange(size)
        wave = torch.cos(2 * math.pi * (row * places[:, None] + column * places) / size)
        self.register_buffer("wave", wave / wave.square().sum())

    def forward(self, x: Tensor) -> Tensor:
        x = self.layer4(self.layer3(self.layer2(self.layer1(self.relu(x)))))
        strength = (x[:, 0] * self.wave).sum((1, 2))
        return torch.stack([0.1 + strength, -strength, torch.full_like(strength, -9)], 1)


def asked(model: nn.Module, images: Tensor, labels: Tensor | None = None) -> Asked:
    y = torch.zeros(len(images), dtype=torch.int64) if labels is None else labels
    return Asked(model.eval(), images, y, (), torch.Generator().manual_seed(0))


def pictures(n: int = 6, size: int = 16) -> Tensor:
    return 0.3 + 0.4 * torch.rand(n, 1, size, size, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(("row", "column"), [(0, 1), (3, 4), (8, 8)])
def test_the_spectrum_of_a_network_that_reads_one_wave(row, column):
    """The shortest way to change its answer is that wave, so all power lies at its frequency."""
    images = pictures()
    waves = Staged(row, column)
    images -= (images[:, 0] * waves.wave).sum((1, 2)).view(-1, 1, 1, 1) * waves.wave / waves.wave.square().sum()
    outcome = radial_spectrum.ask(RadialSpectrum(search="fmn", steps=60), asked(waves, images))
    radius = math.hypot(row / 8, column / 8) / math.sqrt(2)
    shares, radii = outcome.arrays["shares"], outcome.arrays["radii"]
    assert shares[radii < radius - 1e-3].max(initial=0) < 0.02
    assert shares[radii > radius - 1e-3].min() > 0.98
    assert outcome.values["value"][0] == pytest.approx(100 * radius, abs=9)  # between two neighbouring radii
    shortest = 0.05 / math.sqrt(float(waves.wave.square().sum())) / 16  # to equal logits, as RMS
    assert np.median(outcome.values["distance"]) == pytest.approx(shortest, rel=0.1)
    assert outcome.bits["correct"].all()


def test_no_image_fooled_gives_no_radius():
    outcome = radial_spectrum.ask(
        RadialSpectrum(search="fmn", steps=2), asked(Staged(1, 1), pictures(), torch.full((6,), 2))
    )
    assert outcome.values["value"] == [None]
    assert set(outcome.values["distance"]) == {0.0}


def test_common_corruptions_count_each_one():
    class Bright(nn.Module):
        def forward(self, x):
            return torch.stack([0.55 - x.mean((1, 2, 3)), torch.zeros(len(x))], 1)  # right while not brighter

    images = torch.full((8, 1, 16, 16), 0.4)
    outcome = common_corruptions.ask(CommonCorruptions(band="low", severity=4), asked(Bright(), images))
    assert not outcome.bits["brightness"].any()  # 0.2 brighter
    assert outcome.bits["contrast"].all()
    rates = [outcome.bits[name].mean() for name in ("snow", "frost", "fog", "brightness", "contrast")]
    assert outcome.values["value"][0] == pytest.approx(100 * np.mean(rates))
    assert outcome.values["radius of brightness"][0] == 0
    high = common_corruptions.ask(CommonCorruptions(band="high", severity=4), asked(Bright(), images))
    assert high.values["radius of gaussian_noise"][0] == pytest.approx(56, abs=4)  # white
    assert CommonCorruptions(band="low", severity=4).name == "low 4"


def test_similarities_against_numpy():
    images = pictures(30)
    outcome = similarities.ask(Similarities(), asked(Staged(1, 1), images))
    x = images.double().flatten(1).numpy()
    units = x - x.mean(0)
    units /= np.linalg.norm(units, axis=1, keepdims=True)
    assert np.allclose(outcome.arrays["pixel"], units @ units.T, atol=2e-3)
    centred = x - x.mean()
    centred /= np.linalg.norm(centred, axis=1, keepdims=True)
    assert np.allclose(outcome.arrays["layers"][3], centred @ centred.T, atol=2e-3)
    counts, _ = np.histogram((units @ units.T)[np.triu_indices(30, 1)], bins=200, range=(-1, 1))
    assert np.allclose(outcome.arrays["histogram"], counts / counts.sum(), atol=3 / 435)


def test_the_feature_attack_finds_the_layer_that_matters():
    class Channels(Staged):
        """The answer hangs on one layer's features; the other layers see nothing."""

        def forward(self, x):
            hidden = self.relu(x)
            zero = 0 * x
            for layer in (self.layer1, self.layer2, self.layer3, self.layer4):
                zero = layer(zero + 1)
            stripes = (hidden[:, :, ::2] - hidden[:, :, 1::2]).mean((1, 2, 3))
            return torch.stack([stripes, -stripes], 1)

    images = torch.full((5, 1, 16, 16), 0.45)
    images[:, :, ::2] += 0.1
    question = FeatureAttack(eps="0.2", steps=10)
    outcome = feature_attack.ask(question, asked(Channels(1, 1), images))
    assert not outcome.bits["layer_1"].any()
    assert outcome.bits["layer_3"].all()
    assert not outcome.bits["correct"].any()
    small = feature_attack.ask(replace(question, eps="0.001"), asked(Channels(1, 1), images))
    assert small.bits["correct"].all()


def test_blur_is_scipys():
    x = pictures(2, 16)
    for sigma in (0.7, 1.5):
        ours = blur.GaussianBlur(sigma)(x)
        theirs = ndimage.gaussian_filter(x[1, 0].numpy(), sigma, truncate=3.0, mode="mirror")
        assert np.allclose(ours[1, 0].numpy(), theirs, atol=1e-5)
    with pytest.raises(UserError, match=r"sigma = 0\.0 is no width"):
        blur.GaussianBlur(0.0)


# --- through a training


def network(**options: object) -> Network:
    recipe = Recipe(epochs=1, batch=32, decay="0", schedule="constant", rate="0.05")
    architecture = Architecture(name="resnet18_stem7", width=2)
    return Network(data=DIGITS, architecture=architecture, recipe=recipe, seed=0, **options)  # type: ignore[arg-type]


BASE = PixelSimilarity(threshold="0.5", count=60, pairs=4)


def test_the_networks_have_the_papers_parameters():
    for gray, parameters in ((True, 11_175_375), (False, 11_181_647)):
        declared = Network(
            data=Data(name="cifar10", size=32, gray=gray),
            architecture=Architecture(name="resnet18_stem7"),
            recipe=Recipe(epochs=1),
            seed=0,
        )
        model = train.assemble(declared)
        layers = 5  # logits of the mixture, which the released code keeps in the network
        assert sum(p.numel() for p in model.parameters()) + layers == parameters
        assert model(torch.rand(2, 1 if gray else 3, 32, 32)).shape == (2, 10)


def test_training_keeps_what_the_regularizer_did():
    kept = train.make(network(defense=BASE)).history
    assert len(kept["similarity_loss"]) == 1
    assert sum(kept[f"layer_weight_{k}"][0] for k in range(1, 6)) == pytest.approx(1)
    assert kept["layer_weight_1"][0] != 0.2
    assert 0 < kept["percent_plus"][0] < 50


def test_pairs_without_weight_change_the_running_averages_only():
    twin = train.make(network()).model
    pairs = train.make(network(defense=replace(BASE, alpha="0"))).model
    for (name, one), (_, other) in zip(twin.named_parameters(), pairs.named_parameters(), strict=True):
        assert torch.equal(one, other), name
    assert not torch.equal(twin.network.bn1.running_mean, pairs.network.bn1.running_mean)


def test_separate_statistics_are_those_of_the_class_images():
    loss = replace(BASE, alpha="0", statistics="separate")
    one, other = train.make(network()).model, train.make(network(defense=loss)).model
    for (name, a), (_, b) in zip(one.state_dict().items(), other.state_dict().items(), strict=True):
        assert torch.equal(a, b), name


def test_pairs_of_other_images():
    foreign = replace(BASE, source=Data(name="digits", size=12), alpha="1")
    kept = train.make(network(defense=foreign)).history
    assert kept["similarity_loss"] != train.make(network(defense=replace(BASE, alpha="1"))).history["similarity_loss"]
    with pytest.raises(UserError, match='"label" compares labels of the training images'):
        train.make(network(defense=replace(foreign, target="label")))


@pytest.mark.parametrize("target", ["pixel", "low", "positive", "negative", "double", "shuffled", "random", "label"])
def test_every_target_trains(target):
    kept = train.make(network(defense=replace(BASE, target=target, second="0.2"))).history
    assert math.isfinite(kept["similarity_loss"][0])


def test_blur_stands_before_the_network_and_is_there_when_weights_are_loaded():
    declared = network(defense=Blur(sigma="1"))
    trained = train.make(declared).model
    again = train.assemble(declared)
    again.load_state_dict(trained.state_dict())
    x = pictures(3, 8)
    assert torch.equal(again.eval()(x), trained(x))
    inner = nn.Sequential(trained.normalize, trained.network)
    assert torch.equal(inner(trained.blur(x)), trained(x))


@pytest.mark.skipif(
    any(data.check(name).state != "intact" for name in ("cifar10", "mnist")), reason="the data sets are not at hand"
)
def test_the_full_grid_runs_on_its_own_data(monkeypatch):
    """Every kind of row and question of the full grid on CIFAR-10, narrowed and shortened."""
    short = replace(
        FULL,
        data=replace(FULL.data, train=160),
        width=2,
        recipe=replace(FULL.recipe, epochs=2, cycle=1, validation=32),
        regularizer=replace(FULL.regularizer, count=60, threshold="0.5"),
        foreign={"MNIST pairs": replace(FULL.foreign["MNIST pairs"], count=60, threshold="0.2")},
        wide=("colour thresholded", "MNIST pairs", "alpha 4, Th 0.4", "8 pairs"),
        adversary=replace(FULL.adversary, steps=1),
        effort=replace(
            FULL.effort,
            images=8,
            corrupted_images=8,
            white_box_images=4,
            white_box_steps=2,
            boundary_images=2,
            boundary_steps=(),
            spectrum=(RadialSpectrum(search="boundary", steps=3),),
            spectrum_images=2,
            fmn_images=4,
            fmn_steps=2,
            similar_images=40,
            auto_images=1,
            check_images=0,
        ),
    )
    monkeypatch.setitem(SETTINGS, ("full", "cifar10"), short)
    study = trials("full", "cifar10", (1,))
    made = {}
    for trial in study.trials:
        if trial.label in ("source standard", "thresholded", "colour thresholded", "MNIST pairs"):
            made[trial.network] = train.make(trial.network).model
            kinds = set()
            for measurement in trial.measurements:
                if measurement.question.kind in kinds or not set(measurement.sources) <= set(made):
                    continue
                kinds.add(measurement.question.kind)
                split = data.select(data.load(trial.network.data, measurement.images.split), measurement.images)
                outcome = measure(measurement, made[trial.network], split, [made[s] for s in measurement.sources])
                assert outcome.bits or outcome.values or outcome.arrays
    asked_of_one = Measurement(question=Clean(), images=Images(n=8))
    assert all(asked_of_one in trial.measurements for trial in study.trials)
    assert len(made) == 4


@pytest.mark.parametrize(("pairs", "memory"), [(None, 1.0), (8, 2.0), (16, 3.0)])
def test_pairs_cost_memory_in_proportion_to_their_images(pairs, memory):
    architecture = Architecture(name="resnet18_stem7", width=4)
    defense = None if pairs is None else PixelSimilarity(pairs=pairs)
    recipe = Recipe(epochs=3, batch=16, validation=20, select="best_loss")
    network = Network(data=DIGITS, architecture=architecture, recipe=recipe, seed=0, defense=defense)
    outcomes = [
        training_cost.ask(TrainingCost(name=name, network=network, steps=2), asked(nn.Identity(), pictures()))
        for name in ("time", "memory")
    ]
    assert outcomes[0].values["value"][0] > 0.5
    assert outcomes[1].values["value"][0] == pytest.approx(memory, rel=0.3)


@pytest.mark.parametrize("dataset", ["mnist", "fashion_mnist"])
def test_the_first_three_seeds_of_every_row_come_before_others(dataset):
    seeds = [trial.network.seed for trial in trials("narrow", dataset, None).trials if trial.network.seed < 100]
    assert max(seeds[:21]) == 2
    assert set(seeds[21:]) == {3, 4}
