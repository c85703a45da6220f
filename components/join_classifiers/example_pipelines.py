"""Example pipelines of the component `join_classifiers`."""

from histoforge_components.join_classifiers.component import join_classifiers
from histoforge_components.train_generator.component import train_generator
from kfp import dsl


@dsl.pipeline(name="join-classifiers-example")
def join_classifiers_example(patches: str = "s3://pathology/patches"):
    """Train a unified model per seed side by side, and join their classifiers into one arm."""
    patch_set = dsl.importer(artifact_uri=patches, artifact_class=dsl.Dataset, reimport=True)
    with dsl.ParallelFor(items=[0, 1, 2], parallelism=2) as seed:
        unified = train_generator(patches=patch_set.output, method="vitgan", seed=seed)
    join_classifiers(generators=dsl.Collected(unified.outputs["generator"]))
