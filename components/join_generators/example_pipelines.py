"""Example pipelines of the component `join_generators`."""

from histoforge_components.join_generators.component import join_generators
from histoforge_components.train_generator.component import train_generator
from kfp import dsl


@dsl.pipeline(name="join-generators-example")
def join_generators_example(patches: str = "s3://pathology/patches"):
    """Train one generator per class side by side, and join them."""
    patch_set = dsl.importer(artifact_uri=patches, artifact_class=dsl.Dataset, reimport=True)
    with dsl.ParallelFor(items=["benign", "tumour"], parallelism=2) as name:
        member = train_generator(patches=patch_set.output, method="dcgan", only_class=name)
    join_generators(generators=dsl.Collected(member.outputs["generator"]))
