"""Input for a cluster: schedules, packages of pipelines and resource profiles. The command line calls the cluster."""
