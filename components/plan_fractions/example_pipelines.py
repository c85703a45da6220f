"""Example pipelines of the component `plan_fractions`."""

from histoforge_components.plan_fractions.component import plan_fractions
from histoforge_components.preprocess.component import preprocess
from histoforge_components.train_classifier.component import train_classifier
from kfp import dsl


@dsl.pipeline(name="plan-fractions-example")
def plan_fractions_example(source: str = "s3://pathology/slides"):
    """Train the baseline on ever fewer patches."""
    plan = plan_fractions(fractions=[0.1, 0.5])
    with dsl.ParallelFor(items=plan.output, parallelism=2) as fraction:
        cut = preprocess(source=source, train_fraction=fraction.train_fraction)
        train_classifier(patches=cut.outputs["patches"], arm=fraction.baseline)
