"""Example pipelines of the component `import_patches`."""

from histoforge_components.import_patches.component import import_patches
from histoforge_components.preprocess.component import preprocess
from histoforge_components.train_classifier.component import train_classifier
from kfp import dsl


@dsl.pipeline(name="import-patches-example")
def import_patches_example(source: str = "s3://pathology/slides", synthetic: str = "s3://pathology/synthetic"):
    """Train a classifier with synthetic patches that somebody else made."""
    cutting = preprocess(source=source, mpp=0.5)
    importing = import_patches(source=synthetic, patches=cutting.outputs["patches"], source_mpp=0.5)
    train_classifier(
        patches=cutting.outputs["patches"],
        synthetic=importing.outputs["synthetic"],
        arm="imported",
        augmentation="none",
    )
