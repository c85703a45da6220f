"""Example pipelines of the component `train_classifier`."""

from histoforge_components.train_classifier.component import train_classifier
from kfp import dsl


@dsl.pipeline(name="train-classifier-example")
def train_classifier_example(patches: str = "s3://pathology/patches"):
    """Train three classifiers on real patches only, on one GPU."""
    patch_set = dsl.importer(artifact_uri=patches, artifact_class=dsl.Dataset, reimport=True)
    arm = train_classifier(patches=patch_set.output, arm="baseline", seeds=3, preset="sane")
    arm.set_accelerator_type("nvidia.com/gpu").set_accelerator_limit(1).set_memory_limit("32Gi")
