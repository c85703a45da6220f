"""Example pipelines of the component `train_autoencoder`."""

from histoforge_components.train_autoencoder.component import train_autoencoder
from kfp import dsl


@dsl.pipeline(name="train-autoencoder-example")
def train_autoencoder_example(patches: str = "s3://pathology/patches", overviews: str = "s3://pathology/overviews"):
    """Train an autoencoder on a patch set and its overviews, and encode both."""
    patch_set = dsl.importer(artifact_uri=patches, artifact_class=dsl.Dataset, reimport=True)
    overview_set = dsl.importer(artifact_uri=overviews, artifact_class=dsl.Dataset, reimport=True)
    train_autoencoder(patches=patch_set.output, overviews=overview_set.output, preset="sane")
