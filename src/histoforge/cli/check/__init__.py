"""`histoforge cluster-check`: whether a cluster runs what this package promises, tried out on the cluster itself."""
