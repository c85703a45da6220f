"""Example pipelines of the component `select_samples`."""

from histoforge_components.select_samples.component import select_samples
from kfp import dsl


@dsl.pipeline(name="select-samples-example")
def select_samples_example(
    patches: str = "s3://pathology/patches",
    generator: str = "s3://pathology/generator",
    extractor: str = "s3://pathology/baseline",
):
    """Keep the synthetic patches that a classifier predicts with confidence."""
    patch_set = dsl.importer(artifact_uri=patches, artifact_class=dsl.Dataset, reimport=True)
    drawer = dsl.importer(artifact_uri=generator, artifact_class=dsl.Model, reimport=True)
    judge = dsl.importer(artifact_uri=extractor, artifact_class=dsl.Model, reimport=True)
    select_samples(patches=patch_set.output, generator=drawer.output, extractor=judge.output, rule="entropy_centroid")
