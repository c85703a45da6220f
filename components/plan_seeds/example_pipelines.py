"""Example pipelines of the component `plan_seeds`."""

from histoforge_components.plan_seeds.component import plan_seeds
from histoforge_components.train_generator.component import train_generator
from kfp import dsl


@dsl.pipeline(name="plan-seeds-example")
def plan_seeds_example(patches: str = "s3://pathology/patches"):
    """Train a generator with three seeds."""
    patch_set = dsl.importer(artifact_uri=patches, artifact_class=dsl.Dataset, reimport=True)
    plan = plan_seeds(method="vitgan", seeds=3)
    with dsl.ParallelFor(items=plan.output, parallelism=2) as training:
        train_generator(
            patches=patch_set.output, method=training.method, seed=training.seed, overrides=training.overrides
        )
