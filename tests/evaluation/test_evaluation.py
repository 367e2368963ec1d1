"""Evaluations against closed forms on a linear model, and against scipy's statistics."""

import math

import pytest
import torch
from scipy import stats
from small_networks import adversarially_trained, images, masked, undefended
from torch import nn

from bioinspired import evaluate
from bioinspired.attacks import Result, pgd
from bioinspired.attacks.eot import Expectation
from bioinspired.errors import UserError
from bioinspired.evaluation.evaluate import Evaluation, Share, across, compare, correct, predict

DUAL = {"linf": 1, "l2": 2, "l1": math.inf}


@pytest.fixture
def linear():
    """A two-class linear model, and images in the middle of the box, so that only the hyperplane limits an attack."""
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(12, generator=generator)

    def model(x):
        height = x.flatten(1) @ weight - weight.sum() / 2
        return torch.stack([height, torch.zeros_like(height)], 1)

    x = 0.5 + 0.1 * (torch.rand(40, 3, 2, 2, generator=generator) - 0.5)
    y = (model(x)[:, 0] < 0).long()
    y[:5] = 1 - y[:5]  # five images that are answered wrongly
    return model, x, y, weight


def made(robust, clean=None, eps=(0.1,), norm="linf", pictures="same"):
    robust = torch.tensor(robust, dtype=torch.bool).reshape(1, len(eps), -1)
    n = robust.shape[-1]
    clean = torch.ones(n, dtype=torch.bool) if clean is None else torch.tensor(clean, dtype=torch.bool)
    zeros = torch.zeros(n, dtype=torch.int64)
    return Evaluation(
        norm=norm,
        eps=eps,
        attacks=("made",),
        images=pictures,
        clean=clean,
        robust=robust,
        distances=torch.ones(n),
        forwards=zeros,
        backwards=zeros,
        seconds=0.0,
    )


def test_ties_and_nan_are_no_answer():
    logits = torch.tensor([[1.0, 2.0, 0.0], [2.0, 2.0, 0.0], [math.nan, 1.0, 0.0], [-math.inf, -math.inf, -math.inf]])
    assert predict(lambda x: x, logits).tolist() == [1, -1, -1, -1]
    assert correct(lambda x: x, logits, torch.tensor([1, 0, 1, 0])).tolist() == [True, False, False, False]
    assert predict(lambda x: x, logits[:0]).tolist() == []


def test_answers_do_not_depend_on_the_batch():
    x, _ = images(100)
    model = undefended(0)
    assert torch.equal(predict(model, x, batch=7), predict(model, x, batch=100))


@pytest.mark.parametrize(("right", "of"), [(0, 10), (1, 7), (5, 10), (97, 100), (360, 360)])
def test_wilson_interval_against_scipy(right, of):
    expected = stats.binomtest(right, of).proportion_ci(method="wilson")
    share = Share(right, of)
    assert share.value == right / of
    assert (share.low, share.high) == pytest.approx((expected.low, expected.high), abs=1e-12)


@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
def test_distances_and_accuracies_of_a_linear_model(linear, norm):
    model, x, y, weight = linear
    distance = model(x)[:, 0].abs() / torch.linalg.vector_norm(weight, ord=DUAL[norm])
    distance[:5] = 0
    eps = sorted(float(q) for q in distance[5:].quantile(torch.tensor([0.2, 0.5, 0.8])))
    found = evaluate(model, x, y, norm=norm, eps=eps, attacks=("fmn", "pgd"))
    assert found.clean_accuracy == 35 / 40
    for share, radius in zip(found.curve, eps, strict=True):
        sure, possible = int((distance > 1.02 * radius).sum()), int((distance > 0.999 * radius).sum())
        assert sure <= share.right <= possible + 1
    assert torch.all(found.distances >= distance * 0.999)
    assert torch.all(found.distances <= distance * 1.02)
    assert found.median_distance == pytest.approx(float(distance.quantile(0.5)), rel=0.02)
    assert found.median_distance_correct == pytest.approx(float(distance[5:].quantile(0.5)), rel=0.02)


