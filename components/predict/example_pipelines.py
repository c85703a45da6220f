"""Example pipelines of the component `predict`."""

from histoforge_components.predict.component import predict
from kfp import dsl


@dsl.pipeline(name="predict-example")
def predict_example(source: str = "s3://pathology/new-slides", model: str = "s3://pathology/classifier"):
    """Predict new slides with a published classifier."""
    classifier = dsl.importer(artifact_uri=model, artifact_class=dsl.Model, reimport=True)
    predict(source=source, model=classifier.output)
