"""Defenses on other people's models and images."""

import pytest
import torch
from small_networks import digits
from torch import nn

from bioinspired.defenses import binary_input, blur, class_pca, jpeg_input, nearest
from bioinspired.errors import UserError


class Own(nn.Module):
    """A network with a forward of its own, whose children in order are not what it does."""

    def __init__(self):
        super().__init__()
        self.last, self.first = nn.Linear(9, 10), nn.Linear(64, 9)

    def forward(self, x):
        return self.last(self.first(x.flatten(1)))


@pytest.mark.parametrize("layer", ["binary", "jpeg", "blur"])
def test_a_module_that_is_not_ours_goes_behind_the_layer(layer):
    model, x = Own().eval(), torch.full((4, 1, 8, 8), 0.5)
    made = {
        "binary": lambda: binary_input.apply(model, threshold=0.25),
        "jpeg": lambda: jpeg_input.apply(model, quality=100),
        "blur": lambda: blur.apply(model, sigma=0.1),
    }[layer]().eval()
    expected = model(torch.ones_like(x) if layer == "binary" else x)
    assert torch.allclose(made(x), expected, atol=0.05)


@pytest.mark.parametrize("defense", [nearest, class_pca])
def test_training_images_are_bytes_or_floats_and_labels_below_the_classes(defense):
    x, y, test, truth = digits()
    shares = []
    for images in ((x * 255).round().to(torch.uint8), x):
        more = {"images": 500} if defense is nearest else {}
        model = defense.apply(Own(), input_shape=(1, 8, 8), generator=torch.Generator(), **more)
        defense.fit(model, images=images, labels=y)
        shares.append(float((model(test).argmax(1) == truth).double().mean()))
        with pytest.raises(UserError, match="0 to 9"):
            defense.fit(model, images=images, labels=y + 1)
        with pytest.raises(UserError, match="divide"):
            defense.fit(model, images=images.float() + 2, labels=y)
    assert shares[0] == shares[1] > 0.9