def test_robust_accuracy_is_the_worst_case_over_attacks_and_falls_with_eps():
    x, y = images(120)
    model = adversarially_trained(0)
    eps = [0.05, 0.1, 0.15, 0.2]
    found = evaluate(model, x, y, norm="linf", eps=eps, attacks=("fgsm", "pgd", "pgd_margin"))
    accuracies = found.robust.double().mean(2)
    assert torch.all(accuracies.diff(dim=0) <= 0)
    assert torch.all(accuracies.diff(dim=1) <= 0)
    assert found.robust_accuracy == found.curve[-1].value == accuracies[-1, -1]
    for radius, row in zip(eps, found.robust[-1], strict=True):
        alone = pgd(model, x, y, norm="linf", eps=radius, steps=50).success
        assert not bool((row & alone).any())  # what one attack breaks alone does not stand
    assert not bool((found.robust & ~found.clean).any())


@pytest.mark.filterwarnings("ignore:The attack .* left")
def test_an_attack_is_not_believed():
    x, y = images(50)
    model = undefended(0)

    def boasting(model, x, y, *, norm, eps, generator):
        ones = torch.ones_like(y)
        return Result(x.clone(), ones.bool(), ones, ones)

    def straying(model, x, y, *, norm, eps, generator):
        return Result(1 - x, torch.ones_like(y).bool(), torch.ones_like(y), torch.zeros_like(y))

    found = evaluate(model, x, y, norm="linf", eps=[0.001, 1.0], attacks={"boasting": boasting})
    assert torch.equal(found.robust[0, 0], found.clean)
    assert torch.equal(found.robust[0, 1], found.clean)
    found = evaluate(model, x, y, norm="linf", eps=[0.001, 1.0], attacks={"straying": straying})
    assert torch.equal(found.robust[0, 0], found.clean)  # its images fool, and lie far outside this ball
    assert found.curve[1].value < found.clean_accuracy
    fooled = found.clean & ~found.robust[0, 1]
    assert torch.all(found.distances[fooled] > 0.001)
    assert torch.all(found.distances[fooled] < 1)  # pulled towards the clean image


@pytest.mark.filterwarnings("ignore:The attack .* left")
def test_images_that_are_not_finite_or_leave_the_box_are_put_right_first():
    x, y = images(30)
    model = undefended(0)

    def wild(model, x, y, *, norm, eps, generator):
        far = x.clone()
        far[:, 0, 0, 0] = torch.nan
        far[:, 0, 7, 7] = 1e6
        return Result(far, torch.ones_like(y).bool(), torch.ones_like(y), torch.zeros_like(y))

    found = evaluate(model, x, y, norm="linf", eps=1.0, attacks={"wild": wild})
    assert not bool(found.distances.isnan().any())
    corner = x.clone()
    corner[:, 0, 7, 7] = 1
    assert torch.equal(found.robust[0, 0], found.clean & correct(model, corner, y))


def test_cost_counts_every_image_that_the_model_sees():
    x, y = images(40)
    model = undefended(0)
    seen = 0

    def counting(x):
        nonlocal seen
        seen += len(x)
        return model(x)

    found = evaluate(counting, x, y, norm="linf", eps=0.1, attacks=("fgsm",))
    looks = 2 * len(x)  # the two passes that ask whether the model is random
    assert int(found.forwards.sum()) == pytest.approx(seen - looks, abs=len(x))
    assert 0 < int(found.backwards.sum()) <= 2 * len(x)
    assert found.seconds > 0


def test_a_random_model_is_refused_and_its_expectation_is_not():
    x, y = images(30)
    noisy = masked("noisy", 0)
    with pytest.raises(UserError, match="Expectation"):
        evaluate(noisy, x, y, norm="linf", eps=0.1, attacks=("pgd",))
    found = evaluate(Expectation(noisy, 10), x, y, norm="linf", eps=0.1, attacks=("pgd",))
    assert found.robust_accuracy < found.clean_accuracy


def test_a_model_in_training_mode_is_evaluated_in_eval_mode_and_given_back():
    x, y = images(40)
    model = nn.Sequential(undefended(0), nn.Dropout(0.9))
    model.train()
    model[0].eval()
    flags = [module.training for module in model.modules()]
    assert evaluate(model, x, y, norm="linf", eps=0.05, attacks=("pgd",)).clean_accuracy > 0.9
    assert [module.training for module in model.modules()] == flags


def test_the_text_says_what_the_numbers_are():
    x, y = images(40)
    text = str(evaluate(undefended(0), x, y, norm="linf", eps=[0.05, 0.1], attacks=("fgsm", "pgd")))
    for words in ("40 images", "linf", "worst case", "upper bounds", "fgsm, pgd", "0.05", "backward"):
        assert words in text
    assert max(len(line) for line in text.splitlines()) <= 120


