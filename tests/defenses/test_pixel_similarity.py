"""The pixel-similarity regularizer against NumPy arithmetic of the paper's formula and of its code's convention."""

import math
from itertools import combinations

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor, nn

from bioinspired.defenses import pixel_similarity
from bioinspired.defenses.pixel_similarity import cropped, pairs, regularizer
from bioinspired.defenses.pixel_similarity.features import Mixture, default_layers, features
from bioinspired.defenses.pixel_similarity.loss import pair_loss
from bioinspired.defenses.pixel_similarity.pairs import Pairs
from bioinspired.defenses.pixel_similarity.targets import drawn, thresholded, unit_images
from bioinspired.errors import UserError


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def some_images(n: int = 40, channels: int = 1, size: int = 8) -> Tensor:
    """Smooth images, so that some pairs are very alike and some nearly opposite."""
    coarse = torch.rand(n, channels, 2, 2, generator=generator(7))
    fine = nn.functional.interpolate(coarse, size=(size, size), mode="bilinear", align_corners=False)
    return (255 * fine).to(torch.uint8)


def pixel_matrix(images: Tensor) -> np.ndarray:
    """S^pixel of the released code: channels averaged, the mean image taken off, cosines."""
    x = images.numpy().astype(np.float64).mean(axis=1).reshape(len(images), -1)
    x = x - x.mean(axis=0)
    x = x / np.linalg.norm(x, axis=1, keepdims=True)
    return x @ x.T


class Two(nn.Sequential):
    """Two convolutions and a read-out, with batch normalisation."""

    def __init__(self, channels: int = 1) -> None:
        super().__init__(
            nn.Conv2d(channels, 3, 3, padding=1), nn.BatchNorm2d(3), nn.ReLU(),
            nn.Conv2d(3, 4, 3, stride=2, padding=1), nn.ReLU(),
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5),
        )  # fmt: skip


def two(channels: int = 1) -> Two:
    torch.manual_seed(3)
    return Two(channels).train()


LAYERS = ("2", "4")


def made(model: nn.Module, images: Tensor, **options: object) -> pixel_similarity.PixelSimilarity:
    labels = torch.arange(len(images)) % 5
    options = {"threshold": 0.5, "pairs": 8, "layers": LAYERS} | options
    return regularizer(model, images=images, labels=labels, generator=generator(1), **options)  # type: ignore[arg-type]


# --- targets


@pytest.mark.parametrize("channels", [1, 3])
def test_pixel_similarity_is_the_codes(channels):
    images = some_images(channels=channels)
    units = unit_images(images)
    assert np.allclose((units @ units.T).numpy(), pixel_matrix(images), atol=1e-6)


def test_an_image_equal_to_the_mean_image_has_no_similarity():
    images = torch.tensor([[[[0, 200]]], [[[200, 0]]], [[[100, 100]]]], dtype=torch.uint8)
    units = unit_images(images)
    assert torch.equal(units[2], torch.zeros(2))
    assert (units @ units.T)[0, 1] == pytest.approx(-1)


def test_threshold_is_strict():
    similarity = torch.tensor([0.9, 0.5, 0.2, 0.0, -0.2, -0.5, -0.9])
    assert thresholded(similarity, 0.5).tolist() == [1, 0, 0, 0, 0, 0, -1]


@pytest.mark.parametrize(
    ("target", "kept"),
    [
        ("thresholded", [0.9, 0.6, 0.4, 0.1, -0.1, -0.4, -0.6, -0.9]),
        ("low", [0.4, 0.1, -0.1, -0.4]),
        ("high", [0.9, 0.6, -0.6, -0.9]),
        ("positive", [0.9, 0.6, 0.4, 0.1, -0.1, -0.4]),
        ("negative", [0.4, 0.1, -0.1, -0.4, -0.6, -0.9]),
        ("double", [0.9, 0.6, 0.1, -0.1, -0.6, -0.9]),
    ],
)
def test_parts_draw_the_pairs_of_the_released_code(target, kept):
    similarity = torch.tensor([0.9, 0.6, 0.4, 0.1, -0.1, -0.4, -0.6, -0.9])
    mask = drawn(target, similarity, threshold=0.5, second=0.2)
    assert similarity[mask].tolist() == pytest.approx(kept)


# --- pairs


@pytest.fixture(params=["listed", "searched"])
def way(request, monkeypatch):
    if request.param == "searched":
        monkeypatch.setattr(pairs, "LISTED", 0)
    return request.param


