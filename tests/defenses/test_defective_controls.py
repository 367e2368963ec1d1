"""What the chapter on defective convolution compares with: JPEG before the network, C&W with a confidence."""

import math

import pytest
import torch
from torch import nn

from bioinspired import networks
from bioinspired.corruptions.digital import jpeg
from bioinspired.data import Split
from bioinspired.declarations import Architecture
from bioinspired.defenses import jpeg_input
from bioinspired.errors import UserError
from bioinspired.lab.declarations import Measurement
from bioinspired.lab.engine.measuring import measure
from bioinspired.lab.measurements.declarations import Attack
from bioinspired.lab.papers.defective_conv.declarations import ConfidentTransfer, Striking

HEIGHT, SCALE = 0.1, 40.0


class Linear(nn.Module):
    """Two logits, 0 and the scaled mean of the image minus a half: the boundary is a plane, its margin a distance."""

    def __init__(self, threshold=0.5):
        super().__init__()
        self.threshold = threshold

    def forward(self, x):
        score = SCALE * (x.flatten(1).mean(1) - self.threshold)
        return torch.stack([torch.zeros_like(score), score], 1)


def split(n=8):
    images = torch.rand((n, 1, 4, 4), generator=torch.Generator().manual_seed(0)) * 0.2
    images += 0.5 + HEIGHT - images.flatten(1).mean(1).view(-1, 1, 1, 1)
    return Split((images * 255).round().to(torch.uint8), torch.ones(n, dtype=torch.int64), f"made-up-{n}")


def moved(confidence, target=0.5, steps=200):
    question = ConfidentTransfer(confidence=confidence, steps=steps, searches=6)
    sources = (None,)  # what the measurement names is not looked at: the models are given
    return measure(Measurement(question=question, sources=sources), Linear(target), split(), [Linear()])


@pytest.mark.parametrize("confidence", [0, 2, 8])
def test_the_length_is_the_distance_to_the_plane_and_on_to_the_confidence(confidence):
    found = moved(confidence)
    heights = (split().images.float() / 255).flatten(1).mean(1) - 0.5
    for length, height in zip(found.values["length"], heights.tolist(), strict=True):
        least = math.sqrt(16) * (height + confidence / SCALE)
        assert least * (1 - 1e-3) <= length <= least * 1.05
    assert not found.bits["source_correct"].any()


def test_a_target_behind_the_plane_falls_only_to_more_confidence():
    assert moved(0, target=0.45).bits["correct"].all()
    assert not moved(4, target=0.45).bits["correct"].any()


def test_where_no_image_reaches_the_confidence_images_stay_as_they_are():
    found = moved(1_000, steps=10)
    assert found.values["length"] == [None] * 8
    assert found.bits["correct"].all()
    assert found.bits["source_correct"].all()


def tiny(channels=1):
    architecture = Architecture(name="resnet18", width=2)
    values, generator = (0.5,) * channels, torch.Generator().manual_seed(0)
    return networks.build(architecture, classes=3, channels=channels, size=16, mean=values, std=values,
                          generator=generator)  # fmt: skip


@pytest.mark.parametrize("channels", [1, 3])
def test_jpeg_works_in_use_only_and_passes_gradients_as_the_identity(channels):
    plain = tiny(channels=channels).eval()
    model = jpeg_input.apply(tiny(channels=channels), quality=20).eval()
    x = torch.rand(2, channels, 16, 16, generator=torch.Generator().manual_seed(1))
    left = jpeg(x.expand(-1, 3, -1, -1), 20, None)[:, :channels].clamp(0, 1)
    assert (left - x).abs().max() > 0.1
    assert torch.equal(model(x), plain(left))
    assert torch.equal(model.train()(x), plain.train()(x))
    model.eval(), plain.eval()
    given, passed = x.clone().requires_grad_(), left.clone().requires_grad_()
    model(given)[:, 0].sum().backward(), plain(passed)[:, 0].sum().backward()
    assert torch.equal(given.grad, passed.grad)


@pytest.mark.parametrize("quality", [0, 101])
def test_a_quality_that_is_none_is_refused(quality):
    with pytest.raises(UserError, match=f"JPEG has qualities from 1 to 100, not {quality}."):
        jpeg_input.apply(tiny(), quality=quality)


class Half(nn.Module):
    """Three classes: dark, middle, bright; sure of what it says by the distance from the bounds between them."""

    def forward(self, x):
        mean = x.flatten(1).mean(1)
        return torch.stack([-100 * (mean - centre).abs() for centre in (0.2, 0.5, 0.8)], 1)


def test_striking_examples_are_those_that_the_source_reads_alike_most_sure_first():
    images = torch.full((6, 1, 4, 4), 0.5) + torch.tensor([0.0, 0.12, -0.12, 0.05, 0.14, -0.14]).view(-1, 1, 1, 1)
    labels = torch.tensor([1, 1, 1, 1, 1, 0])  # the last is wrong when clean
    made = Split((images * 255).round().to(torch.uint8), labels, "made-up-6")
    question = Striking(attack=Attack(name="pgd", eps="0.1", steps=5, step_size="0.25"))
    found = measure(Measurement(question=question, sources=(None,)), Half(), made, [Half()])
    assert found.values["agreed"] == [0, 100, 100, 0, 100, 0]
    clean = found.arrays["clean"][:, 0, 0, 0] / 255
    assert abs(clean - 0.5).tolist() == pytest.approx([0.14, 0.12, 0.12], abs=0.01)
    assert found.arrays["label"].tolist() == [1, 1, 1]
    assert set(found.arrays["adversarial_answer"].tolist()) == {0, 2}
    blind = measure(Measurement(question=question, sources=(None,)), Half(), made, [lambda x: Half()(1 - x)])
    assert not any(blind.values["agreed"])
    assert blind.arrays["clean"].shape == (0, 1, 4, 4)
