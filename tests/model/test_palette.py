"""Colours of classes can be told apart by every eye, on paper and on a dark screen."""

import numpy as np
import pytest

from kinestream.model.palette import CLASSES, NULL, UNCERTAIN, class_colours, reads_white

# What the colour-blind see of linear RGB: Machado, Oliveira, Fernandes, IEEE TVCG 15(6), 2009, severity 1.
EYES = {
    "normal": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}


def oklab(linear):
    """Return linear RGB as OKLab (Ottosson 2020), shape (N, 3)."""
    cones = linear @ np.transpose(
        [
            [0.4122214708, 0.5363325363, 0.0514459929],
            [0.2119034982, 0.6806995451, 0.1073969566],
            [0.0883024619, 0.2817188376, 0.6299787005],
        ]
    )
    return np.cbrt(cones) @ np.transpose(
        [
            [0.2104542553, 0.7936177850, -0.0040720468],
            [1.9779984951, -2.4285922050, 0.4505937099],
            [0.0259040371, 0.7827717662, -0.8086757660],
        ]
    )


def linear(colours):
    """Return colours as linear RGB, shape (N, 3)."""
    channels = np.array([[int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)] for colour in colours])
    return np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("eye", EYES)
def test_colours_of_classes_can_be_told_apart_by_every_eye(eye, theme):
    colours = linear([getattr(colour, theme) for colour in CLASSES])
    seen = oklab(np.clip(colours @ np.transpose(EYES[eye]), 0, 1))
    distances = np.linalg.norm(seen[:, None] - seen[None], axis=2) + np.eye(len(CLASSES))
    assert distances.min() > 0.049
    assert distances[:8, :8].min() > 0.1


def test_every_class_is_seen_on_a_dark_screen():
    paper, *colours = linear(["#14171b", *(colour.dark for colour in CLASSES)]) @ [0.2126, 0.7152, 0.0722]
    assert min((luminance + 0.05) / (paper + 0.05) for luminance in colours) >= 3.0  # WCAG 1.4.11


def test_a_class_keeps_its_hue_in_the_dark():
    light, dark = (oklab(linear([getattr(colour, theme) for colour in CLASSES])) for theme in ("light", "dark"))
    hues = [np.degrees(np.arctan2(lab[:, 2], lab[:, 1])) for lab in (light, dark)]
    apart = np.abs((hues[0] - hues[1] + 180) % 360 - 180)
    assert apart.max() < 12
    assert (dark[:, 0] >= light[:, 0] - 0.01).all()


def test_the_null_class_is_grey_and_takes_no_colour_from_the_others():
    colours = class_colours(["sit", "none", "walk", "run"], "none")
    assert colours == {"sit": CLASSES[0], "none": NULL, "walk": CLASSES[1], "run": CLASSES[2]}
    assert list(class_colours([str(i) for i in range(20)]).values())[18:] == list(CLASSES[:2])
    assert len({*CLASSES, NULL, UNCERTAIN}) == len(CLASSES) + 2


def test_black_or_white_is_written_on_a_colour():
    assert reads_white("#000000")
    assert not reads_white("#ffffff")
