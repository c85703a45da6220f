"""Example pipelines of the component `train_generator`."""

from histoforge_components.train_classifier.component import train_classifier
from histoforge_components.train_generator.component import train_generator
from kfp import dsl


@dsl.pipeline(name="train-generator-example")
def train_generator_example(patches: str = "s3://pathology/patches"):
    """Train HistoGAN, and choose its epoch with the features of a classifier."""
    patch_set = dsl.importer(artifact_uri=patches, artifact_class=dsl.Dataset, reimport=True)
    baseline = train_classifier(patches=patch_set.output, arm="baseline", preset="sane")
    train_generator(patches=patch_set.output, extractor=baseline.outputs["model"], method="histogan", preset="sane")
