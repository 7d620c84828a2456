"""One readable loop for each model; needs the `train` extra."""
