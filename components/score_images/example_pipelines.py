"""Example pipelines of the component `score_images`."""

from histoforge_components.score_images.component import score_images
from histoforge_components.synthesise_images.component import synthesise_images
from kfp import dsl


@dsl.pipeline(name="score-images-example")
def score_images_example(
    patches: str = "s3://pathology/large-images",
    generator: str = "s3://pathology/generator",
    extractor: str = "s3://pathology/classifier",
):
    """Draw ten large images of each class, and score them in five groups."""
    real = dsl.importer(artifact_uri=patches, artifact_class=dsl.Dataset, reimport=True)
    trained = dsl.importer(artifact_uri=generator, artifact_class=dsl.Model, reimport=True)
    classifier = dsl.importer(artifact_uri=extractor, artifact_class=dsl.Model, reimport=True)
    drawn = synthesise_images(generator=trained.output, size="2048", images_per_class=10)
    score_images(patches=real.output, images=drawn.outputs["images"], extractor=classifier.output, generations=5)
