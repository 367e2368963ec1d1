"""Anybody's model and anybody's numbers at the door: the right value, or one sentence."""

from fractions import Fraction
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from small_networks import images, undefended
from torch import nn

from bioinspired import evaluate
from bioinspired.attacks import Result, autoattack, fgsm, pgd
from bioinspired.attacks.eot import Expectation
from bioinspired.attacks.fmn import fmn
from bioinspired.attacks.own import square
from bioinspired.attacks.predictions import unsteadiness
from bioinspired.errors import UserError
from bioinspired.evaluation.checks import check

EPS = 0.1


@pytest.fixture(scope="module")
def network():
    return undefended(0)


@pytest.fixture(scope="module")
def right(network):
    return robust(network)


def robust(model, attacks=("fgsm", "pgd"), eps=EPS, **more):
    x, y = images(24)
    return evaluate(model, x, y, norm="linf", eps=eps, attacks=attacks, **more).robust_accuracy


class Spoiling(nn.Module):
    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, x):
        x -= 0.5
        x.add_(0.5)
        return self.network(x)


def test_a_model_may_spoil_its_input(network, right):
    x, y = images(24)
    before = x.clone()
    assert robust(Spoiling(network)) == pytest.approx(right, abs=1e-9)
    for attack in (fmn, partial(square, eps=EPS, rounds=20), partial(pgd, eps=EPS, steps=3)):
        found = attack(Spoiling(network), x, y, norm="linf").x_adv
        assert 0 <= float(found.min()) <= float(found.max()) <= 1
    assert torch.equal(x, before)


class Holding:
    def __init__(self, network):
        self.inside = [network]

    def __call__(self, x):
        return self.inside[0](x)

    def answer(self, x):
        return self.inside[0](x)


@pytest.mark.parametrize(
    "around",
    [
        lambda net: lambda x: net(x),
        lambda net: net.forward,
        lambda net: partial(net),
        Holding,
        lambda net: Holding(net).answer,
        lambda net: Expectation(lambda x: net(x), 1),
    ],
)
def test_a_function_around_a_module_in_training_mode_is_the_module_in_evaluation_mode(network, around):
    net = nn.Sequential(nn.BatchNorm2d(1), network, nn.Dropout(0.5))
    net(images(100)[0])
    expected = robust(net.eval())
    net.train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    assert robust(around(net)) == expected
    assert net.training
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


@pytest.mark.parametrize("shift", [1, 250])
def test_labels_beyond_the_classes_are_refused_alike(network, shift):
    x, y = images(24)
    for attack in (
        partial(evaluate, eps=EPS),
        partial(pgd, eps=EPS, steps=2),
        partial(check, eps=EPS),
        fmn,
        partial(fgsm, eps=EPS),
        partial(autoattack, eps=EPS),
    ):
        with pytest.raises(UserError, match="classes: labels run from 0 to 9"):
            attack(network, x, y + shift, norm="linf")


OTHERS = {
    "tuple": (lambda out: (out,), r"model\(x\)\[0\]"),
    "mapping": (lambda out: {"out": out}, r"model\(x\)\['out'\]"),
    "numpy": (lambda out: out.detach().numpy(), "stays in torch"),
    "one logit": (lambda out: out[:, 0], "pad"),
    "one column": (lambda out: out[:, :1], "pad"),
    "classes": (lambda out: out.argmax(1, keepdim=True).expand(-1, 2), "floating-point"),
}


@pytest.mark.parametrize("kind", OTHERS)
@pytest.mark.parametrize("ask", [evaluate, check, partial(pgd, steps=2)])
def test_other_outputs_are_named_with_the_wrapper(network, kind, ask):
    change, words = OTHERS[kind]
    x, y = images(24)
    with pytest.raises(UserError, match=words):
        ask(lambda x: change(network(x)), x, y, norm="linf", eps=EPS)


@pytest.mark.parametrize("form", [lambda out: SimpleNamespace(logits=out), lambda out: {"logits": out}])
def test_logits_in_an_output_object_are_taken(network, right, form):
    assert robust(lambda x: form(network(x))) == right


def test_probabilities_are_noticed(network):
    with pytest.warns(UserWarning, match="probabilities"):
        robust(lambda x: network(x).softmax(1))


def test_images_take_the_type_of_the_model(network, right):
    import copy

    x, y = images(24)
    assert evaluate(network, x.double(), y, norm="linf", eps=EPS, attacks=("fgsm", "pgd")).robust_accuracy == right
    assert robust(copy.deepcopy(network).double()) == pytest.approx(right, abs=1e-9)
    with pytest.warns(UserWarning, match="bfloat16"):
        assert robust(copy.deepcopy(network).bfloat16()) == pytest.approx(right, abs=2 / 24)


@pytest.mark.filterwarnings("ignore:.*torch.jit.*")
def test_scripts_traces_compiled_and_parallel_models_are_models(network, right):
    frozen = torch.jit.freeze(torch.jit.script(network).eval())
    for model in (frozen, torch.jit.trace(network, images(2)[0]), nn.DataParallel(network)):
        assert robust(model) == pytest.approx(right, abs=1e-9)


@pytest.mark.parametrize("cut", [lambda x: x.detach(), lambda x: torch.from_numpy(x.detach().numpy())])
def test_a_cut_gradient_is_one_sentence_and_the_checks_say_so(network, cut):
    x, y = images(40)
    with pytest.raises(UserError, match="no gradient"):
        robust(lambda x: network(cut(x)), attacks=("pgd",))
    found = check(lambda x: network(cut(x)), x, y, norm="linf", eps=EPS)
    assert {"ce_gradients", "margin_gradients"} <= set(found.failed)
    with pytest.warns(UserWarning, match="pgd was skipped"):
        kept = evaluate(lambda x: network(cut(x)), x, y, norm="linf", eps=EPS, attacks=("pgd", "noise"))
    assert kept.attacks == ("noise",)
    assert "no gradient" in kept.skipped["pgd"]


