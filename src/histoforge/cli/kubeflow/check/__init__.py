"""`histoforge cluster-check`: test on a cluster that it runs what this package promises."""
