"""The transcription of the papers' numbers: counts, sums and samples that were read a second time."""

from collections import defaultdict

import pytest

from bioinspired.lab.claims import load

CELLS = load("defective_conv").cells
BY_ID = {cell.id: cell for cell in CELLS}


def table(cell):
    if not cell.id.startswith("rm-t8-t12"):
        return cell.id.split("/")[0]
    if cell["attack"] == "clean":
        return "sources, clean" if cell["variant"] else "sweep, clean"
    return f"sweep, {cell['source']}"


# Counted and summed over the printed tables by a second reader.
TABLES = {
    "rm-t2": (115, 4959.31),
    "sweep, clean": (9, 819.58),
    "sources, clean": (5, 475.77),
    "sweep, densenet121": (63, 3118.09),
    "sweep, resnet18": (63, 2981.78),
    "sweep, resnet50": (63, 2575.20),
    "sweep, senet18": (63, 2806.85),
    "sweep, vgg19": (54, 2458.05),
    "rm-t4": (90, 2940.12),
    "rm-t5": (90, 2406.77),
    "rm-t1": (16, 1286.80),
    "rm-t6": (18, 766.09),
    "rm-t7": (21, 537.92),
    "rm-t3": (6, 373.10),
    "rm-reply": (20, 835.00),
    "dc-boundary": (6, 1.281e-4),
}


def test_counts_and_sums():
    found = defaultdict(list)
    for cell in CELLS:
        found[table(cell)].append(cell.value)
    assert {name: len(values) for name, values in found.items()} == {name: n for name, (n, _) in TABLES.items()}
    for name, values in found.items():
        assert sum(values) == pytest.approx(TABLES[name][1], rel=1e-9), name


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("rm-t2/0.1-bottom/pgd16", 83.08),
        ("rm-t2/0.5-top/pgd32", 4.52),
        ("rm-t2/0.7-bottom-0.3-top/cw40", 23.31),
        ("rm-t2/0.3-bottom-0.7-top/clean", 91.23),
        ("rm-t2/0.1-channels/pgd16", 19.33),
        ("rm-t2/0.1-same-mask/clean", 74.28),
        ("rm-t2/0.1-x4/fgsm16", 59.64),
        ("rm-t2/0.1-ensemble/clean", 89.45),
        ("rm-t8-t12/0.05/clean", 84.53),
        ("rm-t8-t12/source-resnet50/clean", 95.69),
        ("rm-t8-t12/densenet121/fgsm32/0.5", 6.65),
        ("rm-t8-t12/resnet18/cw20/0.3", 79.04),
        ("rm-t8-t12/resnet50/cw40/standard", 0.00),
        ("rm-t8-t12/senet18/pgd2-16/standard", 1.78),
        ("rm-t8-t12/vgg19/pgd32/0.05", 64.64),
        ("rm-t8-t12/vgg19/pgd16/0.15", 64.09),
        ("rm-t4/vgg19/0.3/densenet121", 57.74),
        ("rm-t4/resnet50/standard/vgg19", 17.58),
        ("rm-t5/resnet18/0.3/resnet50", 47.68),
        ("rm-t5/densenet121/0.5/densenet121", 1.52),
        ("rm-t5/vgg19/0.3/clean", 99.34),
        ("rm-t1/madry/pgd-2-7-8", 86.00),
        ("rm-t1/0.15/clean", 90.08),
        ("rm-t1/thermometer-32/unclear", 86.06),
        ("rm-t6/0.3/pgd8", 3.28),
        ("rm-t6/standard/fgsm4", 51.24),
        ("rm-t7/0.3-other-mask/source-0.3", 23.54),
        ("rm-t7/standard-vgg19/source-0.5", 17.43),
        ("rm-t3/0.3/8x8", 11.94),
        ("rm-reply/mi-fgsm/0.5/senet18", 50.81),
        ("rm-reply/pruning/channel-pruning/densenet121", 4.68),
        ("rm-reply/class-separation", 54),
        ("dc-boundary/label-smoothing/median", 6.8e-6),
    ],
)
def test_samples(name, value):
    assert BY_ID[name].value == value


def test_the_two_source_sets():
    assert {cell.source_set for cell in CELLS} == {"random_mask", "defective_conv"}
    own = {cell.id for cell in CELLS if cell.source_set == "defective_conv"}
    assert own == {
        f"dc-boundary/{net}/{stat}"
        for net in ("standard", "keep-0.1", "label-smoothing")
        for stat in ("mean", "median")
    }


def test_doubts_are_written_beside_the_numbers():
    starred = {cell.id.removeprefix("rm-t8-t12/") for cell in CELLS if cell.note.startswith("*")}
    assert starred == {
        *(f"{net}/{attack}/0.7" for net in ("resnet18", "resnet50", "senet18") for attack in ("fgsm32", "pgd16")),
        "senet18/pgd2-16/standard",
        "senet18/pgd32/standard",
    }
    assert BY_ID["rm-t2/0.5-top/pgd32"].note == "as printed; odd"
    assert {cell.id for cell in CELLS if cell.reliability == "second-hand"} == {
        *(f"rm-t1/madry/{attack}" for attack in ("fgsm8", "pgd-2-7-8", "clean")),
        *(f"rm-t1/thermometer-{levels}/{attack}" for levels in (16, 32) for attack in ("unclear", "clean")),
    }
    assert "like for like" in BY_ID["rm-t1/madry/fgsm8"].note


def test_metrics_are_marked():
    for cell in CELLS:
        assert cell["metric"] in ("conditional", "unconditional", "mean distance", "median distance", "distance")
        if cell["attack"] == "clean":
            assert (cell["metric"], cell["source"]) == ("unconditional", "")
        elif cell.unit == "%" and "madry" not in cell.id:
            assert cell["metric"] == "conditional"
        if cell.unit == "%":
            assert 0 <= cell.value <= 100


def test_repeated_cells_print_the_same_number():
    repeats = [cell for cell in CELLS if cell.same_as]
    assert len(repeats) == 56
    assert {cell.id for cell in repeats if cell.value != BY_ID[cell.same_as].value} == {"rm-t1/0.15/clean"}
    for cell in repeats:
        first = BY_ID[cell.same_as]
        names = ("target", "keep", "where", "variant", "source", "attack", "eps", "step", "steps", "metric")
        assert cell.data == first.data
        assert [cell[name] for name in names] == [first[name] for name in names]


@pytest.mark.parametrize("source", ["densenet121", "resnet18", "resnet50", "senet18", "vgg19"])
def test_fewer_kept_neurons_resist_more(source):
    """A column in the wrong place would break the trend that the paper reports."""
    keeps = ("standard", "0.7", "0.5", "0.3", "0.25", "0.2", "0.15", "0.1", "0.05")
    values = [BY_ID[f"rm-t8-t12/{source}/pgd16/{keep}"].value for keep in keeps]
    assert values == sorted(values)
