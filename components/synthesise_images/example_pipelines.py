"""Example pipelines of the component `synthesise_images`."""

from histoforge_components.synthesise_images.component import synthesise_images
from kfp import dsl


@dsl.pipeline(name="synthesise-images-example")
def synthesise_images_example(generator: str = "s3://pathology/generator"):
    """Draw ten large images of each class, and write them as slides."""
    trained = dsl.importer(artifact_uri=generator, artifact_class=dsl.Model, reimport=True)
    synthesise_images(generator=trained.output, size="2048", images_per_class=10, overrides={"write_slides": True})
