"""The picture of a slide shows its patches and regions where they are, in the colours of their classes."""

from pathlib import Path

import numpy as np
from PIL import Image

from histoforge.slides import (
    PlanSettings,
    class_colour,
    draw_picture,
    find_tissue,
    open_slide,
    patch_scale,
    plan_patches,
    read_annotations,
    write_picture,
)

pytest_plugins = ["slide_making"]


def test_a_picture_is_small_and_shows_every_class(phantoms: Path, tmp_path: Path) -> None:
    path = phantoms / "phantom-p02-s1.tiff"
    with open_slide(path) as slide:
        tissue, scale = find_tissue(slide), patch_scale(slide, (64, 64), mpp=0.5)
        regions = read_annotations(path.with_suffix(".geojson"), slide, ["benign", "tumour"]).regions
        plan = plan_patches(slide, scale, tissue, PlanSettings(), regions)
    bare = np.asarray(draw_picture(tissue, plan.iloc[:0], scale))
    full = np.asarray(draw_picture(tissue, plan, scale, regions))
    for label in (0, 1):
        colour = np.array(class_colour(label))
        assert (full == colour).all(axis=2).sum() > 100
        assert not (bare == colour).all(axis=2).any()
    middle = plan.iloc[0]
    per_px = tissue.downsample[0] * tissue.image.shape[1] / full.shape[1]
    column, row = (int(middle[side] / per_px) for side in ("x", "y"))
    assert (full[row + 4 : row + 8, column + 4 : column + 8] != bare[row + 4 : row + 8, column + 4 : column + 8]).any()
    assert (full[:5, -5:] == bare[:5, -5:]).all()

    size = write_picture(tmp_path / "a.jpg", tissue, plan, scale, regions)
    with Image.open(tmp_path / "a.jpg") as image:
        assert (image.format, image.size) == ("JPEG", size)
    assert max(size) <= 1000
    assert (tmp_path / "a.jpg").stat().st_size < 200_000
