"""Keys: equal meaning, equal key; any changed field, another."""

import dataclasses
import hashlib
import json
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bioinspired.declarations import Architecture, Data, Images, Network, PGDTraining, Recipe
from bioinspired.errors import UserError
from bioinspired.keys import canonical, key, number, strength
from bioinspired.lab.declarations import Measurement
from bioinspired.lab.measurements.declarations import Attack, Clean, Corruption
from bioinspired.lab.papers.defective_conv.declarations import DefectiveConv

fractions = st.fractions(min_value=0, max_value=1, max_denominator=1000)
strengths = fractions.map(str)
datas = st.builds(
    Data,
    name=st.sampled_from(["digits", "mnist", "cifar10"]),
    size=st.sampled_from([8, 16, 28, 32]),
    train=st.none() | st.integers(1, 60_000),
)
defenses = st.none() | st.builds(
    DefectiveConv,
    keep=strengths,
    where=st.sampled_from(["bottom", "top", "both"]),
    shared=st.booleans(),
    mask_seed=st.none() | st.integers(0, 9),
)
recipes = st.builds(
    Recipe,
    epochs=st.integers(1, 350),
    batch=st.integers(1, 512),
    rate=strengths,
    milestones=st.lists(strengths, max_size=3).map(tuple),
    noise=st.none() | strengths,
    adversary=st.none() | st.builds(PGDTraining, eps=strengths, steps=st.integers(1, 20)),
)
networks = st.builds(
    Network,
    data=datas,
    architecture=st.builds(Architecture, name=st.sampled_from(["resnet18", "vgg"]), width=st.integers(1, 64)),
    recipe=recipes,
    seed=st.integers(0, 1000),
    defense=defenses,
)
questions = (
    st.just(Clean())
    | st.builds(Corruption, name=st.sampled_from(["gaussian_noise", "blur"]), strength=strengths)
    | st.builds(Attack, name=st.sampled_from(["fgsm", "pgd"]), eps=strengths, steps=st.integers(1, 100))
)
measurements = st.builds(
    Measurement,
    question=questions,
    images=st.builds(Images, n=st.none() | st.integers(1, 10_000)),
    sources=st.lists(networks, max_size=2).map(tuple),
    seed=st.integers(0, 3),
)


def meaning(value):
    """A configuration as nested tuples with every field, exact numbers as fractions: independent of `canonical`."""
    if dataclasses.is_dataclass(value):
        return (type(value).__name__, *((f.name, meaning(getattr(value, f.name))) for f in dataclasses.fields(value)))
    if isinstance(value, tuple):
        return tuple(meaning(item) for item in value)
    if isinstance(value, str):
        try:
            return Fraction(value)
        except ValueError:
            return value
    return value


@given(networks, networks)
def test_networks_have_equal_keys_exactly_when_they_mean_the_same(one, other):
    assert (key(one) == key(other)) == (meaning(one) == meaning(other))


@given(measurements, measurements)
def test_measurements_have_equal_keys_exactly_when_they_mean_the_same(one, other):
    assert (key(one) == key(other)) == (meaning(one) == meaning(other))


@given(networks, st.data())
def test_any_changed_field_changes_the_key(network, data):
    part = data.draw(st.sampled_from(["seed", "data", "architecture", "recipe"]))
    if part == "seed":
        changed = dataclasses.replace(network, seed=network.seed + 1)
    elif part == "data":
        changed = dataclasses.replace(network, data=dataclasses.replace(network.data, train=99_999))
    elif part == "architecture":
        wider = dataclasses.replace(network.architecture, width=network.architecture.width + 1)
        changed = dataclasses.replace(network, architecture=wider)
    else:
        changed = dataclasses.replace(network, recipe=dataclasses.replace(network.recipe, batch=513))
    assert key(changed) != key(network)


@given(fractions)
def test_a_strength_has_one_spelling_and_keeps_its_value(value):
    spelled = strength(value)
    assert Fraction(spelled) == value
    assert strength(f"{value.numerator * 7}/{value.denominator * 7}") == spelled
    assert number(spelled) == float(value)


@pytest.mark.parametrize(
    ("written", "spelled"),
    [
        ("16/510", "8/255"),
        (0.1, "0.1"),
        ("1e-3", "0.001"),
        ("51/255", "0.2"),
        (1, "1"),
        ("1/3", "85/255"),
        ("1/7", "1/7"),
    ],
)
def test_spellings_of_strengths(written, spelled):
    assert strength(written) == spelled


@pytest.mark.parametrize("text", ["", "eight", "8/0", "nan", None])
def test_what_is_no_strength_is_refused_in_a_sentence(text):
    with pytest.raises(UserError, match="is not a strength"):
        strength(text)


def test_a_key_is_the_sha256_of_sorted_compact_json_without_defaults():
    network = Network(
        data=Data(name="digits", size=16),
        architecture=Architecture(name="resnet18", width=64),
        recipe=Recipe(epochs=5, batch=128, rate="1/10"),
        seed=3,
        defense=DefectiveConv(keep="5/10", where="bottom"),
    )
    plain = {
        "data": {"name": "digits", "size": 16},
        "architecture": {"name": "resnet18"},
        "defense": {"kind": "defective_conv", "keep": "0.5"},
        "recipe": {"epochs": 5},
        "seed": 3,
    }
    assert canonical(network) == plain
    expected = hashlib.sha256(json.dumps(plain, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
    assert key(network) == expected


def test_a_new_field_with_a_default_orphans_nothing():
    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Before:
        size: int

    @dataclasses.dataclass(frozen=True, kw_only=True)
    class After:
        size: int
        smoothing: float = 0.0

    assert key(Before(size=3)) == key(After(size=3)) == key(After(size=3, smoothing=0))
    assert key(After(size=3, smoothing=0.5)) != key(After(size=3))


def test_numbers_take_the_declared_type():
    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Rate:
        rate: float

    assert key(Rate(rate=1)) == key(Rate(rate=1.0))