@pytest.mark.parametrize("shape", [(64,), (4, 16), (1, 4, 4, 4), (2, 2, 2, 2, 4)])
def test_tables_signals_and_videos_are_images(network, shape):
    x, y = images(30)
    x = x.reshape(-1, *shape)

    def model(x):
        return network(x.reshape(-1, 1, 8, 8))

    assert bool(square(model, x, y, norm="linf", eps=0.3, rounds=200).success.any())
    assert evaluate(model, x, y, norm="l2", eps=1.0, attacks=("fmn", "foolbox.DDN")).robust_accuracy < 0.5
    assert "square" not in check(model, x, y, norm="linf", eps=EPS).failed


@pytest.mark.parametrize("targets", ["same", "beyond", "short"])
def test_targets_are_checked(network, targets):
    x, y = images(10)
    wrong = {"same": y, "beyond": y + 10, "short": y[:5]}[targets]
    with pytest.raises(UserError):
        pgd(network, x, y, norm="linf", eps=EPS, steps=2, targets=wrong)


@pytest.mark.parametrize(
    "eps", ["1/10", Fraction(1, 10), np.float32(0.1), np.float64(0.1), torch.tensor(0.1), np.array([0.1]), ["0.1"]]
)
def test_every_spelling_of_a_number_means_the_same(network, right, eps):
    assert robust(network, eps=eps) == right


@pytest.mark.parametrize(("eps", "words"), [(8, "8/255"), (0, "above 0"), ("many", "eps"), (True, "eps")])
def test_radii_that_cannot_be_meant(network, eps, words):
    x, y = images(24)
    for ask in (evaluate, check):
        with pytest.raises(UserError, match=words):
            ask(network, x, y, norm="linf", eps=eps)


def test_rounding_is_clipped_and_more_is_refused_with_all_digits(network):
    x, y = images(24)
    with pytest.warns(UserWarning, match="clipped"):
        evaluate(network, (x * (1 + 5e-7)), y, norm="linf", eps=EPS, attacks=("fgsm",))
    with pytest.raises(UserError, match=r"1\.0000\d.*clamp\(0, 1\)"):
        evaluate(network, x * 1.00001, y, norm="linf", eps=EPS)


def test_a_model_elsewhere_is_named(network):
    with pytest.raises(UserError, match="on cpu and the model is on meta"):
        robust(nn.Linear(64, 10, device="meta"))


def test_what_is_not_finite_is_compared_exactly(network):
    x, _ = images(10)
    mask = torch.zeros(10)
    for value in (-torch.inf, torch.nan):
        mask[3] = value
        assert unsteadiness(lambda x: network(x) + mask, x) == 0
        assert unsteadiness(lambda x: network(x) + mask + torch.rand(1), x) > 0.01


def tensor(model, x, y, *, norm, eps, generator):
    return (x + eps).clamp(0, 1)


def short(model, x, y, *, eps):
    return (x + eps).clamp(0, 1)


def positional(model, x, y, norm, eps, generator, /):
    return (x + eps).clamp(0, 1)


def test_own_attacks_of_many_forms_are_one(network):
    values = {robust(network, {"own": attack}, 0.3) for attack in (tensor, short, positional)}
    assert len(values) == 1
    assert values.pop() < robust(network, {"own": lambda model, x, y: x}, 0.3)


@pytest.mark.parametrize("attack", [lambda model, x: x, lambda model, x, y: (x, y), lambda model, x, y: x[:2], 5])
def test_other_own_attacks_get_a_sentence(network, attack):
    with pytest.raises(UserError, match="mine"):
        robust(network, {"mine": attack})


def test_a_torchattacks_object_is_an_attack(network):
    torchattacks = pytest.importorskip("torchattacks")
    attack = torchattacks.PGD(network, eps=EPS, alpha=EPS / 10, steps=20, random_start=False)
    assert robust(network, {"theirs": attack}) < robust(network, ("noise",))


def test_an_attack_that_leaves_the_ball_is_not_believed(network):
    with pytest.warns(UserWarning, match='"far" left the ball'):
        value = robust(network, {"far": lambda model, x, y: 1 - x}, 0.01)
    assert value > 0.9


def test_order_decides_nothing_and_another_attack_never_raises_a_number(network):
    x, y = images(24)

    def found(*attacks):
        one = evaluate(network, x, y, norm="linf", eps=[0.05, 0.1, 0.2], attacks=attacks)
        return one.robust[-1], one.distances

    alone, together, turned = found("fmn"), found("noise", "fgsm", "fmn"), found("fmn", "fgsm", "noise")
    assert torch.equal(together[0], turned[0])
    assert torch.equal(together[1], turned[1])
    assert not bool((together[0] & ~alone[0]).any())
    assert bool((together[1] <= alone[1]).all())


def test_the_batch_is_respected_and_the_nearest_images_are_kept(network, right):
    seen = []

    def watched(x):
        seen.append(len(x))
        return network(x)

    x, y = images(24)
    found = evaluate(watched, x, y, norm="linf", eps=EPS, attacks=("fmn", "pgd"), batch=5, keep=True)
    assert max(seen[2:]) <= 5
    fooled = found.clean & found.distances.isfinite()
    assert torch.allclose((found.nearest - x).flatten(1).abs().amax(1)[fooled], found.distances[fooled])
    assert isinstance(fgsm(network, x, y, norm="linf", eps=EPS), Result)
