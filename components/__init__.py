"""Kubeflow Pipelines components: a folder each, with the compiled `component.yaml` to load by path or address."""
