"""Example pipelines of the component `preprocess`."""

from histoforge_components.preprocess.component import preprocess
from histoforge_components.scan_source.component import scan_source
from kfp import dsl


@dsl.pipeline(name="preprocess-example")
def preprocess_example(source: str = "s3://pathology/slides"):
    """Cut slides again whenever a file at the source has changed."""
    scan = scan_source(source=source, preset="sane")
    preprocess(source=source, dataset_digest=scan.outputs["Output"], patch_size="96", mpp=0.5, preset="sane")
