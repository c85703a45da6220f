"""What a cluster is told: schedules, packages of pipelines, resource profiles. Talking to it is the command line's."""
