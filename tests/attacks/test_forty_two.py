"""The 42 attacks of the DIM chapter: the list, that every one runs, and the traps of the library."""

import inspect
import json
import os
import subprocess
import sys

import foolbox
import pytest
import torch
from torch import nn

from bioinspired.attacks.predictions import correct
from bioinspired.errors import UserError
from bioinspired.lab.measurements.outcome import Asked
from bioinspired.lab.papers.dim import forty_two, member
from bioinspired.lab.papers.dim.declarations import Member
from bioinspired.lab.papers.dim.forty_two import run, sizes
from bioinspired.lab.papers.dim.members import MEMBERS, NAMES

EPSILONS = {"linf": (0.02, 0.3), "l2": (0.2, 3.0), "l1": (2.0, 30.0)}


def asked(model, x, y):
    return Asked(model, x, y, (), torch.Generator().manual_seed(0))


def small():
    """A network with random weights and a batch of several classes that it answers right."""
    generator = torch.Generator().manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 4))
    for parameter in model.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator) / parameter.shape[-1] ** 0.5
    x = torch.rand(5, 1, 8, 8, generator=generator)
    model[3].bias.data -= model(x).mean(0).detach()
    return model.eval().requires_grad_(False), x, model(x).argmax(1)


class Plane(nn.Module):
    """Two classes on either side of w x = b."""

    def __init__(self, w, b):
        super().__init__()
        self.w, self.b = torch.tensor(w), b

    def forward(self, x):
        side = x.flatten(1) @ self.w - self.b
        return torch.stack([side, -side], 1)


def test_the_list_has_42_distinct_attacks_that_foolbox_exports():
    assert len(set(NAMES)) == len(MEMBERS) == 42
    assert all(hasattr(foolbox.attacks, one.attribute) for one in MEMBERS)
    assert not {"GenAttack", "BinarizationRefinementAttack"} & {one.attribute for one in MEMBERS}


def test_the_list_has_the_specified_tally():
    """By norm L2 20, Linf 7, L1 6, L0 1, flexible 6 and salt and pepper, spatial; 19 do not optimise."""
    norms = [one.norm for one in MEMBERS]
    assert {norm: norms.count(norm) for norm in norms} == {"l2": 20, "linf": 7, "l1": 6, "l0": 1, "any": 7, "none": 1}
    assert sum(not one.optimises for one in MEMBERS) == 19


def test_members_that_want_an_epsilon_are_foolbox_fixed_ones():
    for one in MEMBERS:
        kind = getattr(foolbox.attacks, one.attribute)
        assert issubclass(kind, foolbox.attacks.base.MinimizationAttack) == (one.minimal and one.name != "Spatial")


def test_budgets_are_those_that_foolbox_takes():
    for one in MEMBERS:
        taken = inspect.signature(getattr(foolbox.attacks, one.attribute)).parameters
        for name, number in zip((one.steps, one.searches), one.budget, strict=True):
            assert number == (one.parameters.get(name, taken[name].default) if name else 1), one.name


