"""Example pipelines of the component `import_generator`."""

from histoforge_components.import_generator.component import import_generator
from histoforge_components.preprocess.component import preprocess
from histoforge_components.score_generator.component import score_generator
from histoforge_components.train_classifier.component import train_classifier
from kfp import dsl


@dsl.pipeline(name="import-generator-example")
def import_generator_example(source: str = "s3://pathology/slides", pipeline: str = "s3://pathology/diffusion"):
    """Score a diffusion model that somebody else trained."""
    cutting = preprocess(source=source, mpp=0.5)
    patches = cutting.outputs["patches"]
    importing = import_generator(source=pipeline, patches=patches, source_mpp=0.5)
    extractor = train_classifier(patches=patches, arm="baseline")
    score_generator(
        patches=patches, generator=importing.outputs["generator"], extractor=extractor.outputs["model"], name="imported"
    )
