"""The committed claims, the hash of a criterion, and what the loader says about damaged files."""

import dataclasses
import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest
from made_up import PLAIN

from bioinspired import keys
from bioinspired.errors import UserError
from bioinspired.lab import papers
from bioinspired.lab.claims import Endpoint, Override, declarations, load, studies

FOLDER = Path(papers.__file__).parent
CLAIMS = load("defective_conv")


def test_headlines():
    assert 5 <= CLAIMS.m <= 8
    assert CLAIMS.m == len(CLAIMS.headlines)
    assert {headline.source_set for headline in CLAIMS.headlines} == {"defective_conv", "random_mask"}
    assert {headline.margin for headline in CLAIMS.headlines if headline.unit == "points"} == {2.0}
    assert {headline.margin for headline in CLAIMS.headlines if headline.unit == "ratio"} == {1.15}
    assert len({headline.criterion for headline in CLAIMS.headlines}) == CLAIMS.m


def test_the_predecessor_feeds_no_verdict_of_the_paper():
    sets = {cell.id: cell.source_set for cell in CLAIMS.cells}
    for headline in CLAIMS.headlines:
        assert {sets[name] for name in headline.cells} <= {headline.source_set}
        if headline.source_set == "defective_conv":
            assert headline.value is None or headline.id == "boundary"


@pytest.mark.parametrize(
    ("name", "value"),
    [("boundary", 2.19), ("rm-transfer", 44.80), ("rm-cost", -7.65), ("rm-top", 0.28), ("transfer", None)],
)
def test_claimed_values(name, value):
    assert next(headline.value for headline in CLAIMS.headlines if headline.id == name) == value


def test_every_claim_with_a_number_is_judged_by_the_metric_of_its_number():
    metric = {cell.id: cell["metric"] for cell in CLAIMS.cells}
    for headline in CLAIMS.headlines:
        for name in headline.cells:
            assert metric[name] in (headline.endpoint.metric, "median distance")


def test_overrides():
    headline = next(headline for headline in CLAIMS.headlines if headline.id == "rm-transfer")
    assert headline.on("cifar10").endpoint == headline.endpoint
    digits = headline.on("digits")
    assert digits.endpoint == replace(headline.endpoint, eps="0.2", source="vgg")
    assert digits.overrides == ()
    assert digits.criterion != headline.criterion
    assert headline.on("cifar10").criterion == headline.criterion


def test_a_number_that_the_paper_prints_for_other_data():
    headline = next(headline for headline in CLAIMS.headlines if headline.id == "rm-transfer")
    narrow = headline.on("mnist", "narrow")
    assert (narrow.value, narrow.place, narrow.endpoint.steps) == (29.85, "Random Mask, table 5", 40)
    assert headline.on("mnist", "full") == headline.on("mnist")
    assert (headline.on("mnist").value, headline.on("mnist").place) == (44.80, "Random Mask, table 2")
    transfer = next(headline for headline in CLAIMS.headlines if headline.id == "transfer").on("mnist", "narrow")
    assert (transfer.value, transfer.place, transfer.endpoint.source) == (None, "abstract", "vgg19")


def test_criterion_is_the_hash_of_this_text():
    fields = {
        "access": "transfer",
        "baseline": "standard",
        "defended": "keep 0.1",
        "endpoint": {
            "eps": "16/255",
            "metric": "unconditional",
            "name": "pgd",
            "norm": "linf",
            "question": "attack",
            "source": "vgg",
        },
        "kind": "effect",
        "margin": 2.0,
        "reliability": "quoted",
        "sign": 1,
        "unit": "points",
    }
    text = json.dumps(fields, sort_keys=True, separators=(",", ":"))
    assert PLAIN.criterion == hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize(
    "prose",
    [
        {"id": "other"},
        {"statement": "Said otherwise."},
        {"place": "abstract"},
        {"source_set": "other"},
        {"cells": ("a", "b")},
        {"pilot": "one network"},
        {"overrides": (Override(data="digits", endpoint=PLAIN.endpoint),)},
        {"endpoint": replace(PLAIN.endpoint, eps="32/510")},
        {"margin": 2},
    ],
)
def test_prose_and_spelling_do_not_change_the_criterion(prose):
    assert replace(PLAIN, **prose).criterion == PLAIN.criterion


