"""What a chapter says of a defense in white box, the page "One threat model" says too, from the published records."""

import pytest

from bioinspired.lab import papers
from bioinspired.lab.claims.summary import of_attacks
from bioinspired.pages import chapter
from bioinspired.pages.tables.yardstick import Yardstick

COMPARED = ("defective_conv", "weight_map")


def test_the_intervals_of_a_pair_of_networks_are_the_same_on_both_pages():
    pages = [chapter.open(name, scale="full", dataset=papers.shared_dataset("full")) for name in COMPARED]
    contrasts = Yardstick(pages).contrasts.set_index(["study", "label", "rival", "eps"])[["mean", "low", "high"]]
    asked = 0
    for page in pages:
        for found in of_attacks(page.assessments):
            holding = found.white_box
            if holding.low is None or holding.level[0] != "linf":
                continue
            here = (page.study.name, found.headline.defended, holding.rival, holding.level[1])
            assert contrasts.loc[here].tolist() == pytest.approx([holding.effect, holding.low, holding.high])
            asked += 1
    assert asked >= len(COMPARED)