def test_the_default_evaluation_runs_autoattack():
    x, y = images(20)
    found = evaluate(undefended(0), x, y, norm="linf", eps=0.15)
    assert found.attacks == ("fmn", "pgd", "autoattack")
    assert found.robust_accuracy <= 0.3


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"eps": 0.0}, "above 0"),
        ({"eps": []}, "above 0"),
        ({"eps": -1.0}, "eps"),
        ({"norm": "Linf"}, "no norm .Linf.: choose one of"),
        ({"attacks": ()}, "no attacks"),
        ({"attacks": ("nothing",)}, "nothing"),
        ({"attacks": ("torchattacks.CW",)}, "torchattacks.CW knows the norms l2"),
    ],
)
def test_mistakes_get_one_sentence(arguments, words):
    x, y = images(10)
    with pytest.raises(UserError, match=words):
        evaluate(undefended(0), x, y, **{"norm": "linf", "eps": 0.1, "attacks": ("fgsm",), **arguments})
    with pytest.raises(UserError, match="no images"):
        evaluate(undefended(0), x[:0], y[:0], norm="linf", eps=0.1)


def test_paired_comparison_against_scipy():
    first = made([1] * 60 + [0] * 40, clean=[1] * 99 + [0])
    second = made([1] * 45 + [0] * 15 + [1] * 4 + [0] * 36)
    clean, attacked = compare(first, second)
    assert (clean.eps, clean.only_first, clean.only_second, clean.p) == (0.0, 0, 1, 1.0)
    assert (attacked.eps, attacked.only_first, attacked.only_second) == (0.1, 15, 4)
    assert attacked.difference == pytest.approx(0.11)
    assert attacked.p == pytest.approx(stats.binomtest(4, 19).pvalue, rel=1e-9)
    # Half an image added to each cell of the table of 100, by hand.
    spread = math.sqrt(15.5 + 4.5 - (15.5 - 4.5) ** 2 / 102) / 102
    assert (attacked.low, attacked.high) == pytest.approx(
        (11 / 102 - 1.96 * spread, 11 / 102 + 1.96 * spread), abs=1e-4
    )
    mirrored = compare(second, first)[1]
    assert (mirrored.low, mirrored.high) == pytest.approx((-attacked.high, -attacked.low))


def test_interval_over_seeds_and_images_by_hand():
    accuracies = (40, 44, 46, 50, 50)
    summary = across([made([1] * right + [0] * (100 - right)) for right in accuracies])
    mean, variance = 0.46, (0.06**2 + 0.02**2 + 0 + 0.04**2 + 0.04**2) / 4
    reach = 2.776445 * math.sqrt(variance / 5 + mean * (1 - mean) / 100)
    assert (summary.k, summary.n, summary.mean) == (5, 100, (pytest.approx(mean),))
    assert (summary.low[0], summary.high[0]) == pytest.approx((mean - reach, mean + reach), abs=1e-6)


def test_interval_at_the_ends_is_the_rule_of_three_and_of_one_network_is_wilson():
    nothing = across([made([0] * 100)] * 3)
    assert (nothing.low, nothing.high) == ((0.0,), (pytest.approx(0.03),))
    everything = across([made([1] * 100)] * 3)
    assert (everything.low, everything.high) == ((pytest.approx(0.97),), (1.0,))
    expected = stats.binomtest(30, 100).proportion_ci(method="wilson")
    one = across([made([1] * 30 + [0] * 70)])
    assert (one.low[0], one.high[0]) == pytest.approx((expected.low, expected.high))


def test_only_evaluations_on_the_same_images_are_compared():
    for other in (made([1], pictures="others"), made([1], norm="l2"), made([1], eps=(0.2,))):
        with pytest.raises(UserError, match="differ"):
            compare(made([1]), other)
        with pytest.raises(UserError, match="differ"):
            across([made([1]), other])
    with pytest.raises(UserError, match="no evaluations"):
        across([])
    x, y = images(20)
    one = evaluate(undefended(0), x, y, norm="linf", eps=0.1, attacks=("fgsm",))
    other = evaluate(undefended(0), x.flip(0), y.flip(0), norm="linf", eps=0.1, attacks=("fgsm",))
    with pytest.raises(UserError, match="images"):
        compare(one, other)
