"""Kubeflow pipelines: a file each, with the compiled YAML to upload beside it."""