@pytest.mark.parametrize(
    "change",
    [
        {"reliability": "second-hand"},
        {"kind": "equivalence"},
        {"sign": -1},
        {"unit": "ratio"},
        {"defended": "keep 0.3"},
        {"baseline": "pgd-trained"},
        {"access": "white box"},
        {"margin": 3.0},
        {"value": 44.8},
        {"reading_error": 0.01},
        *(
            {"endpoint": replace(PLAIN.endpoint, **change)}
            for change in (
                {"question": "distance"},
                {"metric": "conditional"},
                {"name": "fgsm"},
                {"eps": "8/255"},
                {"norm": "l2"},
                {"steps": 20},
                {"step_size": "1/16"},
                {"source": "resnet18"},
            )
        ),
    ],
)
def test_everything_that_decides_changes_the_criterion(change):
    assert replace(PLAIN, **change).criterion != PLAIN.criterion


def test_a_new_option_orphans_no_criterion():
    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Wider(Endpoint):
        restarts: int = 1

    wider = Wider(**dataclasses.asdict(PLAIN.endpoint))
    assert replace(PLAIN, endpoint=wider).criterion == PLAIN.criterion
    assert replace(PLAIN, endpoint=replace(wider, restarts=2)).criterion != PLAIN.criterion


# --- damaged files


@pytest.fixture
def copy(tmp_path):
    for name in ("claims.toml", "cells.csv"):
        (tmp_path / "defective_conv").mkdir(exist_ok=True)
        (tmp_path / "defective_conv" / name).write_bytes((FOLDER / "defective_conv" / name).read_bytes())
    return tmp_path


def sentence(folder: Path, study: str = "defective_conv") -> str:
    with pytest.raises(UserError) as caught:
        load(study, folder)
    text = str(caught.value)
    assert "\n" not in text.removesuffix("\n")
    return text


def test_an_untouched_copy_loads(copy):
    assert load("defective_conv", copy) == CLAIMS
    assert studies(copy) == ("defective_conv",)


def test_unknown_study(copy):
    assert '"sleeep"' in sentence(copy, "sleeep")
    assert "defective_conv" in sentence(copy, "sleeep")


TOML_DAMAGE = [
    ("[[headline]]\n", "[[headline]\n", "not valid TOML"),
    ("[[headline]]\n", "title = 1\n\n[[headline]]\n", "nothing else"),
    ('id = "transfer"\n', "", 'headline 1: the field "id" is missing'),
    ('id = "transfer"', 'id = "boundary"', '"boundary" stands twice'),
    ('id = "transfer"', "id = 7", "headline 1, id"),
    ('id = "transfer"', 'id = "transfer"\ncolour = "red"', 'unknown field "colour"'),
    ('kind = "effect"', 'kind = "affect"', '"affect" is none of: effect, equivalence'),
    ("sign = 1", "sign = 2", '"2" is none of: 1, -1'),
    ("sign = 1", "sign = 1.0", "none of: 1, -1"),
    ("sign = 1", "sign = true", "none of: 1, -1"),
    ('unit = "points"', 'unit = "percent"', '"percent" is none of: points, ratio'),
    ('unit = "points"', 'unit = "ratio"', '"ratio" goes with the metric "distance"'),
    ('unit = "points"', 'unit = "points"\nmargin = 0', "margin must be above 0"),
    ('unit = "points"', 'unit = "points"\nmargin = nan', "margin"),
    ('unit = "points"', 'unit = "points"\nreading_error = 1.0', "belong to a value"),
    ('unit = "points"', 'unit = "points"\nvalue = -3.0', "does not have the claimed sign (+1)"),
    ('reliability = "quoted"', 'reliability = "none available"\nvalue = 3.0', "cannot be"),
    ('eps = "16/255"', "eps = 16", "not a strength"),
    ('eps = "16/255"', 'eps = "sixteen"', '"sixteen" is not a strength'),
    ('eps = "16/255"\n', "", '"attack" needs eps'),
    ('name = "pgd"\n', "", "needs a name"),
    ("steps = 20", 'steps = "20"', "steps"),
    ('metric = "unconditional"', 'metric = "distance"', "goes with the question"),
    ('source = "vgg19"\nmetric = "unconditional"', 'metric = "conditional"', "needs the source"),
    ('digits = { eps = "0.2", source = "vgg" }', "digits = 3", "on.digits must be a table"),
    ('digits = { eps = "0.2", source = "vgg" }', 'digits = { epsilon = "0.2" }', 'on.digits: unknown field "epsilon"'),
    ("reading_error = 0.023", "reading_error = -1.0", "must not be negative"),
    ("value = 29.85", "value = 29.75", "on.narrow mnist: value is 29.75 but its cells give 29.85"),
    ('place = "Random Mask, table 5"\n', "", "a number of its own needs statement, place"),
    ("value = 2.19", "value = -2.19", "above 0"),
    ("value = 2.19", "value = 2.29", "its cells give 2.19"),
    ("value = 44.80", "value = 48.80", "its cells give 44.80"),
    ('"dc-boundary/keep-0.1/median"', '"dc-boundary/keep-0.2/median"', 'no cell "dc-boundary/keep-0.2/median"'),
    ('"dc-boundary/keep-0.1/median"', '"rm-t2/standard/pgd16"', "one set never feeds a verdict of another"),
    ('cells = ["dc-boundary/keep-0.1/median", ', "cells = [", "must name two"),
    ('cells = ["dc-boundary/keep-0.1/median", ', "cells = [1, ", "list of texts"),
]


