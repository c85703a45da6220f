"""Example pipelines of the component `train_upscaler`."""

from histoforge_components.train_autoencoder.component import train_autoencoder
from histoforge_components.train_upscaler.component import train_upscaler
from kfp import dsl


@dsl.pipeline(name="train-upscaler-example")
def train_upscaler_example(patches: str = "s3://pathology/patches"):
    """Train an autoencoder on a patch set, and upscalers of both methods."""
    patch_set = dsl.importer(artifact_uri=patches, artifact_class=dsl.Dataset, reimport=True)
    coding = train_autoencoder(patches=patch_set.output, preset="sane")
    train_upscaler(
        patches=patch_set.output, autoencoder=coding.outputs["autoencoder"], method="latent_sr", preset="sane"
    )
    train_upscaler(patches=patch_set.output, method="bsrgan", preset="sane")
