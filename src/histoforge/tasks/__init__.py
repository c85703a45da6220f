"""Running steps as tasks: in a Kubeflow pod, in the local runner, or on several GPUs."""
