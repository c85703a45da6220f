"""Example pipelines of the component `finetune_snn`."""

from histoforge_components.finetune_snn.component import finetune_snn
from histoforge_components.train_generator.component import train_generator
from kfp import dsl


@dsl.pipeline(name="finetune-snn-example")
def finetune_snn_example(patches: str = "s3://pathology/patches"):
    """Fine-tune a guide on a patch set, and train a generator with it."""
    patch_set = dsl.importer(artifact_uri=patches, artifact_class=dsl.Dataset, reimport=True)
    guide = finetune_snn(patches=patch_set.output, preset="sane")
    train_generator(patches=patch_set.output, guide=guide.outputs["guide"], method="rleo", preset="sane")
