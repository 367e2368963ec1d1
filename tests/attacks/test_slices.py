"""Networks that answer many images in slices."""

import pytest
import torch
from torch import nn

from bioinspired.attacks.slices import SLICE, Sliced, sliced
from bioinspired.declarations import Architecture
from bioinspired.networks.small_cnn import build

CPU = torch.device("cpu")


@pytest.fixture
def network():
    torch.manual_seed(0)
    return build(Architecture(name="small_cnn", width=8, normalize=False), classes=10, channels=1, size=16).eval()


@pytest.mark.parametrize("n", [0, 1, SLICE, SLICE + 1, 3 * SLICE - 1])
def test_logits_and_gradients_are_those_of_the_whole_batch(network, n):
    images = torch.rand(n, 1, 16, 16, generator=torch.Generator().manual_seed(1))
    answers = []
    for model in (network, sliced(network, CPU)):
        x = images.clone().requires_grad_()
        logits = model(x)
        logits.logsumexp(1).sum().backward()
        answers.append((logits.detach(), x.grad))
    torch.testing.assert_close(answers[0], answers[1])


def test_slices_are_equal_and_no_larger_than_said(network):
    seen = []
    model = Sliced(network)
    model.model.register_forward_hook(lambda module, given, made: seen.append(len(made)))
    model(torch.rand(2 * SLICE + 1, 1, 16, 16))
    assert sum(seen) == 2 * SLICE + 1
    assert max(seen) <= SLICE
    assert max(seen) - min(seen) <= 1


def test_the_network_itself_is_left_alone(network):
    before = {name: (value.clone(), value.stride()) for name, value in network.state_dict().items()}
    model = sliced(network, CPU)
    assert not model.training
    assert network.conv2.weight.is_contiguous()
    assert not model.model.conv2.weight.is_contiguous()
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name][0])
        assert value.stride() == before[name][1]


def test_functions_and_other_devices_get_whole_batches(network):
    def answer(x):
        return x.flatten(1)

    assert sliced(answer, CPU) is answer
    assert sliced(network, torch.device("cuda")) is network
    assert isinstance(sliced(nn.Flatten(), CPU), Sliced)
