"""Hardware-aware neural architecture search with accelerator cost models."""