def test_the_command_lists_them():
    command = [sys.executable, "-m", "bioinspired", "attack", "--list", "--study", "dim", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    rows = json.loads(done.stdout)
    assert [row["name"] for row in rows] == [f"foolbox.{name}" for name in NAMES]
    assert all({"norm", "type", "parameters", "cost", "optimises"} <= set(row) for row in rows)


PLAIN = """
import sys, types
sys.modules["numba"] = None
from foolbox.attacks import brendel_bethge as bb
bb.NUMBA_IMPORT_ERROR, bb.numba = None, types.SimpleNamespace(__version__="none")
for one in (bb.L0Optimizer, bb.L1Optimizer, bb.L2Optimizer, bb.LinfOptimizer):
    one._ctor = types.SimpleNamespace(signatures=[None])
"""
ALL = """
import json, sys, torch
sys.path.insert(0, "tests/attacks")
from test_forty_two import EPSILONS, small
from bioinspired.lab.papers.dim.forty_two import run
from bioinspired.lab.papers.dim.members import MEMBERS
model, x, y = small()
found = {}
for one in MEMBERS:
    budget = {"steps": None if not one.steps else 2 if one.started else 10, "searches": 3 if one.searches else None}
    result = run(one.name, model, x, y, epsilons=EPSILONS.get(one.norm, ()), **budget)
    assert torch.equal(result.success, model(result.x_adv).argmax(1) != y), one.name
    assert 0 <= float(result.x_adv.min()) and float(result.x_adv.max()) <= 1, one.name
    counts = (result.success, result.forwards, result.backwards)
    found[one.name] = [float(count.double().mean()) for count in counts]
print(json.dumps(found))
"""


@pytest.mark.parametrize(
    "solvers",
    [pytest.param(PLAIN, id="plain"), pytest.param("", id="compiled", marks=pytest.mark.release)],
)
def test_all_42_run_on_a_small_network(solvers):
    """Brendel-Bethge's solvers as plain Python: compiled, they first take half a minute each."""
    environment = os.environ | {"PYTHONWARNINGS": "ignore"}
    done = subprocess.run([sys.executable, "-c", solvers + ALL], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert set(found) == set(NAMES)
    for one in MEMBERS:
        successes, forwards, backwards = found[one.name]
        assert forwards >= 1
        assert (backwards > 0) == ("gradient" in one.type), one.name
        if "gradient" in one.type and one.name != "EAD":
            assert successes > 0, one.name


def test_an_epsilon_is_needed_where_the_attack_has_a_ball_and_names_are_known():
    model, x, y = small()
    with pytest.raises(UserError, match="needs an epsilon"):
        run("LinfBasicIterative", model, x, y)
    with pytest.raises(UserError, match="none of the 42"):
        run("GenAttack", model, x, y)


def test_the_smallest_epsilon_that_fools_is_the_one_that_counts():
    """Points at Linf distance 0.1 and 0.3 from a plane, at epsilons 0.05, 0.2, 0.4."""
    model = Plane([1.0, 1.0], 1.0)
    x = torch.tensor([[0.6, 0.6], [0.8, 0.8]]).view(2, 1, 1, 2)
    found = run("LinfFastGradient", model, x, torch.tensor([0, 0]), epsilons=(0.05, 0.2, 0.4))
    assert found.success.all()
    assert sizes(found.x_adv - x)["linf"].tolist() == pytest.approx([0.2, 0.4], abs=1e-5)


def test_a_black_image_is_a_failure():
    """Black lies across the plane; Carlini and Wagner, with no steps to speak of, give it back as their success."""
    model = Plane([1.0] * 16, 0.5).eval()
    x = torch.full((2, 1, 4, 4), 0.9)
    assert not correct(model, torch.zeros(2, 1, 4, 4), torch.tensor([0, 0])).any()
    plain = foolbox.attacks.L2CarliniWagnerAttack(steps=1, binary_search_steps=1)
    given, _, success = plain(foolbox.PyTorchModel(model, bounds=(0, 1)), x, torch.tensor([0, 0]), epsilons=None)
    assert success.all(), "what Foolbox calls success"
    assert not given.any(), "is black"
    found = run("L2CarliniWagner", model, x, torch.tensor([0, 0]), steps=1, searches=1)
    assert not found.success.any()
    assert torch.equal(found.x_adv, x)


def test_sizes_are_those_of_numpys_norms():
    delta = torch.tensor([[0.3, 0.0, -0.4, 0.0]]).view(1, 1, 2, 2)
    found = {name: float(size) for name, size in sizes(delta).items()}
    assert found == pytest.approx({"linf": 0.4, "l2": 0.5, "l1": 0.7, "l0": 2.0})


def test_the_question_keeps_distances_in_every_norm():
    """DeepFool reaches a plane: distance |w x - b| / |w|, both values change; the third image is wrong at the start."""
    model = Plane([0.6, 0.8], 0.5)
    x = torch.tensor([[0.9, 0.5], [0.5, 0.5], [0.1, 0.1]]).view(3, 1, 1, 2)
    outcome = member.ask(Member(name="L2DeepFool", l2="0.3", l0=1), asked(model, x, torch.tensor([0, 0, 0])))
    assert outcome.arrays["distances"][1].tolist() == pytest.approx([0.44, 0.2, 0.0], rel=0.03, abs=1e-6)
    assert outcome.arrays["distances"][2].tolist() == [2, 2, 0]
    assert outcome.bits["l2"].tolist() == [True, False, False]
    assert outcome.bits["l0"].tolist() == [True, True, False]
    assert outcome.bits["correct"].tolist() == [False, False, False]
    assert outcome.forwards > 1


def test_what_is_never_found_is_infinitely_far():
    model = Plane([1.0, 1.0], -1.0)  # no image in [0, 1] crosses
    outcome = member.ask(Member(name="LinfBasicIterative"), asked(model, torch.rand(3, 1, 1, 2), torch.tensor([0] * 3)))
    assert torch.tensor(outcome.arrays["distances"]).isinf().all()
    assert outcome.bits["linf"].all()


def test_an_image_at_the_threshold_has_fallen():
    """Changes are clipped to 0.3, which no float32 difference hits exactly."""
    x = torch.rand(200, 1, 1, 2, generator=torch.Generator().manual_seed(0)) * 0.05 + 0.6
    question = Member(name="LinfFastGradient", linf="0.3", grid=("1",))
    outcome = member.ask(question, asked(Plane([1.0, 1.0], 0.9), x, torch.zeros(200, dtype=torch.int64)))
    assert not outcome.bits["linf"].any()


def test_members_run_at_multiples_of_their_threshold():
    model = Plane([1.0, 1.0], 1.0)
    x = torch.tensor([[0.8, 0.8]]).view(1, 1, 1, 2)
    for linf, distance in (("0.2", None), ("0.4", 0.4), ("0.7", 0.35)):
        question = Member(name="LinfFastGradient", linf=linf, grid=("0.5", "1"))
        found = float(member.ask(question, asked(model, x, torch.tensor([0]))).arrays["distances"][0, 0])
        assert found == (float("inf") if distance is None else pytest.approx(distance, rel=1e-3))


def test_listed_costs_are_those_of_cheap_members():
    """On images that stand: the library's passes, and two of ours that check (one of them counted once in all)."""
    model = Plane([1.0] * 64, -1.0)
    x = torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    y = torch.zeros(4, dtype=torch.int64)
    for one in MEMBERS:
        if one.started or one.searches or not one.optimises or one.forwards > 200 or "DeepFool" in one.name:
            continue
        found = run(one.name, model, x, y, epsilons=[v[0] for v in [EPSILONS.get(one.norm, (0.1,))]])
        backwards = float(found.backwards.double().mean())
        assert backwards == pytest.approx(one.backwards, rel=0.1, abs=1), one.name
        assert float(found.forwards.double().mean()) == pytest.approx(one.forwards, rel=0.1, abs=4), one.name


def test_names_in_the_flexible_list_exist():
    assert set(forty_two._FLEXIBLE) <= set(NAMES)