def test_an_epoch_shows_every_pair_that_fits_once(way):
    units = unit_images(some_images(24))
    matrix = pixel_matrix(some_images(24))
    fitting = {(i, j) for i, j in combinations(range(24), 2) if abs(matrix[i, j]) > 0.4}
    order = Pairs(units, lambda cosine: cosine.abs() > 0.4, generator())
    assert order.count == len(fitting)
    draws = [order.draw(5) for _ in range(len(fitting) // 5)]
    seen = [(int(i), int(j)) for first, second in draws for i, j in zip(first, second, strict=True)]
    assert len(set(seen)) == len(seen)
    assert set(seen) <= fitting
    order.draw(5)  # fewer than five are left: a new epoch
    assert len(fitting - set(seen)) < 5


def test_pairs_are_uniform(way):
    order = Pairs(unit_images(some_images(6)), lambda cosine: torch.ones_like(cosine, dtype=torch.bool), generator())
    counts = np.zeros((6, 6))
    for _ in range(3000):
        order.restart()
        i, j = order.draw(2)
        np.add.at(counts, (i.numpy(), j.numpy()), 1)
    upper = counts[np.triu_indices(6, 1)]
    assert upper.sum() == counts.sum() == 6000
    assert stats.chisquare(upper).pvalue > 1e-3


def test_similarities_come_in_pieces(monkeypatch):
    monkeypatch.setattr(pairs, "ROWS", 7)
    images = some_images(20)
    found = [torch.stack(piece) for piece in pairs.similarities(unit_images(images))]
    i, j, cosine = torch.cat(found, 1)
    assert len(found) == 3
    rows, columns = np.triu_indices(20, 1)
    assert set(zip(i.int().tolist(), j.int().tolist(), strict=True)) == set(
        zip(rows.tolist(), columns.tolist(), strict=True)
    )
    assert np.allclose(cosine.numpy(), pixel_matrix(images)[i.int().numpy(), j.int().numpy()], atol=1e-6)


def test_too_few_pairs():
    with pytest.raises(UserError, match=r"Only 0 pairs of 40 images fit the target, and 8 are drawn at a time"):
        made(two(), some_images(), target="high", threshold=0.99999)(two())


# --- loss


@pytest.mark.parametrize(
    ("similarity", "target", "cost"), [(0.0, 1, 149.0), (0.9, 1, 85.8), (0.99, 1, 47.8), (0.5, 0, 1.207)]
)
def test_known_costs_of_one_pair(similarity, target, cost):
    loss = pair_loss(torch.tensor([similarity]), torch.tensor([float(target)]))
    assert float(loss) == pytest.approx(cost, rel=0.002)


def test_a_term_of_the_code_is_four_of_the_formula():
    similarity, target = torch.tensor([0.3, -0.2, 0.7]), torch.tensor([0.1, 0.4, -0.5])
    formula = 2 * float(np.sum((np.arctanh(similarity.numpy()) - np.arctanh(target.numpy())) ** 2))
    assert float(pair_loss(similarity, target, "formula")) == pytest.approx(formula, rel=1e-5)
    assert float(pair_loss(similarity, target)) == pytest.approx(4 * formula / 2 / 3, rel=1e-4)
    assert float(pair_loss(similarity, target, "plain")) == pytest.approx((0.04 + 0.36 + 1.44) / 3, rel=1e-5)


def test_losses_are_finite_at_the_ends():
    similarity = torch.tensor([1.0, -1.0, 1.0], requires_grad=True)
    for convention in ("code", "formula", "plain"):
        loss = pair_loss(similarity, torch.tensor([1.0, -1.0, -1.0]), convention)
        assert torch.isfinite(loss)
        assert torch.isfinite(torch.autograd.grad(loss, similarity)[0]).all()


# --- the whole regularizer


def numpy_loss(maps, means, logits, target, convention):
    """The paper's formula or the released code's convention, in NumPy, from feature maps of both images of each pair.

    maps: per layer (first, second) [k, C, H, W]; means: per layer [C], the running mean before this step.
    """
    gamma = np.exp(logits) / np.exp(logits).sum()
    mixed = np.zeros(len(target))
    for weight, (first, second), mean in zip(gamma, maps, means, strict=True):
        batch = np.concatenate([first, second]).mean(axis=(0, 2, 3))
        now = 0.9 * mean + 0.1 * batch
        for k in range(len(target)):
            a = (first[k] - now[:, None, None]).ravel()
            b = (second[k] - now[:, None, None]).ravel()
            mixed[k] += weight * (a @ b) / np.sqrt((a @ a) * (b @ b))
    if convention == "code":
        e = 1e-5
        u, v = (np.log((1 + x + e) / (1 - x + e)) for x in (mixed, target))
        return np.mean((u - v) ** 2)
    difference = np.arctanh(mixed) - np.arctanh(np.clip(target, -1 + 1e-5, 1 - 1e-5))
    return 2 * np.sum(difference**2)


@pytest.mark.parametrize("convention", ["code", "formula"])
@pytest.mark.parametrize("target", ["pixel", "thresholded"])
def test_two_steps_against_numpy(convention, target):
    images, model = some_images(), two()
    found = made(model, images, target=target, convention=convention, alpha=3.0)
    drawn_before = made(model, images, target=target)._pairs
    (logits,) = found.parameters()
    logits.data = torch.tensor([0.4, -0.3])
    similarity = pixel_matrix(images)
    means = [np.zeros(3), np.zeros(4)]
    for _ in range(2):
        i, j = drawn_before.draw(8)
        maps = []
        both = [
            [map.detach().double().numpy() for map in features(model, images[k].float() / 255, LAYERS)] for k in (i, j)
        ]
        maps = list(zip(*both, strict=True))
        wanted = similarity[i.numpy(), j.numpy()]
        if target == "thresholded":
            wanted = np.where(wanted > 0.5, 1.0, np.where(wanted < -0.5, -1.0, 0.0))
        expected = numpy_loss(maps, means, np.array([0.4, -0.3]), wanted, convention)
        assert float(found(model).detach()) == pytest.approx(3 * expected, rel=2e-3)
        means = [
            0.9 * mean + 0.1 * np.concatenate(pair).mean(axis=(0, 2, 3)) for mean, pair in zip(means, maps, strict=True)
        ]


def test_gradients_reach_the_network_and_the_mixture():
    model = two()
    found = made(model, some_images())
    found(model).backward()
    (logits,) = found.parameters()
    assert logits.grad is not None
    assert float(logits.grad.abs().sum()) > 0
    assert float(logits.grad.sum()) == pytest.approx(0, abs=1e-4)  # a softmax only shifts weight
    assert model[0].weight.grad is not None
    assert model[7].weight.grad is None or float(model[7].weight.grad.abs().sum()) == 0


def test_history_speaks_of_one_epoch():
    images, model = some_images(), two()
    found = made(model, images)
    similarity = pixel_matrix(images)
    losses = [float(found(model).detach()) / 10 for _ in range(97)]  # 97 x 8 of 780 pairs: all but four
    first = found.history()
    share = 100 * np.mean(similarity[np.triu_indices(40, 1)] > 0.5)
    assert first["similarity_loss"] == pytest.approx(np.mean(losses), rel=1e-4)
    assert first["percent_plus"] == pytest.approx(share, abs=0.6)
    assert first["percent_minus"] > 0
    assert [first["layer_weight_1"], first["layer_weight_2"]] == [0.5, 0.5]
    found(model)
    assert found.history()["similarity_loss"] != first["similarity_loss"]


def test_without_weight_the_pairs_only_move_the_running_averages():
    model, images = two(), some_images()
    before = model[1].running_mean.clone()
    loss = made(model, images, alpha=0.0)(model)
    assert float(loss) == 0
    assert not loss.requires_grad
    assert not torch.equal(model[1].running_mean, before)
    assert int(model[1].num_batches_tracked) == 2


def test_pairs_take_seventy_percent_of_the_running_averages():
    """Momentum 0.1, three updates a step: the class batch, then two of pairs. At steady state 0.3 to 0.7."""
    model = two()
    with torch.no_grad():
        model[0].weight.zero_()
    found = made(model, some_images(), alpha=0.0)
    with torch.no_grad():
        for _ in range(80):
            model[0].bias.fill_(1.0)
            model(torch.zeros(4, 1, 8, 8))
            model[0].bias.fill_(0.0)
            found(model)
    share = 0.1 * 0.9**2 / (1 - 0.9**3)
    assert model[1].running_mean.tolist() == pytest.approx([share] * 3, rel=1e-3)
    assert round(share, 1) == 0.3


def test_separate_statistics_leave_the_running_averages_alone():
    images, shared, separate = some_images(), two(), two()
    losses = [float(made(m, images, statistics=s)(m).detach()) for m, s in ((shared, "shared"), (separate, "separate"))]
    assert losses[0] == losses[1]
    assert torch.equal(separate[1].running_mean, torch.zeros(3))
    assert int(separate[1].num_batches_tracked) == 0
    assert separate[1].track_running_stats
    assert not torch.equal(shared[1].running_mean, torch.zeros(3))


def test_shuffled_targets_have_the_same_law_and_another_order():
    images = some_images()
    plain, shuffled = (made(two(), images, target=target) for target in ("thresholded", "shuffled"))
    i, j = torch.triu_indices(40, 40, 1)
    a, b = plain._wanted(i, j), shuffled._wanted(i, j)
    assert sorted(a.tolist()) == sorted(b.tolist())
    assert not torch.equal(a, b)
    assert torch.equal(b, shuffled._wanted(i, j))


def test_random_targets_keep_the_shares():
    images = some_images()
    found = made(two(), images, target="random")
    similarity = pixel_matrix(images)[np.triu_indices(40, 1)]
    i, j = torch.triu_indices(40, 40, 1)
    drawn_targets = torch.cat([found._wanted(i, j) for _ in range(20)])
    expected = [np.mean(similarity > 0.5), np.mean(similarity < -0.5)]
    assert [float((drawn_targets == t).float().mean()) for t in (1, -1)] == pytest.approx(expected, abs=0.02)


def test_label_targets():
    found = made(two(), some_images(), target="label")
    i, j = torch.tensor([0, 1, 2]), torch.tensor([5, 7, 7])
    assert found._wanted(i, j).tolist() == [1, 0, 1]


def test_the_same_seed_draws_the_same_pairs():
    losses = []
    for _ in range(2):
        model = two()
        found = made(model, some_images())
        losses.append([float(found(model).detach()) for _ in range(3)])
    assert losses[0] == losses[1]


def test_crops_are_shifts_with_mirrored_borders():
    image = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)
    padded = np.pad(image[0, 0].numpy(), 4, mode="reflect")
    corners = [(top, left) for top in range(9) for left in range(9)]
    windows = {padded[top : top + 16, left : left + 16].tobytes() for top, left in corners}
    out = cropped(image.expand(300, 1, 16, 16), generator())[:, 0].numpy()
    flipped = out[:, 8, 7] > out[:, 8, 8]  # the ramp rises to the right in the middle of every shift
    assert stats.binomtest(int(flipped.sum()), 300).pvalue > 1e-3
    upright = np.where(flipped[:, None, None], out[:, :, ::-1], out)
    found = {np.ascontiguousarray(x).tobytes() for x in upright}
    assert found <= windows
    assert len(found) > 70  # of 81


def test_count_takes_the_first_images():
    assert len(made(two(), some_images(), count=10)._images) == 10


# --- any network


class Stages(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.relu = nn.ReLU()
        for k in range(1, 5):
            setattr(self, f"layer{k}", nn.Conv2d(1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.layer4(self.layer3(self.layer2(self.layer1(self.relu(x))))).mean((1, 2, 3))


def test_layers_of_a_residual_network_are_found():
    assert default_layers(Stages()) == ("relu", "layer1", "layer2", "layer3", "layer4")
    model = nn.Sequential(nn.Identity(), Stages())
    assert default_layers(model) == ("1.relu", "1.layer1", "1.layer2", "1.layer3", "1.layer4")
    made(model, some_images(), layers=())(model).backward()
    with pytest.raises(UserError, match="Two has no stages"):
        made(two(), some_images(), layers=())


def test_features_of_linear_layers_have_a_mean_per_unit():
    mixture = Mixture(1)
    a, b = torch.randn(5, 7, generator=generator()), torch.randn(5, 7, generator=generator(1))
    mean = 0.1 * torch.cat([a, b]).mean(0)
    expected = nn.functional.cosine_similarity(a - mean, b - mean)
    assert torch.allclose(mixture([a], [b]), expected, atol=1e-6)


def test_mistakes_give_a_sentence():
    model, images = two(), some_images()
    for options, sentence in [
        ({"layers": ("9",)}, 'no module "9"'),
        ({"layers": ("2", "2")}, "none of them twice"),
        ({"threshold": 1.0}, "give 0 < threshold < 1"),
        ({"threshold": 0.4, "second": 0.5}, "second below it"),
        ({"alpha": -1.0}, "alpha of at least 0"),
        ({"pairs": 1}, "at least two pairs"),
        ({"count": 1}, "make no pairs"),
    ]:
        with pytest.raises(UserError, match=sentence):
            made(model, images, **options)
    shared = nn.ReLU()
    twice = nn.Sequential(nn.Conv2d(1, 1, 1), shared, shared, nn.Flatten(), nn.Linear(64, 2))
    with pytest.raises(UserError, match='"1" is used more than once'):
        made(twice, images, layers=("1",))(twice)
    unused = Stages()
    unused.add_module("spare", nn.Conv2d(1, 1, 1))
    with pytest.raises(UserError, match='"spare" takes no part'):
        made(unused, images, layers=("spare",))(unused)


def test_similarities_keep_their_digits_in_half_precision():
    same = some_images(1).expand(40, -1, -1, -1)
    term = made(two(), same, target="thresholded", alpha=1.0)
    with torch.autocast("cpu", torch.bfloat16):
        loss = term(two())
    one = math.log((2 + 1e-5) / 1e-5) ** 2  # of a pair at S = 1 whose target is 0
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(one, rel=1e-3)
