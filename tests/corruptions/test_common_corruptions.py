"""The fifteen common corruptions against Pillow, SciPy and closed forms; their spectra and the groups made of them."""

import io
import math

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import ndimage
from torch import Tensor

from bioinspired import data
from bioinspired.corruptions import blurs, corrupt, digital, weather
from bioinspired.corruptions.common import BANDS, COMMON, common
from bioinspired.corruptions.sampling import gaussian_kernel, plasma, sampled, smeared, zoomed
from bioinspired.declarations import Data, Images
from bioinspired.errors import UserError
from bioinspired.lab.measurements.spectra import cumulative, half_power_radius, power, radii


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pictures(n: int = 6, channels: int = 3, size: int = 32) -> Tensor:
    """Whole bytes with power at all frequencies, most at low ones, as in photographs."""
    clouds = plasma(n * channels, 32, 1.8, generator(5), torch.device("cpu")).view(n, channels, 32, 32)
    return (clouds[:, :, :size, :size] * 255).round() / 255


def as_bytes(image: Tensor) -> np.ndarray:
    return (image * 255).round().byte().permute(1, 2, 0).numpy()


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", list(COMMON))
def test_each_is_deterministic_and_leaves_its_input_alone(name, channels):
    x = pictures(4, channels)
    before, state = x.clone(), torch.get_rng_state()
    for severity in (1, 5):
        first, second = (common(x, name, severity, generator(2)) for _ in range(2))
        assert first.shape == x.shape
        assert torch.equal(first, second)
        assert float(first.min()) >= 0
        assert float(first.max()) <= 1 + 1e-6
        assert not torch.allclose(first, x, atol=1e-3)
    assert torch.equal(x, before)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("size", [16, 28])
@pytest.mark.parametrize("name", list(COMMON))
def test_other_sizes(name, size):
    assert common(pictures(2, 1, size), name, 3, generator()).shape == (2, 1, size, size)


@pytest.mark.parametrize("name", sorted(set(COMMON) - {"elastic_transform", "glass_blur", "snow", "frost", "pixelate"}))
def test_severity_rises(name):
    x = pictures(30)
    change = [float((common(x, name, severity, generator()) - x).square().mean()) for severity in range(1, 6)]
    assert change == sorted(change)


def test_noises_have_their_moments():
    grey = torch.full((20, 3, 32, 32), 0.5)
    assert float((common(grey, "gaussian_noise", 3, generator()) - 0.5).std()) == pytest.approx(0.08, rel=0.02)
    assert float((common(grey, "shot_noise", 3, generator()) - 0.5).std()) == pytest.approx(math.sqrt(0.005), rel=0.02)
    hit = common(grey, "impulse_noise", 5, generator())
    assert float((hit == 1).float().mean()) == pytest.approx(0.035, rel=0.05)
    assert float((hit == 0).float().mean()) == pytest.approx(0.035, rel=0.05)


def test_grey_images_are_corrupted_as_colour_images():
    """Independent noise in three channels, weighted by luma, has sqrt(.299^2 + .587^2 + .114^2) of the deviation."""
    grey = torch.full((60, 1, 32, 32), 0.5)
    deviation = float(common(grey, "gaussian_noise", 2, generator()).std())
    assert deviation == pytest.approx(0.06 * math.sqrt(0.299**2 + 0.587**2 + 0.114**2), rel=0.02)


@pytest.mark.parametrize("quality", [80, 65, 58, 50, 40])
def test_jpeg_is_nearly_pillows(quality):
    for channels in (1, 3):
        x = pictures(8, channels)
        ours = digital.jpeg(x.expand(-1, 3, -1, -1), quality, None).clamp(0, 1)
        for image, found in zip(x, ours, strict=True):
            file = io.BytesIO()
            pixels = as_bytes(image)
            Image.fromarray(pixels[:, :, 0] if channels == 1 else pixels).save(file, "JPEG", quality=quality)
            theirs = np.asarray(Image.open(file)).astype(float).reshape(32, 32, channels)
            loss = np.sqrt(np.mean((theirs - pixels) ** 2))
            apart = np.sqrt(np.mean((theirs - as_bytes(found[:channels])) ** 2))
            assert (
                apart < (0.4 if channels == 1 else 0.5) * loss
            )  # fixed-point arithmetic there; rounding to bytes alone is 0.29


@pytest.mark.parametrize("share", [0.95, 0.9, 0.85, 0.75, 0.65])
@pytest.mark.parametrize("size", [16, 32])
def test_pixelation_is_pillows(share, size):
    for image in pictures(4, size=size):
        small = int(size * share)
        box = Image.Resampling.BOX
        theirs = np.asarray(Image.fromarray(as_bytes(image)).resize((small, small), box).resize((size, size), box))
        ours = digital.pixelate(image[None], share, None)[0]
        assert np.abs(as_bytes(ours).astype(int) - theirs).max() <= 1


