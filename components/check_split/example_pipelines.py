"""Example pipelines of the component `check_split`."""

from histoforge_components.check_split.component import check_split
from histoforge_components.preprocess.component import preprocess
from kfp import dsl


@dsl.pipeline(name="check-split-example")
def check_split_example(source: str = "s3://pathology/slides"):
    """Cut patches, and large images of the same tissue, and check that no patient is on two sides."""
    overviews = {"preprocess.overview_size": 0, "preprocess.overview_shrink": 4}
    images = {"preprocess.overview_size": 384, "preprocess.overview_shrink": 1}
    cutting = preprocess(source=source, overrides=overviews)
    cutting_images = preprocess(source=source, overrides=images)
    check_split(patches=cutting.outputs["patches"], images=cutting_images.outputs["overviews"])
