"""Example pipelines of the component `plan_benchmark`."""

from histoforge_components.plan_benchmark.component import plan_benchmark
from histoforge_components.train_generator.component import train_generator
from kfp import dsl


@dsl.pipeline(name="plan-benchmark-example")
def plan_benchmark_example(patches: str = "s3://pathology/patches"):
    """Train every method of a benchmark with two seeds."""
    patch_set = dsl.importer(artifact_uri=patches, artifact_class=dsl.Dataset, reimport=True)
    plan = plan_benchmark(methods=["dcgan", "wgan_gp"], generator_seeds=2)
    with dsl.ParallelFor(items=plan.output, parallelism=2) as run:
        train_generator(patches=patch_set.output, method=run.method, seed=run.seed)
