"""Every attack of the catalogue runs, or is refused in one sentence, at the cost that is listed."""

import json
import sys
from importlib.metadata import version

import pytest
import torch
from torch import nn

from bioinspired.attacks import catalogue
from bioinspired.attacks.catalogue import as_json, entries, entry, run
from bioinspired.errors import UserError

EPS = {"linf": 1e-4, "l2": 1e-3, "l1": 1e-2, "l0": 0}  # so small that every image stands
LONG = 2000  # forward passes per image from which on an attack is tried in one norm and on one network only
PAIRS = [
    pytest.param(one, norm, marks=[pytest.mark.release] if one.forwards >= LONG and norm != one.norms[0] else [])
    for one in entries()
    for norm in one.norms
]
NAMES = [one.name for one in entries()]


def network(shape, classes, last=None, *, balanced=True):
    """A two-layer network with random weights, and a batch that it answers correctly."""
    generator = torch.Generator().manual_seed(0)
    size = int(torch.tensor(shape).prod())
    model = nn.Sequential(
        nn.Flatten(), nn.Linear(size, 32), nn.ReLU(), nn.Linear(32, classes), *([last] if last else [])
    )
    for parameter in model.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator) / parameter.shape[-1] ** 0.5
    x = torch.rand(8, *shape, generator=torch.Generator().manual_seed(1))
    if balanced:  # so that the batch holds several classes
        model[3].bias.data -= model[:4](x).mean(0).detach()
    return model.eval(), x, model(x).argmax(1)


def test_versions_are_those_that_the_entries_describe():
    assert version("torchattacks") == "3.5.1"
    assert version("foolbox") == "3.3.4"


def test_the_list_is_plain_data_with_unique_names():
    rows = json.loads(json.dumps(as_json()))
    assert len({row["name"] for row in rows}) == len(rows) > 60
    for row in rows:
        assert set(row["norm"]) <= {"linf", "l2", "l1", "l0"}
        assert row["type"] in {"white", "transfer", "score", "decision", "noise"}
        assert row["library"] in {"bioinspired", "torchattacks 3.5.1", "foolbox 3.3.4"}
        assert row["cost"]["forwards"] >= 1
        assert row["cost"]["backwards"] >= 0
        assert (row["cost"]["backwards"] > 0) == (row["type"] in {"white", "transfer"})
        assert row["budget"]
        assert all(defect.endswith(".") for defect in row["defects"])


def test_the_list_covers_torchattacks():
    import torchattacks

    wrappers = {"VANILA", "LGV", "MultiAttack"}
    assert {f"torchattacks.{name}" for name in torchattacks.__all__ if name not in wrappers} <= set(NAMES)


@pytest.mark.parametrize("name", ["AutoAttack", "CW", "DeepFool"])
def test_known_wrong_attacks_say_so_and_point_to_one_that_exists(name):
    row = entry(f"torchattacks.{name}")
    assert row.defects
    assert row.instead in NAMES
    model, x, y = network((3, 16, 16), 10)
    with pytest.warns(UserWarning, match=f"known to be wrong.*Take {row.instead}"):
        run(row.name, model, x[:2], y[:2], norm="l2", eps=1.0)


def wrong(model, x, y):
    """Whether another class is as likely as the label, or more."""
    logits = model(x)
    return logits.scatter(1, y[:, None], -torch.inf).amax(1) >= logits.gather(1, y[:, None])[:, 0]


@pytest.mark.parametrize(("one", "norm"), PAIRS, ids=lambda value: getattr(value, "name", value))
def test_an_attack_costs_what_is_listed_and_stays_in_its_ball(one, norm):
    model, x, y = network((3, 16, 16), 10, balanced=False)
    result = run(one.name, model, x, y, norm=norm, eps=EPS[norm])
    delta = (result.x_adv - x).flatten(1)
    size = (
        (delta != 0).sum(1)
        if norm == "l0"
        else torch.linalg.vector_norm(delta, ord={"linf": torch.inf, "l2": 2, "l1": 1}[norm], dim=1)
    )
    assert float(size.max()) <= EPS[norm] * 1.01 + 1e-7
    assert result.x_adv.shape == x.shape
    assert not result.x_adv.requires_grad
    assert torch.equal(result.success, wrong(model, result.x_adv, y))
    forwards, backwards = float(result.forwards.double().mean()), float(result.backwards.double().mean())
    if one.at_most:
        assert 1 <= backwards <= one.backwards
        assert 1 <= forwards <= one.forwards
    else:
        assert (forwards, backwards) == pytest.approx((one.forwards, one.backwards), rel=0.3, abs=2)


