"""Example pipelines of the component `plan_pathup`."""

from histoforge_components.plan_pathup.component import plan_pathup
from histoforge_components.preprocess.component import preprocess
from kfp import dsl


@dsl.pipeline(name="plan-pathup-example")
def plan_pathup_example(source: str = "s3://pathology/slides"):
    """Cut patches and overviews as the pipeline `pathup` does."""
    plan = plan_pathup(patch_size="64", preset="sane")
    preprocess(source=source, patch_size="64", preset="sane", overrides=plan.outputs["cutting"])
