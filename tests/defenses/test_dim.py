"""Denoised Internal Models and their controls, against loops, scikit-learn and arithmetic that is written out here."""

import copy
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.stats import entropy
from sklearn.decomposition import PCA
from sklearn.neighbors import KNeighborsClassifier
from torch import nn

from bioinspired import data
from bioinspired.declarations import Architecture, Data, Network, Recipe
from bioinspired.defenses import class_pca, dim, nearest
from bioinspired.defenses.dim.ensemble import InternalModels
from bioinspired.defenses.dim.fitting import _divergence, class_batches
from bioinspired.defenses.dim.noises import LARGEST, noisy
from bioinspired.defenses.thresholds import Steep, Threshold, differentiated
from bioinspired.errors import UserError
from bioinspired.lab.papers.dim.declarations import DIM, BinaryInput, ClassPCA, DenoisedCNN, NearestNeighbour
from bioinspired.training import train

SHAPE = (1, 8, 8)
SMALL = {"denoiser_widths": (16, 6), "model_widths": (12, 3)}


def draws(seed=0):
    return torch.Generator().manual_seed(seed)


def network(classes=4):
    return nn.Sequential(nn.Flatten(), nn.Linear(64, classes))


def model(seed=0, **options):
    return dim.apply(network(), input_shape=SHAPE, generator=draws(seed), **SMALL | options).eval()


def images(n=24, seed=3, classes=4):
    x = torch.randint(256, (n, *SHAPE), generator=draws(seed), dtype=torch.uint8)
    return x, torch.arange(n) % classes


def one_class(models, c):
    """Class c's autoencoder as ordinary linear layers."""
    layers = []
    for batched in (*models.encoder, *models.decoder):
        _, inputs, outputs = batched.weight.shape
        plain = nn.Linear(inputs, outputs)
        plain.weight.data, plain.bias.data = batched.weight[c].T.detach().clone(), batched.bias[c, 0].detach().clone()
        layers += [plain, nn.ReLU()]
    return nn.Sequential(*layers[:-1], nn.Sigmoid())


def test_a_loop_over_classes_gives_the_same_errors():
    whole = model()
    x = images()[0].float() / 255
    with torch.no_grad():
        u = whole.network.denoised(x).flatten(1)
        looped = torch.stack([(one_class(whole.network.models, c)(u) - u).square().mean(1) for c in range(4)], 1)
        assert torch.allclose(whole(x), -100 * looped, rtol=1e-5, atol=1e-5)


def convolutions_of_one_class(models, c):
    """Class c's convolutional autoencoder as ordinary layers, from images to images."""
    layers = [nn.Unflatten(1, (1, 28, 28))]
    for grouped in (*models.encoder, *models.decoder):
        down = isinstance(grouped, nn.Conv2d)
        inputs, outputs = grouped.in_channels // models.classes, grouped.out_channels // models.classes
        plain = type(grouped)(inputs, outputs, grouped.kernel_size, grouped.stride)
        own = outputs if down else inputs
        plain.weight.data = grouped.weight[c * own : (c + 1) * own].detach().clone()
        plain.bias.data = grouped.bias[c * outputs : (c + 1) * outputs].detach().clone()
        code = down and grouped is models.encoder[-1]
        layers += [plain, nn.ReLU() if code else nn.ELU()]
    return nn.Sequential(*layers[:-1], nn.Sigmoid(), nn.Flatten())


def convolutional(classes=3, **options):
    plain = nn.Sequential(nn.Flatten(), nn.Linear(784, classes))
    options = {"denoiser_widths": (16, 6), "model_widths": (3,), "models": "conv"} | options
    return dim.apply(plain, input_shape=(1, 28, 28), generator=draws(), **options).eval()


