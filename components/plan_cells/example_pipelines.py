"""Example pipelines of the component `plan_cells`."""

from histoforge_components.plan_cells.component import plan_cells
from histoforge_components.select_samples.component import select_samples
from kfp import dsl


@dsl.pipeline(name="plan-cells-example")
def plan_cells_example(
    patches: str = "s3://pathology/patches",
    generator: str = "s3://pathology/generator",
    extractor: str = "s3://pathology/baseline",
):
    """Select patches by every ratio and pool size of a study."""
    patch_set = dsl.importer(artifact_uri=patches, artifact_class=dsl.Dataset, reimport=True)
    drawer = dsl.importer(artifact_uri=generator, artifact_class=dsl.Model, reimport=True)
    judge = dsl.importer(artifact_uri=extractor, artifact_class=dsl.Model, reimport=True)
    plan = plan_cells(ratios=[0.5, 1.0], pool_multiples=[4.0])
    with dsl.ParallelFor(items=plan.outputs["Output"], parallelism=2) as cell:
        select_samples(
            patches=patch_set.output,
            generator=drawer.output,
            extractor=judge.output,
            ratio=cell.ratio,
            pool_multiple=cell.pool_multiple,
        )