@pytest.mark.parametrize(("old", "new", "says"), TOML_DAMAGE)
def test_damaged_headlines(copy, old, new, says):
    file = copy / "defective_conv" / "claims.toml"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))
    said = sentence(copy)
    assert says in said
    assert "defective_conv/claims.toml" in said


FIRST = (
    "rm-t2/standard/fgsm16,random_mask,RM T2,cifar10,resnet18,,,,densenet121,fgsm,16/255,16/255,1,,conditional,14.91,"
)

CSV_DAMAGE = [
    ("id,source_set", "id,sourceset", "row 1"),
    (FIRST, FIRST.replace("14.91", "14,91"), "row 2: 21 fields instead of 20"),
    (FIRST, FIRST.replace("14.91", "l4.91"), 'row 2: value "l4.91" is not a finite number'),
    (FIRST, FIRST.replace("14.91", "nan"), "row 2"),
    (FIRST + "%,quoted", FIRST + "%,guessed", '"guessed" is none of'),
    ("rm-t2/standard/pgd16", "rm-t2/standard/fgsm16", '"rm-t2/standard/fgsm16" stands twice'),
    (FIRST, FIRST.replace("RM T2", '"RM" T2'), "not valid CSV"),
    (",quoted,rm-t2/standard/fgsm16,", ",quoted,rm-t2/standard/none,", '"rm-t2/standard/none" is not an earlier'),
    (
        "20,,conditional,2.96,%,quoted,rm-t2/standard/pgd16,\nrm-t4",
        "20,,conditional,2.96,%,quoted,rm-t8-t12/densenet121/pgd16/standard,\nrm-t4",
        '"rm-t8-t12/densenet121/pgd16/standard" is not an earlier, first cell',
    ),
]


@pytest.mark.parametrize(("old", "new", "says"), CSV_DAMAGE)
def test_damaged_cells(copy, old, new, says):
    file = copy / "defective_conv" / "cells.csv"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))
    said = sentence(copy)
    assert says in said
    assert "defective_conv/cells.csv" in said


def test_a_distance_of_zero(copy):
    file = copy / "defective_conv" / "cells.csv"
    file.write_text(file.read_text().replace(",7.3e-6,", ",0,"))
    assert '"dc-boundary/standard/median" is no distance above 0' in sentence(copy)


@pytest.mark.parametrize("damage", ["truncated", "empty", "absent", "binary"])
@pytest.mark.parametrize("name", ["claims.toml", "cells.csv"])
def test_ruined_files(copy, name, damage):
    file = copy / "defective_conv" / name
    content = file.read_bytes()
    if damage == "absent":
        file.unlink()
        assert ("no claims of a study" if name.endswith("toml") else "is missing") in sentence(copy)
        return
    file.write_bytes({"truncated": content[: len(content) // 2], "empty": b"", "binary": b"\xff\xfe\x00"}[damage])
    assert name in sentence(copy) or damage == "truncated"


def test_strengths_of_the_files_are_canonical():
    for headline in CLAIMS.headlines:
        for endpoint in (headline.endpoint, *(override.endpoint for override in headline.overrides)):
            assert endpoint.eps is None or endpoint.eps == keys.strength(endpoint.eps)


def test_margins():
    assert declarations.MARGINS == {"points": 2.0, "ratio": 1.15}
