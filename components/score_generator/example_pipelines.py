"""Example pipelines of the component `score_generator`."""

from histoforge_components.score_generator.component import score_generator
from kfp import dsl


@dsl.pipeline(name="score-generator-example")
def score_generator_example(
    patches: str = "s3://pathology/patches",
    generator: str = "s3://pathology/generator",
    extractor: str = "s3://pathology/baseline",
):
    """Score a generator with the features of a classifier."""
    patch_set = dsl.importer(artifact_uri=patches, artifact_class=dsl.Dataset, reimport=True)
    drawer = dsl.importer(artifact_uri=generator, artifact_class=dsl.Model, reimport=True)
    judge = dsl.importer(artifact_uri=extractor, artifact_class=dsl.Model, reimport=True)
    score_generator(patches=patch_set.output, generator=drawer.output, extractor=judge.output, count=2000)
