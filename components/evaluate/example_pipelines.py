"""Example pipelines of the component `evaluate`."""

from histoforge_components.evaluate.component import evaluate
from kfp import dsl


@dsl.pipeline(name="evaluate-example")
def evaluate_example(
    patches: str = "s3://pathology/patches",
    baseline: str = "s3://pathology/baseline",
    selective: str = "s3://pathology/selective",
):
    """Compare a classifier with and without synthetic patches."""
    patch_set = dsl.importer(artifact_uri=patches, artifact_class=dsl.Dataset, reimport=True)
    first = dsl.importer(artifact_uri=baseline, artifact_class=dsl.Model, reimport=True)
    second = dsl.importer(artifact_uri=selective, artifact_class=dsl.Model, reimport=True)
    evaluate(patches=patch_set.output, baseline=first.output, selective=second.output, preset="sane")
