"""Int8 networks as bare-metal C: integer layers, their kernels, and the project that holds both."""
