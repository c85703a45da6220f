"""Labelled phantom patches without slides, for tests and trials."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import shapely
from numpy.typing import NDArray

from histoforge.core.seeds import derive_seed, numpy_rng
from histoforge.phantom.drawing import SlideDrawer
from histoforge.phantom.layout import Layout, PhantomRegion, nuclei_of_class, patient_stain
from histoforge.phantom.slides import CLASSES
from histoforge.phantom.texture import make_patterns

REGIONS = 4


class PhantomPatches(NamedTuple):
    """Labelled patches.

    Attributes:
        images: uint8 [n, h, w, 3].
        labels: index into the list of classes, int64 [n].
        patients: the patient of each patch, str [n].
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    patients: NDArray[np.str_]


def draw_patches(
    per_class: int,
    patch_size: tuple[int, int] = (64, 64),
    mpp: float = 0.5,
    classes: Sequence[str] = CLASSES,
    patients: int = 4,
    seed: int = 0,
) -> PhantomPatches:
    """Draw patches like those of `draw_slides`, with equally many patches of every class from each patient.

    Args:
        per_class: number of patches of each class, distributed among the patients.
        patch_size: height and width, px.
        mpp: micrometres per pixel.
        classes: class names, starting with the most benign.
        patients: number of patients; each has a different stain.
        seed: random seed; the same arguments always give the same patches.

    Returns:
        The patches, patient by patient and class by class.
    """
    patterns = make_patterns(seed, mpp)
    height, width = patch_size
    images, labels, names = [], [], []
    for patient in range(patients):
        for label, class_name in enumerate(classes):
            count = len(range(patient, per_class, patients))
            columns = int(np.ceil(np.sqrt(count / REGIONS)))
            size = (columns * width, columns * height)
            cuts = []
            for number in range(REGIONS):
                layout = _field(seed, (patient, number), label, class_name, len(classes), size, mpp)
                field = SlideDrawer(layout, patterns).draw(0, 0, *size)
                cut = field.reshape(columns, height, columns, width, 3).swapaxes(1, 2)
                cuts.append(cut.reshape(-1, height, width, 3))
            images.append(np.concatenate(cuts)[:: max(1, REGIONS * columns**2 // max(1, count))][:count])
            labels += [label] * count
            names += [f"patient-{patient + 1:02d}"] * count
    return PhantomPatches(np.concatenate(images), np.array(labels, np.int64), np.array(names, str))


def _field(
    seed: int, position: tuple[int, int], label: int, class_name: str, classes: int, size: tuple[int, int], mpp: float
) -> Layout:
    """Return the layout of a slide that consists of one region."""
    rng = numpy_rng(seed, "field", *position, label)
    everywhere = shapely.box(-100, -100, size[0] + 100, size[1] + 100)
    nuclei = nuclei_of_class(label / max(1, classes - 1), rng)
    region_seed = derive_seed(seed, "field region", *position, label)
    region = PhantomRegion(class_name, everywhere, nuclei, region_seed)
    return Layout(size, mpp, everywhere, (region,), patient_stain(seed, position[0]), None, region_seed)
