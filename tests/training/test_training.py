"""Training does what the recipe says, bit for bit the same again, and alike with and without a defense."""

import itertools
from dataclasses import replace
from typing import Any

import pytest
import torch
from scipy import stats
from torch import Tensor, nn

from bioinspired import data
from bioinspired.declarations import Architecture, Data, Network, PGDTraining, Recipe
from bioinspired.defenses.defective_conv import Defect
from bioinspired.errors import UserError
from bioinspired.lab.papers.defective_conv.declarations import DefectiveConv
from bioinspired.training import train

TINY = Network(
    data=Data(name="digits", size=8, train=64),
    architecture=Architecture(name="resnet18", width=2),
    recipe=Recipe(epochs=2, batch=16),
    seed=3,
)


def tiny(**changes: Any) -> Network:
    recipe = {key: changes.pop(key) for key in list(changes) if key in Recipe.__dataclass_fields__}
    return replace(TINY, recipe=replace(TINY.recipe, **recipe), **changes)


LEARNS: dict[str, Any] = {
    "data": Data(name="digits", size=8),
    "architecture": Architecture(name="vgg", width=8),
    "epochs": 5,
    "batch": 64,
}


def weights(network: Network) -> dict[str, Tensor]:
    return dict(train.make(network).model.named_parameters())


