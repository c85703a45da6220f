"""Example pipelines of the component `enter_generator`."""

from histoforge_components.enter_generator.component import enter_generator
from histoforge_components.plan_benchmark.component import plan_benchmark
from histoforge_components.preprocess.component import preprocess
from kfp import dsl


@dsl.pipeline(name="enter-generator-example")
def enter_generator_example(source: str = "s3://pathology/slides", entrants: list = ["s3://pathology/diffusion"]):
    """Train a DCGAN, and import a diffusion model that somebody else trained."""
    plan = plan_benchmark(methods=["dcgan"], generator_seeds=1, source=source, entrants=entrants)
    cutting = preprocess(source=source, mpp=0.5)
    with dsl.ParallelFor(plan.output) as run:
        enter_generator(
            patches=cutting.outputs["patches"],
            step=run.step,
            method=run.method,
            source=run.source,
            dataset_digest=run.digest,
            overrides=run.overrides,
        )
