"""Published ways to generate patches: a package a method, with its settings, networks, loss and training."""
