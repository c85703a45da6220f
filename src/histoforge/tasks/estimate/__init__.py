"""The estimate of what a pipeline on a source will take, from a trial of each of its steps."""