def test_gaussian_kernel_is_scipys():
    delta = np.zeros((33, 33))
    delta[16, 16] = 1
    kernel = gaussian_kernel(0.7).numpy()
    theirs = ndimage.gaussian_filter(delta, 0.7, truncate=4.0)
    reach = len(kernel) // 2
    assert np.allclose(kernel, theirs[16 - reach : 17 + reach, 16 - reach : 17 + reach], atol=1e-7)
    assert gaussian_kernel(0.0).tolist() == [[1.0]]


def test_defocus_is_a_disk():
    point = torch.zeros(1, 3, 9, 9)
    point[:, :, 4, 4] = 1
    spread = blurs.defocus(point, (1, 0.0), None)[0, 0]  # no softening: the centre and its four neighbours
    assert torch.allclose(spread[4, 3:6], torch.full((3,), 0.2))
    assert torch.allclose(spread.sum(), torch.tensor(1.0))
    assert float(spread[3, 3]) == 0


def test_motion_blur_leaves_a_trail_in_one_direction():
    point = torch.zeros(2, 3, 9, 9)
    point[:, :, 4, 4] = 1
    trail = smeared(point, radius=1, sigma=1.0, degrees=torch.tensor([0.0, -90.0]))
    weights = np.exp(-(np.arange(3) ** 2) / 2)
    weights /= weights.sum()
    assert np.allclose(trail[0, 0, 4, [4, 3, 2]].numpy(), weights)  # each pixel takes from its right
    assert np.allclose(trail[1, 0, [4, 5, 6], 4].numpy(), weights)  # from above
    assert float(trail.sum()) == pytest.approx(6)


def test_glass_blur_copies_from_above_and_left():
    x = pictures(3)
    out = blurs.glass(x, (1e-3, 1), generator())
    neighbours = [x.roll((down, right), (2, 3)) for down in (0, 1) for right in (0, 1)]
    same = torch.stack([(out - other).abs().amax(1) < 1e-4 for other in neighbours])
    assert same.any(0)[:, 1:, 1:].all()
    assert torch.allclose(out[:, :, :2], x[:, :, :2], atol=1e-4)
    shares = same[:, :, 2:, 2:].float().mean((1, 2, 3))
    assert shares.tolist() == pytest.approx([0.25] * 4, abs=0.06)


def test_zooming_a_ramp():
    ramp = torch.arange(9.0).expand(1, 1, 9, 9)
    assert torch.allclose(zoomed(ramp, 2.0)[0, 0, 0], 4 + (torch.arange(9.0) - 4) / 2, atol=1e-5)
    mean = np.mean([1, *(1 / (1 + k / 100) for k in range(6))])
    assert float(blurs.zoom(ramp.expand(1, 3, 9, 9), 6, None)[0, 0, 4, 2]) == pytest.approx(4 - 2 * mean, rel=1e-5)


def test_sampling_is_scipys():
    x = pictures(2, 1)
    rows, columns = (torch.rand(2, 32, 32, generator=generator(seed)) * 40 - 4 for seed in (1, 2))
    found = sampled(x, rows, columns)
    for image, r, c, ours in zip(x, rows, columns, found, strict=True):
        theirs = ndimage.map_coordinates(image[0].numpy(), [r.numpy(), c.numpy()], order=1, mode="mirror")
        assert np.allclose(ours[0].numpy(), theirs, atol=1e-4)


def test_elastic_without_parameters_changes_nothing():
    x = pictures()
    assert torch.allclose(digital.elastic(x, (0, 0, 0), generator()), x, atol=1e-4)


def test_brightness_contrast_and_fog_in_closed_form():
    colour = torch.tensor([0.8, 0.4, 0.2]).view(1, 3, 1, 1).expand(1, 3, 4, 4)
    raised = weather.brightness(colour, 0.1, None)
    assert raised[0, :, 0, 0].tolist() == pytest.approx([0.9, 0.45, 0.225])
    assert weather.brightness(torch.zeros(1, 3, 4, 4), 0.1, None).unique().tolist() == pytest.approx([0.1])
    x = pictures(2)
    shrunk = digital.contrast(x, 0.4, None)
    assert torch.allclose(shrunk.mean((2, 3)), x.mean((2, 3)), atol=1e-6)
    assert torch.allclose(shrunk.std((2, 3)), 0.4 * x.std((2, 3)), atol=1e-6)
    assert float(weather.fog(x, (1.5, 1.75), generator()).amax()) <= float(x.amax()) + 1e-6


