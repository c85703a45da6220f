"""Example pipelines of the component `publish_model`."""

from histoforge_components.publish_model.component import publish_model
from kfp import dsl


@dsl.pipeline(name="publish-model-example")
def publish_model_example(
    patches: str = "s3://pathology/patches",
    challenger: str = "s3://pathology/selective",
    models: str = "s3://pathology/models",
):
    """Publish a classifier if it is better than the published one."""
    patch_set = dsl.importer(artifact_uri=patches, artifact_class=dsl.Dataset, reimport=True)
    model = dsl.importer(artifact_uri=challenger, artifact_class=dsl.Model, reimport=True)
    publish_model(patches=patch_set.output, challenger=model.output, models=models, name="oral-cancer")
