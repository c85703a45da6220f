"""The commands that talk to Kubeflow: `pipelines`, `submit`, `schedule`, `launcher` and `cluster-check`."""