def test_a_loop_over_classes_gives_the_same_errors_of_convolutional_models():
    whole = convolutional()
    models = whole.network.models
    x = torch.rand(5, 1, 28, 28, generator=draws())
    with torch.no_grad():
        u = whole.network.denoised(x).flatten(1)
        looped = torch.stack([(convolutions_of_one_class(models, c)(u) - u).square().mean(1) for c in range(3)], 1)
        assert torch.allclose(whole(x), -100 * looped, rtol=1e-5, atol=1e-5)
        own = torch.stack([u, u.flip(0), u.roll(1, 0)])
        assert torch.allclose(models(own)[1], convolutions_of_one_class(models, 1)(own[1]), atol=1e-6)


def test_convolutional_models_learn_their_class():
    whole = convolutional(denoiser="none")
    y = torch.arange(24) % 3
    x = torch.zeros(24, 1, 28, 28, dtype=torch.uint8)
    for c in range(3):
        x[y == c, :, 9 * c : 9 * c + 9] = 200
    dim.fit(whole, images=x, labels=y, epochs=40, batch=12, rate=0.01, generator=draws(), progress=lambda done: None)
    assert torch.equal(whole(x.float() / 255).argmax(1), y)


def test_a_loop_over_classes_trains_the_same_models():
    """Classes of equal size, without a denoiser: each autoencoder alone, with Adam, in the same order of images."""
    x, y = images(24)
    whole = model(denoiser="none")
    alone = [one_class(whole.network.models, c) for c in range(4)]
    dim.fit(whole, images=x, labels=y, epochs=3, batch=12, rate=0.01, generator=draws(), progress=lambda done: None)
    same_order = draws()
    flat = x.flatten(1).float() / 255
    optimizers = [torch.optim.Adam(one.parameters(), lr=0.01) for one in alone]
    for _ in range(3):
        orders = [torch.arange(c, 24, 4)[torch.randperm(6, generator=same_order)] for c in range(4)]
        for step in range(2):
            for one, optimizer, order in zip(alone, optimizers, orders, strict=True):
                u = flat[order[3 * step : 3 * step + 3]]
                optimizer.zero_grad()
                (one(u) - u).square().sum(1).mean().backward()
                optimizer.step()
    for c, one in enumerate(alone):
        trained = one_class(whole.network.models, c)
        for ours, theirs in zip(trained.parameters(), one.parameters(), strict=True):
            assert torch.allclose(ours, theirs, atol=1e-5)


def test_the_logit_scale_changes_logits_and_no_answer():
    x = images()[0].float() / 255
    with torch.no_grad():
        small, large = model(logit_scale=1.0)(x), model(logit_scale=10_000.0)(x)
    assert torch.allclose(10_000 * small, large, rtol=1e-5)
    assert torch.equal(small.argmax(1), large.argmax(1))


@pytest.mark.parametrize(
    ("options", "read", "target"),
    [
        ({}, 64, 64),
        ({"reads": "code"}, 6, 6),
        ({"reads": "code", "target": "raw"}, 6, 64),
        ({"reads": "raw"}, 64, 64),
        ({"target": "raw"}, 64, 64),
        ({"denoiser": "conv"}, 64, 64),
        ({"denoiser": "none"}, 64, 64),
        ({"sparsity": "winners", "winners": 1}, 64, 64),
        ({"sparsity": "kl"}, 64, 64),
        ({"binarized": "before"}, 64, 64),
        ({"binarized": "inside"}, 64, 64),
    ],
)
def test_every_reading_trains_and_answers(options, read, target):
    x, y = images(32)
    whole = model(**options)
    before = copy.deepcopy(whole.state_dict())
    history = dim.fit(whole, images=x, labels=y, epochs=2, batch=8, rate=0.003, generator=draws(),
                      progress=lambda done: None)  # fmt: skip
    assert [tuple(part.shape) for part in whole.network.prepared(x.float() / 255)] == [(32, read), (32, target)]
    assert len(history["internal_error"]) == 2
    assert ("denoising_error" in history) == (options.get("denoiser") != "none")
    changed = [name for name, tensor in whole.state_dict().items() if not torch.equal(tensor, before[name])]
    assert any("models" in name for name in changed)
    assert not whole.training
    point = (x.float() / 255).requires_grad_()
    whole(point).sum().backward()
    assert bool(point.grad.any()), "an attacker has a gradient"


