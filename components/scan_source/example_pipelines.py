"""Example pipelines of the component `scan_source`."""

from histoforge_components.scan_source.component import scan_source
from kfp import dsl


@dsl.pipeline(name="scan-source-example")
def scan_source_example(source: str = "s3://pathology/slides"):
    """Check settings and list a source before any long task starts."""
    scan_source(source=source, preset="sane", overrides={"preprocess.patch_size": "96"})
