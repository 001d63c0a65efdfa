"""Weights between PyTorch and JAX: `python convert_weights.py IN OUT`; `--help` lists the options."""

from vasal_jax.commands.main import convert_main

if __name__ == "__main__":
    convert_main()