def test_only_the_largest_values_of_a_code_win():
    whole = model(sparsity="winners", winners=2, model_widths=(12, 5))
    codes = whole.network.models.encode(torch.rand(7, 64))
    plain = model(model_widths=(12, 5)).network.models.encode(torch.rand(7, 64, generator=draws(9)))
    assert int((codes > 0).sum(2).max()) <= 2
    assert int((plain > 0).sum(2).max()) > 2


def test_a_penalty_makes_codes_smaller():
    x, y = images(32)
    sizes = []
    for options in ({}, {"sparsity": "l1", "penalty": 100.0}):
        whole = model(denoiser="none")
        dim.fit(whole, images=x, labels=y, epochs=20, batch=8, rate=0.01, generator=draws(),
                progress=lambda done: None, **options)  # fmt: skip
        sizes.append(float(whole.network.models.encode(x.flatten(1).float() / 255).detach().abs().mean()))
    assert sizes[1] < 0.5 * sizes[0]


def test_kl_sparsity_brings_the_mean_of_every_code_to_the_activity():
    x, y = images(32)
    means = []
    for penalty in (0.0, 100.0):
        whole = model(denoiser="none", sparsity="kl")
        dim.fit(whole, images=x, labels=y, epochs=60, batch=32, rate=0.01, generator=draws(), sparsity="kl",
                penalty=penalty, activity=0.2, progress=lambda done: None)  # fmt: skip
        codes = whole.network.models.encode(torch.stack([x[y == c].flatten(1).float() / 255 for c in range(4)]))
        means.append(codes.detach().mean(1))
    assert float((means[1] - 0.2).abs().max()) < 0.03 < float((means[0] - 0.2).abs().max())


def test_the_divergence_is_scipys():
    codes = torch.tensor([[0.2, 0.7], [0.01, 0.5]])
    expected = sum(entropy([0.1, 0.9], [q, 1 - q]) for q in codes.flatten().tolist())
    assert float(_divergence(codes, 0.1)) == pytest.approx(expected, rel=1e-5)


def test_penalties_do_not_depend_on_how_many_images_a_step_has():
    """Two classes of different size in one step: the mean code counts each class's own images, not the padding."""
    x = images(12)[0]
    y = torch.tensor([0] * 8 + [1] * 4)
    whole = dim.apply(network(2), input_shape=SHAPE, generator=draws(), denoiser="none", **SMALL)
    twin = copy.deepcopy(whole)
    for made, times in ((whole, 1), (twin, 3)):
        dim.fit(made, images=x.repeat(times, 1, 1, 1), labels=y.repeat(times), epochs=1, batch=10**6, rate=0.01,
                generator=draws(), sparsity="l1", penalty=10.0, progress=lambda done: None)  # fmt: skip
    for ours, theirs in zip(whole.parameters(), twin.parameters(), strict=True):
        assert torch.allclose(ours, theirs, atol=1e-4)


def test_rescaling_divides_by_each_class_own_error():
    x, y = images(32)
    whole = model()
    dim.fit(whole, images=x, labels=y, epochs=1, batch=8, rate=0.003, generator=draws(), rescaled=True,
            progress=lambda done: None)  # fmt: skip
    with torch.no_grad():
        errors = whole.network.errors(x.float() / 255).numpy()
    own = np.array([errors[y.numpy() == c, c].mean() for c in range(4)])
    assert whole.network.scale.numpy() == pytest.approx(own / np.exp(np.log(own).mean()), rel=1e-4)
    assert whole(x.float() / 255).detach().numpy() == pytest.approx(
        -100 * errors / whole.network.scale.numpy(), rel=1e-4
    )


def test_noise_in_use_is_random_and_training_draws_none():
    whole = model(test_noise=0.2)
    x = images()[0].float() / 255
    assert not torch.equal(whole(x), whole(x))
    assert torch.equal(whole.train()(x), whole(x))


