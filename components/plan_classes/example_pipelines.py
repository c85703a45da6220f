"""Example pipelines of the component `plan_classes`."""

from histoforge_components.join_generators.component import join_generators
from histoforge_components.plan_classes.component import plan_classes
from histoforge_components.train_generator.component import train_generator
from kfp import dsl


@dsl.pipeline(name="plan-classes-example")
def plan_classes_example(patches: str = "s3://pathology/patches"):
    """Train one generator per class side by side, and join them."""
    patch_set = dsl.importer(artifact_uri=patches, artifact_class=dsl.Dataset, reimport=True)
    plan = plan_classes(patches=patch_set.output, method="dcgan")
    with dsl.ParallelFor(items=plan.output, parallelism=2) as training:
        member = train_generator(patches=patch_set.output, method="dcgan", only_class=training.only_class)
    join_generators(generators=dsl.Collected(member.outputs["generator"]))
