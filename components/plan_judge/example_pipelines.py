"""Example pipelines of the component `plan_judge`."""

from histoforge_components.import_patches.component import import_patches
from histoforge_components.plan_judge.component import plan_judge
from histoforge_components.preprocess.component import preprocess
from kfp import dsl


@dsl.pipeline(name="plan-judge-example")
def plan_judge_example(source: str = "s3://pathology/slides", synthetic: list = ["s3://pathology/synthetic"]):
    """Import several sets of synthetic images."""
    plan = plan_judge(source=source, synthetic=synthetic)
    cutting = preprocess(source=source)
    with dsl.ParallelFor(items=plan.output, parallelism=2) as entrant:
        import_patches(
            source=entrant.source,
            dataset_digest=entrant.digest,
            name=entrant.title,
            patches=cutting.outputs["patches"],
        )