def test_an_epoch_shows_every_image_once_and_balanced_as_many_of_every_class():
    labels = torch.tensor([0] * 10 + [1] * 4 + [2] * 7)
    for balanced, expected in ((False, (10, 4, 7)), (True, (10, 10, 10))):
        steps = list(class_batches(labels, 3, 6, draws(), balanced=balanced))
        assert len(steps) == 5
        for c, number in enumerate(expected):
            shown = torch.cat([chosen[c, there[c] > 0] for chosen, there in steps])
            assert len(shown) == number
            assert set(shown.tolist()) == set((labels == c).nonzero().flatten().tolist())


@pytest.mark.parametrize(("noise", "deviation"), [("gaussian", 0.1), ("uniform", 0.1 / 3**0.5)])
def test_noise_has_its_level(noise, deviation):
    x = torch.full((50, 1, 20, 20), 0.5)
    made = noisy(x, noise, 0.1, draws())
    assert float((made - x).mean()) == pytest.approx(0, abs=0.005)
    assert float(made.std()) == pytest.approx(deviation, rel=0.02)


def test_salt_and_pepper_sets_values_to_both_ends():
    made = noisy(torch.full((50, 1, 20, 20), 0.5), "salt_and_pepper", 0.2, draws())
    assert [float((made == v).double().mean()) for v in (0, 1)] == pytest.approx([0.1, 0.1], abs=0.01)


def test_the_mixture_leaves_some_images_clean_and_levels_differ():
    x = torch.full((600, 1, 30, 30), 0.5)
    made = noisy(x, "mixture", None, draws())
    assert float((made == x).flatten(1).all(1).double().mean()) == pytest.approx(0.1, abs=0.04)
    levels = noisy(x, "uniform", None, draws()).sub(0.5).abs().flatten(1).amax(1)
    assert float(levels.max()) <= LARGEST["uniform"]
    assert float(levels.median()) == pytest.approx(LARGEST["uniform"] / 2, rel=0.15)


def test_a_threshold_gives_two_values_and_the_gradient_of_the_identity():
    x = torch.rand(5, *SHAPE, generator=draws()).requires_grad_()
    out = Threshold(0.3, training=False).eval()(x)
    assert torch.equal(out.detach(), (x >= 0.3).float())
    weights = torch.rand(5, *SHAPE, generator=draws(1))
    (out * weights).sum().backward()
    assert torch.equal(x.grad, weights)
    assert torch.equal(Threshold(0.3, training=False).train()(x), x)


def test_a_threshold_may_have_the_gradient_of_a_sigmoid_and_has_its_own_again_afterwards():
    part = Threshold(0.3, training=False).eval()
    x = torch.rand(5, *SHAPE, generator=draws()).requires_grad_()
    with differentiated(nn.Sequential(part), 0.2):
        out = part(x)
        assert torch.equal(out.detach(), (x >= 0.3).float())
        out.sum().backward()
    smooth = x.detach().requires_grad_()
    torch.sigmoid((smooth - 0.3) / 0.2).sum().backward()
    assert torch.allclose(x.grad, smooth.grad)
    assert part.width is None
    with pytest.raises(UserError, match="no threshold"), differentiated(network(), 0.1):
        pass


def test_a_steep_step_may_have_a_softer_gradient():
    x = torch.linspace(-2, 2, 9).requires_grad_()
    part = Steep(0.1)
    assert torch.equal(part(x), (x / 0.1).sigmoid())
    with differentiated(part, 1.0):
        out = part(x)
    assert torch.equal(out, (x / 0.1).sigmoid())
    out.sum().backward()
    soft = x.detach().sigmoid()
    assert torch.allclose(x.grad, soft * (1 - soft))


def test_a_denoiser_that_binarises_has_a_step_to_soften():
    with differentiated(model(binarized="inside"), 1.0):
        pass


