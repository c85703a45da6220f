"""Published methods of patch generation: one package per method, with its settings, networks, loss and training."""