def test_clouds_fill_the_unit_interval():
    clouds = plasma(5, 28, 2.0, generator(), torch.device("cpu"))
    assert clouds.shape == (5, 28, 28)
    whole = plasma(5, 32, 2.0, generator(), torch.device("cpu"))
    assert whole.amin((1, 2)).tolist() == [0] * 5
    assert whole.amax((1, 2)).tolist() == [1] * 5
    smooth, rough = (plasma(20, 32, decay, generator(), torch.device("cpu")) for decay in (3.0, 1.3))
    assert float(half_power_radius(power((smooth - 0.5)[:, None]).mean(0))) < float(
        half_power_radius(power((rough - 0.5)[:, None]).mean(0))
    )


def test_mistakes_give_a_sentence():
    with pytest.raises(UserError, match='no common corruption "rain": choose one of gaussian_noise'):
        common(pictures(1), "rain", 1)
    with pytest.raises(UserError, match="severity of fog must be 1, 2, 3, 4 or 5, not 6"):
        common(pictures(1), "fog", 6)
    with pytest.raises(UserError, match="square images of one or three channels"):
        common(pictures(1)[:, :2], "fog", 1)


# --- noise in an image's own range


def test_own_range_clamps_each_image_to_itself():
    x = torch.stack([torch.linspace(0.2, 0.6, 1024).view(1, 32, 32), torch.linspace(0.0, 0.9, 1024).view(1, 32, 32)])
    for name in ("gaussian_noise", "uniform_noise", "salt_and_pepper"):
        noisy = corrupt(x, f"{name}_own_range", 0.3, generator())
        assert noisy.amin((1, 2, 3)).tolist() == pytest.approx([0.2, 0.0])
        assert noisy.amax((1, 2, 3)).tolist() == pytest.approx([0.6, 0.9])
    hit = corrupt(x, "salt_and_pepper_own_range", 0.3, generator())
    inner = x[0, 0, 1:-1]
    changed = hit[0, 0, 1:-1] != inner
    assert float(changed.float().mean()) == pytest.approx(0.3, abs=0.06)
    assert set(hit[0, 0, 1:-1][changed].unique().tolist()) == {float(x[0].min()), float(x[0].max())}


# --- spectra


def test_one_wave_has_one_frequency():
    rows = torch.arange(32.0)
    for k in (1, 4, 11):
        wave = torch.cos(2 * math.pi * k * rows / 32).expand(1, 1, 32, 32)
        spectrum = power(wave)[0]
        assert int((spectrum > 1e-3).sum()) == 2
        assert float(spectrum[16, 16 + k]) == pytest.approx(float(spectrum[16, 16 - k]))
        before = k / 16 / math.sqrt(2)
        assert float(half_power_radius(spectrum)) <= before + 1e-6
        rings, shares = cumulative(spectrum)
        assert float(shares[rings < before - 1e-4].max()) == pytest.approx(0, abs=1e-6)
        assert float(shares[rings > before - 1e-4].min()) == pytest.approx(1)


def test_half_power_radius_against_a_direct_sum():
    spectrum = torch.rand(3, 8, 8, generator=generator()).double()
    found = half_power_radius(spectrum)
    distance = radii(8, 8).numpy()
    assert distance[0, 0] == 1
    assert distance[4, 4] == 0
    for one, radius in zip(spectrum.numpy(), found.tolist(), strict=True):
        rings = np.unique(distance.round(5))
        shares = [one[distance <= ring + 1e-4].sum() / one.sum() for ring in rings]
        assert radius == pytest.approx(np.interp(0.5, shares, rings), abs=1e-4)
    assert math.isnan(float(half_power_radius(torch.zeros(8, 8))))
    constant = torch.zeros(8, 8)
    constant[4, 4] = 1
    assert float(half_power_radius(constant)) == 0


def test_parseval():
    x = pictures(2)
    assert torch.allclose(power(x).sum((1, 2)) / 32**2, x.square().sum((1, 2, 3)), rtol=1e-4)


def test_bands_hold_every_corruption_once():
    names = [name for band in BANDS.values() for name in band]
    assert sorted(names) == sorted(COMMON)


@pytest.mark.skipif(data.check("cifar10").state != "intact", reason="CIFAR-10 is not at hand")
def test_bands_follow_their_rule():
    test = data.select(data.load(Data(name="cifar10", size=32, gray=True), "test"), Images(n=1000))
    x = test.images.float() / 255
    for name in COMMON:
        radius = float(half_power_radius(power(common(x, name, 4, generator()) - x).mean(0)))
        band = "low" if radius < 0.15 else "high" if radius >= 0.5 else "medium"
        assert name in BANDS[band], radius