def test_principal_models_are_scikit_learns():
    x, y = images(80)
    whole = class_pca.apply(network(), input_shape=SHAPE, generator=draws(), components=5, logit_scale=1.0)
    class_pca.fit(whole, images=x, labels=y)
    flat = x.flatten(1).numpy() / 255
    expected = []
    for c in range(4):
        found = PCA(5, svd_solver="full").fit(flat[y.numpy() == c])
        expected.append(((found.inverse_transform(found.transform(flat)) - flat) ** 2).mean(1))
    assert whole(x.float() / 255).numpy() == pytest.approx(-np.stack(expected, 1), abs=1e-5)


def test_the_nearest_neighbour_is_scikit_learns():
    x, y = images(60)
    whole = nearest.apply(network(), input_shape=SHAPE, generator=draws(), images=40)
    nearest.fit(whole, images=x, labels=y)
    found = KNeighborsClassifier(1).fit(x[:40].flatten(1).numpy(), y[:40].numpy())
    probe = torch.rand(30, *SHAPE, generator=draws(5))
    assert torch.equal(whole(probe).argmax(1), torch.tensor(found.predict(255 * probe.flatten(1).numpy())))


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: model(denoiser="none", reads="code"), "no code to read"),
        (lambda: model(model_widths=()), "at least one width"),
        (lambda: model(models="conv"), "gray images of 28 x 28"),
        (lambda: convolutional(reads="code"), "gray images of 28 x 28"),
        (lambda: class_pca.apply(network(), input_shape=SHAPE, generator=draws(), components=65), "between 1 and 64"),
        (lambda: nearest.fit(nearest.apply(network(), input_shape=SHAPE, generator=draws(), images=99),
                             images=images()[0], labels=images()[1]), "ask for fewer"),
    ],
)  # fmt: skip
def test_mistakes_are_one_sentence(make, sentence):
    with pytest.raises(UserError, match=sentence):
        make()


def test_a_random_ensemble_has_pytorchs_initial_weights():
    made = InternalModels(3, 50, 50, (20, 5))
    for layer, (inputs, _) in zip((*made.encoder, *made.decoder), pairwise((50, 20, 5, 20, 50)), strict=True):
        bound = inputs**-0.5
        assert 0.9 * bound < float(layer.weight.detach().abs().max()) <= bound


# As networks of a study

TINY = Network(
    data=Data(name="digits", size=8, train=400),
    architecture=Architecture(name="small_cnn", width=4, normalize=False),
    recipe=Recipe(epochs=25, batch=20, rate="0.003", optimizer="adam", schedule="constant", decay="0"),
    seed=0,
)
DEFENSES = {
    "DIM": DIM(denoiser_widths=(48, 24), model_widths=(24, 6)),
    "class PCA": ClassPCA(components=6),
    "nearest neighbour": NearestNeighbour(images=400),
    "denoiser + CNN": DenoisedCNN(denoiser_widths=(48, 24)),
    "Binary CNN": BinaryInput(),
}


@pytest.fixture(scope="module")
def test_images():
    split = data.load(TINY.data, "test")
    return split.images.float() / 255, split.labels


@pytest.mark.parametrize("label", DEFENSES)
def test_a_defense_learns_digits_and_its_weights_come_back(label, test_images):
    wanted = replace(TINY, defense=DEFENSES[label])
    trained = train.make(wanted)
    x, y = test_images
    with torch.no_grad():
        logits = trained.model(x)
        assert float((logits.argmax(1) == y).double().mean()) > (0.4 if label == "Binary CNN" else 0.8)
        again = train.assemble(wanted)
        again.load_state_dict(trained.model.state_dict())
        assert torch.equal(again.eval()(x), logits)


def test_the_binary_network_has_the_undefended_weights():
    short = replace(TINY, recipe=replace(TINY.recipe, epochs=1))
    twin = train.make(short).model.state_dict()
    ours = train.make(replace(short, defense=BinaryInput())).model.state_dict()
    assert [name for name in twin if not torch.equal(twin[name], ours[name])] == []
