"""Example pipelines of the component `plan_unified`."""

from histoforge_components.plan_unified.component import plan_unified
from histoforge_components.train_classifier.component import train_classifier
from kfp import dsl


@dsl.pipeline(name="plan-unified-example")
def plan_unified_example(patches: str = "s3://pathology/patches"):
    """Train classifiers with several backbones on real patches."""
    patch_set = dsl.importer(artifact_uri=patches, artifact_class=dsl.Dataset, reimport=True)
    plan = plan_unified(part="backbones", backbones=["resnet34", "resnet50_cbam", "densenet169"])
    with dsl.ParallelFor(items=plan.outputs["Output"], parallelism=2) as training:
        train_classifier(
            patches=patch_set.output, arm=training.arm, backbone=training.backbone, factors=training.factors
        )