NETWORKS = {
    "log_softmax": ((3, 16, 16), 10, nn.LogSoftmax(1)),
    "flat": ((64,), 10, None),
    "one_channel": ((1, 28, 28), 10, None),
    "two_classes": ((3, 16, 16), 2, None),
}
REFUSED = {
    ("torchattacks.TIFGSM", "flat"),
    ("torchattacks.TIFGSM", "one_channel"),
    ("torchattacks.PIFGSM", "flat"),
    ("torchattacks.PIFGSM", "one_channel"),
    ("torchattacks.PIFGSMPP", "flat"),
    ("torchattacks.PIFGSMPP", "one_channel"),
    ("torchattacks.APGDT", "two_classes"),
    ("torchattacks.AutoAttack", "two_classes"),
}


@pytest.mark.parametrize("kind", NETWORKS)
@pytest.mark.parametrize(
    "one",
    [pytest.param(one, marks=[pytest.mark.release] if one.forwards >= LONG else [], id=one.name) for one in entries()],
)
def test_an_attack_works_on_other_networks_or_is_refused_in_one_sentence(one, kind):
    model, x, y = network(*NETWORKS[kind])
    norm = one.norms[0]
    eps = {"linf": 0.3, "l2": 3.0, "l1": 20.0, "l0": 30}[norm]
    if (one.name, kind) in REFUSED:
        with pytest.raises(UserError, match=rf"^{one.name} needs .*\.$") as caught:
            run(one.name, model, x, y, norm=norm, eps=eps)
        assert "\n" not in str(caught.value)
        return
    result = run(one.name, model, x, y, norm=norm, eps=eps)
    assert torch.equal(result.success, wrong(model, result.x_adv, y))
    if one.kind == "white" and one.instead is None:
        assert bool(result.success.any())


def test_steps_follow_eps():
    model, x, y = network((3, 16, 16), 10)
    x = 0.5 + 0.01 * x
    y = model(x).argmax(1)
    for name in ("torchattacks.PGD", "torchattacks.BIM", "torchattacks.MIFGSM", "torchattacks.SPSA"):
        for eps in (0.01, 0.4):
            reached = (run(name, model, x, y, norm="linf", eps=eps).x_adv - x).abs().amax(dim=(1, 2, 3))
            assert torch.allclose(reached, torch.full_like(reached, eps), rtol=0.01), name


def test_targets_of_jsma_follow_the_number_of_classes():
    model, x, y = network((3, 16, 16), 3)
    result = run("torchattacks.JSMA", model, x, y, norm="l0", eps=768)
    fooled = result.success
    assert bool(fooled.any())
    assert torch.equal(model(result.x_adv).argmax(1)[fooled], ((y + 1) % 3)[fooled])


def test_hard_label_attacks_need_two_classes_of_images():
    model, x, y = network((3, 16, 16), 10)
    same = x[y == y[0]]
    with pytest.raises(UserError, match="two classes"):
        run("foolbox.HopSkipJump", model, same, y[y == y[0]], norm="l2", eps=1.0)


def test_a_library_that_is_missing_is_one_sentence(monkeypatch):
    model, x, y = network((3, 16, 16), 10)
    for name in ("torchattacks", "foolbox"):
        monkeypatch.setitem(sys.modules, name, None)
    assert len(as_json()) > 60
    for name in ("torchattacks.FGSM", "foolbox.FastGradient"):
        with pytest.raises(UserError, match=r"not installed: pip install 'bioinspired\[book\]'"):
            run(name, model, x, y, norm="linf", eps=0.1)


def test_unknown_names_and_norms():
    model, x, y = network((3, 16, 16), 10)
    with pytest.raises(UserError, match="no attack"):
        run("fastest", model, x, y, norm="linf", eps=0.1)
    with pytest.raises(UserError, match="knows the norms l2"):
        run("foolbox.DDN", model, x, y, norm="linf", eps=0.1)
    with pytest.raises(UserError, match="no attack"):
        catalogue.bound("fastest")
