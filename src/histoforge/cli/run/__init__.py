"""`histoforge run`: a whole pipeline on this machine, with kfp's local runner."""