def equal(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


class Spy:
    """Notes the batches that a training shows, by the tensor it makes of them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.raw: list[Tensor] = []
        self.shown: list[Tensor] = []
        augment = train.augment

        def noting(images: Tensor, recipe: Recipe, draws: train.Draws) -> Tensor:
            self.raw.append(images.clone())
            self.shown.append(augment(images, recipe, draws))
            return self.shown[-1]

        monkeypatch.setattr(train, "augment", noting)


# Reproducibility


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"defense": DefectiveConv(keep="0.3")},
        {"augmentation": "crop_flip", "noise": "0.1", "adversary": PGDTraining(eps="0.1", steps=1)},
    ],
    ids=["standard", "defended", "everything random"],
)
def test_equal_bits_whatever_the_global_random_state(changes: dict[str, Any]) -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    first = weights(tiny(**changes))
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(1)
    assert equal(first, weights(tiny(**changes)))
    assert not equal(first, weights(tiny(**changes, seed=4)))


def test_twins_share_initial_weights_order_and_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    shared = {"augmentation": "crop_flip", "noise": "0.1"}
    others = [
        tiny(**shared, defense=DefectiveConv(keep="0.3")),
        tiny(**shared, adversary=PGDTraining(eps="0.1", steps=1)),
    ]
    spies = []
    for network in (tiny(**shared), *others, tiny()):
        with monkeypatch.context() as patch:
            spies.append(Spy(patch))
            train.make(network)
    standard, *twins, bare = spies
    for twin in twins:
        assert all(torch.equal(a, b) for a, b in zip(standard.shown, twin.shown, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(standard.raw, bare.raw, strict=True))
    start = [dict(train.assemble(network).named_parameters()) for network in (tiny(), *others)]
    for other in start[1:]:
        assert equal(start[0], {key.replace(".layer.", "."): value for key, value in other.items()})


def test_an_epoch_shows_every_image_once_in_full_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    spy = Spy(monkeypatch)
    made = train.make(tiny(batch=24, epochs=3))
    everything = {image.numpy().tobytes() for image in data.load(TINY.data, "train").images}
    assert [len(batch) for batch in spy.raw] == [24] * 6  # 64 images: two batches, 16 left over
    assert made.images == 144
    left_out = []
    for epoch in range(3):
        shown = [image.numpy().tobytes() for batch in spy.raw[2 * epoch : 2 * epoch + 2] for image in batch]
        assert len(set(shown)) == len(shown)
        assert set(shown) <= everything
        left_out.append(frozenset(everything - set(shown)))
    assert len(set(left_out)) == 3
    assert train.make(tiny(batch=1000, epochs=1)).images == 64


# Steps


def test_one_step_of_sgd_by_hand() -> None:
    """One batch, one epoch: w - rate * (dL/dw + decay * w), the loss with its smoothing written out."""
    network = tiny(batch=64, epochs=1, rate="0.2", decay="0.01", smoothing="0.1", momentum="0.9")
    split = data.load(network.data, "train")
    model = train.assemble(network)
    names, parameters = zip(*model.named_parameters(), strict=True)
    log_p = model(split.images.float() / 255).log_softmax(1)
    loss = -(0.9 * log_p[torch.arange(64), split.labels] + 0.1 * log_p.mean(1)).mean()
    gradients = torch.autograd.grad(loss, parameters)
    rate = 0.2 * (0.5 / 0.75)  # one step in the middle of the schedule: past the warm-up of a quarter
    made = train.make(network)
    assert made.history["loss"] == [pytest.approx(loss.item(), rel=1e-5)]
    after = dict(made.model.named_parameters())
    for name, w, g in zip(names, parameters, gradients, strict=True):
        expected = w - rate * (g + 0.01 * w)
        assert torch.allclose(after[name], expected, atol=1e-5), name


def test_one_cycle_rises_to_the_rate_and_falls_to_zero() -> None:
    recipe = Recipe(epochs=10, rate="0.4", warmup="0.2")
    rates = [train.rate(recipe, step, 1000) for step in range(1000)]
    assert rates[0] == pytest.approx(0.4 * 0.5 / 200)
    assert rates[-1] == pytest.approx(0.4 * 0.5 / 800)
    assert max(rates) == pytest.approx(0.4, rel=0.01)
    assert rates.index(max(rates)) in (199, 200)
    assert sum(rates) == pytest.approx(0.4 * 1000 / 2, rel=1e-3)
    slopes = {round(b - a, 9) for a, b in itertools.pairwise(rates[:200])}
    assert slopes == {0.4 / 200}
    assert train.rate(replace(recipe, warmup="0"), 0, 1000) == pytest.approx(0.4 * 0.9995)


def test_steps_fall_exactly_at_the_papers_epochs() -> None:
    recipe = Recipe(epochs=350, rate="0.1", schedule="steps", milestones=("3/7", "5/7"))
    per_epoch = 391
    rates = [train.rate(recipe, epoch * per_epoch + last, 350 * per_epoch) for epoch in range(350) for last in (0, 390)]
    expected = [rate for rate, epochs in ((0.1, 150), (0.01, 100), (0.001, 100)) for _ in range(2 * epochs)]
    assert rates == pytest.approx(expected)


def test_the_recipe_reaches_the_optimizer(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[dict[str, Any]] = []
    sgd = torch.optim.SGD

    def noting(parameters: Any, **options: Any) -> torch.optim.SGD:
        seen.append(options)
        return sgd(parameters, **options)

    monkeypatch.setattr(torch.optim, "SGD", noting)
    train.make(tiny(epochs=1, momentum="0.8", nesterov=True, decay="0.001"))
    assert seen == [{"lr": 0.1, "momentum": 0.8, "nesterov": True, "weight_decay": 0.001}]


# Augmentation


def images(n: int = 400) -> Tensor:
    return torch.randint(1, 256, (n, 2, 6, 6), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def test_nothing_is_a_conversion() -> None:
    x = train.augment(images(), Recipe(epochs=1), train.Draws(0, "cpu"))
    assert x.dtype == torch.float32
    assert torch.equal(x, images().float() / 255)


def test_crops_are_windows_of_the_padded_image_and_all_of_them_occur() -> None:
    original = images(2_000)
    x = (train.augment(original, Recipe(epochs=1, augmentation="crop"), train.Draws(0, "cpu")) * 255).round()
    counts = dict.fromkeys(itertools.product(range(9), repeat=2), 0)
    for image, crop in zip(original, x, strict=True):
        padded = torch.zeros(2, 14, 14)
        padded[:, 4:10, 4:10] = image
        matches = [(i, j) for i, j in counts if torch.equal(padded[:, i : i + 6, j : j + 6], crop)]
        assert len(matches) == 1
        counts[matches[0]] += 1
    assert stats.chisquare(list(counts.values())).pvalue > 1e-3


def test_half_of_the_images_are_flipped() -> None:
    original = images().float() / 255
    x = train.augment(images(), Recipe(epochs=1, augmentation="flip"), train.Draws(0, "cpu"))
    same = (x == original).flatten(1).all(1)
    mirrored = (x == original[..., [5, 4, 3, 2, 1, 0]]).flatten(1).all(1)
    assert (same ^ mirrored).all()
    assert stats.binomtest(int(mirrored.sum()), 400).pvalue > 1e-3


def test_noise_has_its_deviation_and_stays_in_range() -> None:
    grey = torch.full((200, 1, 10, 10), 128, dtype=torch.uint8)
    x = train.augment(grey, Recipe(epochs=1, noise="0.05"), train.Draws(0, "cpu"))
    noise = x.double() - 128 / 255
    assert noise.std().item() == pytest.approx(0.05, rel=0.02)
    assert abs(noise.mean().item()) < 4 * 0.05 / 20_000**0.5
    loud = train.augment(grey, Recipe(epochs=1, noise="2"), train.Draws(0, "cpu"))
    assert (loud.min(), loud.max()) == (0, 1)


# Adversarial training, precision, defenses


def test_pgd_training_shows_images_in_the_ball_that_are_harder(monkeypatch: pytest.MonkeyPatch) -> None:
    spy = Spy(monkeypatch)
    network = tiny(epochs=1, adversary=PGDTraining(eps="0.1", steps=3, step_size="0.5"))
    trained_on: list[tuple[Tensor, float, float]] = []
    assemble = train.assemble

    def watched(*arguments: Any) -> nn.Module:
        model = assemble(*arguments)

        def note(module: nn.Module, inputs: tuple[Tensor], _output: Tensor) -> None:
            if not module.training:
                return
            module.eval()
            with torch.no_grad():
                before, after = (module.forward(x).log_softmax(1) for x in (spy.shown[-1], inputs[0]))
            module.train()
            trained_on.append((inputs[0].detach().clone(), before, after))

        model.register_forward_hook(note)
        return model

    monkeypatch.setattr(train, "assemble", watched)
    train.make(network)
    assert len(trained_on) == len(spy.shown) == 4
    for clean, (x, *_) in zip(spy.shown, trained_on, strict=True):
        assert (x - clean).abs().max() <= 0.1 + 1e-6
        assert x.min() >= 0
        assert x.max() <= 1
        assert ((x - clean).abs() > 0.01).float().mean() > 0.3
    order = [image.numpy().tobytes() for image in data.load(network.data, "train").images]
    labels = data.load(network.data, "train").labels
    for raw, (_, before, after) in list(zip(spy.raw, trained_on, strict=True))[1:]:
        y = labels[[order.index(image.numpy().tobytes()) for image in raw]]
        loss = nn.functional.nll_loss
        assert loss(after, y) > loss(before, y)


def test_the_adversary_reaches_the_attack(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, Any]] = []

    def noting(model: nn.Module, x: Tensor, y: Tensor, **options: Any) -> list[Tensor]:
        asked.append({key: value for key, value in options.items() if key != "generator"})
        return [x, x]

    monkeypatch.setattr("bioinspired.attacks.gradient.iterates", noting)
    train.make(tiny(epochs=1, adversary=PGDTraining(norm="l2", eps="1/5", steps=2, step_size="0.75")))
    eps, step_size = pytest.approx(0.2), pytest.approx(0.15)
    assert asked == [{"norm": "l2", "eps": eps, "steps": 2, "step_size": step_size, "random_start": True}] * 4


def test_bf16_changes_the_arithmetic_and_not_the_weights_type() -> None:
    one_step = {"epochs": 1, "batch": 64}
    half, full = train.make(tiny(**one_step, precision="bf16")), train.make(tiny(**one_step))
    assert all(weight.dtype == torch.float32 for weight in half.model.parameters())
    assert half.history["loss"] != full.history["loss"]
    assert half.history["loss"] == pytest.approx(full.history["loss"], rel=0.02)


def test_a_declared_defense_is_applied_and_learns_with_its_mask() -> None:
    network = tiny(defense=DefectiveConv(keep="0.3", where="top", constant="1/2", shared=True))
    defects = [module for module in train.assemble(network).modules() if isinstance(module, Defect)]
    assert len(defects) == 10
    for defect in defects:
        _, channels, height, width = defect.mask.shape
        assert int((~defect.mask).sum()) == channels * int(7 * height * width / 10)
        assert defect.constant == 0.5
    trained = train.make(network).model
    for before, after in zip(defects, (m for m in trained.modules() if isinstance(m, Defect)), strict=True):
        assert torch.equal(before.mask, after.mask)


def test_the_masks_have_a_seed_of_their_own_where_one_is_given() -> None:
    def masks(seed: int, mask_seed: int | None) -> list[Tensor]:
        network = tiny(seed=seed, defense=DefectiveConv(keep="0.5", mask_seed=mask_seed))
        return [m.mask for m in train.assemble(network).modules() if isinstance(m, Defect)]

    def same(a: list[Tensor], b: list[Tensor]) -> bool:
        return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))

    assert same(masks(1, 7), masks(2, 7))
    assert same(masks(1, None), masks(2, 1))
    assert not same(masks(1, None), masks(2, None))


def test_weights_are_loaded_into_an_assembled_network() -> None:
    network = tiny(defense=DefectiveConv(keep="0.5"))
    made = train.make(network)
    assert not made.model.training
    assert all(tensor.is_contiguous() for tensor in made.model.state_dict().values())
    again = train.assemble(network).eval()
    again.load_state_dict(made.model.state_dict())
    x = data.load(network.data, "test").images[:20].float() / 255
    assert torch.equal(again(x), made.model(x))


# History, progress, end


def test_history_and_progress() -> None:
    shares: list[float] = []
    made = train.make(tiny(epochs=3), progress=shares.append)
    assert {key: len(values) for key, values in made.history.items()} == dict.fromkeys(
        ("loss", "train_accuracy", "test_accuracy"), 3
    )
    assert shares == pytest.approx([step / 12 for step in range(1, 13)])
    test = data.load(TINY.data, "test")
    right = (made.model(test.images[:16].float() / 255).argmax(1) == test.labels[:16]).float().mean()
    assert made.history["test_accuracy"][-1] == pytest.approx(right.item())
    assert made.images == 3 * 64
    assert made.seconds > 0


def test_a_small_network_learns_the_digits() -> None:
    history = train.make(tiny(**LEARNS)).history
    assert history["test_accuracy"][-1] > 0.9
    assert history["loss"][-1] < 0.5 < history["loss"][0]


def test_training_stops_at_an_accuracy() -> None:
    free = train.make(tiny(**LEARNS)).history["test_accuracy"]
    stopped = train.make(tiny(**LEARNS, stop_at="0.5"))
    first = next(k for k, accuracy in enumerate(free) if accuracy >= 0.5)
    assert stopped.history["test_accuracy"] == free[: first + 1]
    assert stopped.images == (first + 1) * 22 * 64


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"rate": "1" + "0" * 30},
            "infinite or undefined in epoch 1 of 2 .seed 3.: lower the recipe's rate, now 10000",
        ),
        ({"epochs": 0}, "at least one epoch"),
        ({"batch": 1}, "batches of two"),
        ({"warmup": "1"}, "warm-up is a share of its steps below 1, not 1"),
        ({"architecture": Architecture(name="none")}, 'no network family "none"'),
        ({"data": Data(name="digits", size=8, train=2_000)}, "digits has 1,437 training images, not 2,000"),
        ({"architecture": Architecture(name="vgg"), "defense": DefectiveConv(keep="2")}, "keep = 2.0 is not a share"),
    ],
)
def test_mistakes_give_a_sentence(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        train.make(tiny(**changes))


# Losses, optimizers, cycles, validation


def test_half_the_squared_distance_to_the_one_hot_label() -> None:
    logits = torch.tensor([[0.5, 0.0, -1.0], [2.0, 1.0, 0.0]])
    recipe = Recipe(epochs=1, loss="mse")
    assert train.criterion(recipe, logits, torch.tensor([0, 1])).item() == pytest.approx(
        ((0.25 + 0 + 1) / 2 + (4 + 0 + 0) / 2) / 2
    )


def test_a_cycle_starts_the_schedule_again_and_the_factor_is_the_recipes() -> None:
    recipe = Recipe(epochs=10, schedule="steps", rate="0.1", factor="0.3", milestones=("0.4", "0.8"), cycle=5)
    rates = [train.rate(recipe, 7 * epoch, 70) for epoch in range(10)]
    assert rates == pytest.approx([0.1, 0.1, 0.03, 0.03, 0.009] * 2)


def test_adam_takes_its_first_step_as_long_as_the_rate() -> None:
    network = tiny(epochs=1, batch=64, optimizer="adam", rate="0.01", schedule="constant", decay="0")
    before = dict(train.assemble(network).named_parameters())
    moved = [(weight - before[name]).abs() for name, weight in weights(network).items()]
    largest = torch.stack([change.max() for change in moved])
    assert largest.max().item() == pytest.approx(0.01, rel=1e-3)


def test_images_held_out_are_the_last_ones_and_are_never_trained_on(monkeypatch: pytest.MonkeyPatch) -> None:
    spy = Spy(monkeypatch)
    network = tiny(epochs=1, batch=8, validation=16)
    trained = train.make(network)
    every = data.load(network.data, "train").images
    shown = torch.cat(spy.raw)
    assert len(shown) == 48
    assert not (shown[:, None] == every[None, 48:]).flatten(2).all(2).any()
    assert len(trained.history["validation_loss"]) == 1


def test_the_best_epoch_is_the_one_with_the_lowest_validation_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    losses = [3.0, 1.0, 2.0, 1.0]  # of equals the first
    seen: list[dict[str, Tensor]] = []

    def loss(recipe: Recipe, model: nn.Module, held_out: object) -> float:
        seen.append({name: tensor.clone() for name, tensor in model.state_dict().items()})
        return losses[len(seen) - 1]

    monkeypatch.setattr(train, "_loss", loss)
    made = train.make(tiny(epochs=4, batch=8, validation=16, schedule="constant", select="best_loss"))
    assert made.history["validation_loss"] == losses
    kept = made.model.state_dict()
    assert equal(kept, seen[1])
    assert not equal(kept, seen[3])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"select": "best_loss"}, "hold images out"),
        ({"validation": 63}, "hold 63 of 64"),
        ({"cycle": 0}, "cycle"),
    ],
)
def test_recipes_that_contradict_themselves_are_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        train.make(tiny(**changes))
