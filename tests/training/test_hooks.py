"""How training calls a defense: what each function is given, and what becomes of what it returns."""

import importlib
import inspect
import sys
import types
from dataclasses import dataclass, fields, replace
from typing import ClassVar

import pytest
import torch
from torch import nn

from bioinspired.declarations import Architecture, Data, Defense, Network, Recipe
from bioinspired.keys import Strength
from bioinspired.lab import papers
from bioinspired.lab.measurements.declarations import Question
from bioinspired.training import train
from bioinspired.training.hooks import Hooks

NETWORK = Network(
    data=Data(name="digits", size=8, train=64),
    architecture=Architecture(name="vgg", width=2),
    recipe=Recipe(epochs=3, batch=16, decay="0"),
    seed=3,
)


@dataclass(frozen=True, kw_only=True)
class MadeUp(Defense):
    kind: ClassVar = "made_up"
    strength: Strength = "0.5"
    reach: int = 2


def defended(**options):
    return replace(NETWORK, defense=MadeUp(**options))


@pytest.fixture
def module(monkeypatch):
    made = types.ModuleType("bioinspired.defenses.made_up")
    monkeypatch.setitem(sys.modules, made.__name__, made)
    return made


def test_a_function_gets_the_fields_that_it_names(module):
    seen = {}

    def apply(model, *, strength, input_shape):
        seen.update(strength=strength, input_shape=input_shape)
        return model

    module.apply = apply
    train.assemble(defended(strength="1/4"))
    assert seen == {"strength": 0.25, "input_shape": (1, 8, 8)}


def test_a_regularizer_is_added_to_the_loss_and_its_parameters_learn_at_the_same_rate(module):
    class Pull(nn.Module):
        def __init__(self):
            super().__init__()
            self.place = nn.Parameter(torch.tensor(1.0))
            self.calls = 0

        def forward(self, model):
            self.calls += 1
            return 0.5 * self.place

        def history(self):
            return {"place": float(self.place.detach())}

    made = []

    def regularizer(model, *, images, labels, batch, steps, generator):
        assert images.dtype == torch.uint8
        assert (images.shape, labels.shape, batch, steps) == ((64, 1, 8, 8), (64,), 16, 12)
        made.append(Pull())
        return made[0]

    module.regularizer = regularizer
    flat = Recipe(epochs=3, batch=16, rate="0.1", momentum="0", decay="0.9", schedule="constant")
    trained = train.make(replace(defended(), recipe=flat))
    assert made[0].calls == 12
    # Gradient 0.5, rate 0.1, no weight decay of its own: 0.05 a step.
    assert trained.history["place"] == pytest.approx([1 - 0.05 * 4, 1 - 0.05 * 8, 1 - 0.05 * 12])


def test_weight_decay_leaves_alone_what_a_defense_names(module):
    module.undecayed = lambda model: [next(model.parameters())]
    step = Recipe(epochs=1, batch=64, momentum="0", decay="0.9")

    def trained(network):
        return dict(train.make(network).model.named_parameters())

    ours, decayed = trained(replace(defended(), recipe=step)), trained(replace(NETWORK, recipe=step))
    free = trained(replace(NETWORK, recipe=replace(step, decay="0")))
    first, *rest = ours
    assert torch.equal(ours[first], free[first])
    assert not torch.equal(ours[first], decayed[first])
    assert all(torch.equal(ours[name], decayed[name]) for name in rest)


def test_a_loss_without_gradient_in_the_network_leaves_it_as_the_twin(module):
    class Nothing:
        def parameters(self):
            return []

        def __call__(self, model):
            return torch.zeros(())

        def history(self):
            return {}

    module.regularizer = lambda model: Nothing()
    ours, twin = train.make(defended()).model, train.make(NETWORK).model
    assert all(torch.equal(a, b) for a, b in zip(ours.state_dict().values(), twin.state_dict().values(), strict=True))


def test_after_starts_from_the_trained_twin_at_hand_or_anew(module):
    seen = []

    def after(model, *, images, labels, reach, generator):
        seen.append({name: tensor.clone() for name, tensor in model.state_dict().items()})
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.mul_(reach)
        return model, {"spikes": [1.0, 2.0]}

    module.after = after
    twin = train.make(NETWORK)
    anew = train.make(defended(reach=0))
    assert all(torch.equal(seen[0][name], tensor) for name, tensor in twin.model.state_dict().items())
    assert anew.history == twin.history | {"spikes": [1.0, 2.0]}
    assert all(not parameter.any() for parameter in anew.model.parameters())

    asked = []

    def at_hand(network):
        asked.append(network)
        return twin.model

    given = train.make(defended(reach=0), at_hand=at_hand)
    assert asked == [NETWORK]
    assert given.history == {"spikes": [1.0, 2.0]}
    assert given.images == 0


def test_after_follows_a_training_that_the_defense_changed(module):
    module.apply = lambda model: model
    module.after = lambda model: (model, {"done": [1.0]})
    trained = train.make(defended(), at_hand=lambda network: pytest.fail("this network has no undefended start"))
    assert len(trained.history["loss"]) == 3
    assert trained.history["done"] == [1.0]


def test_a_defense_may_train_its_model_itself(module):
    def fit(model, *, images, labels, epochs, batch, rate, reach, progress):
        assert (images.shape, labels.shape, epochs, batch, rate) == ((64, 1, 8, 8), (64,), 3, 16, 0.1)
        progress(1.0)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.fill_(reach)
        return {"error": [3.0, 2.0, 1.0]}

    module.fit = fit
    told = []
    trained = train.make(defended(reach=7), progress=told.append)
    assert all((parameter == 7).all() for parameter in trained.model.parameters())
    assert (trained.history, told, trained.images) == ({"error": [3.0, 2.0, 1.0]}, [1.0], 3 * 64)


def declared(base):
    for paper in papers.NAMES:
        importlib.import_module(f"bioinspired.lab.papers.{paper}.declarations")
    named = [kind for kind in every(base) if kind.__module__.startswith("bioinspired.")]
    return [kind for kind in named if "kind" in vars(kind)]


def every(base):
    return [one for kind in base.__subclasses__() for one in (kind, *every(kind))]


@pytest.mark.parametrize("kind", declared(Defense), ids=lambda kind: kind.__name__)
def test_every_field_of_a_defense_reaches_one_of_its_functions(kind):
    module = importlib.import_module(f"{kind.home}.{kind.kind}")
    functions = [getattr(module, name) for name in ("apply", "regularizer", "fit", "after") if hasattr(module, name)]
    assert functions
    taken = {name for function in functions for name in inspect.signature(function).parameters}
    assert {field.name for field in fields(kind)} - {"mask_seed"} <= taken


@pytest.mark.parametrize("kind", declared(Question), ids=lambda kind: kind.__name__)
def test_every_kind_of_question_can_be_asked(kind):
    assert callable(importlib.import_module(kind.module()).ask)


def test_strengths_that_may_be_absent_stay_absent(module):
    @dataclass(frozen=True, kw_only=True)
    class Maybe(Defense):
        kind: ClassVar = "made_up"
        strength: Strength | None = None

    seen = []
    module.apply = lambda model, *, strength: seen.append(strength) or model
    network = Network(data=NETWORK.data, architecture=NETWORK.architecture, recipe=NETWORK.recipe, seed=0)
    for strength in (None, "1/2"):
        made = Network(
            **{f.name: getattr(network, f.name) for f in fields(network)} | {"defense": Maybe(strength=strength)}
        )
        Hooks(made).apply(nn.Identity())
    assert seen == [None, 0.5]
