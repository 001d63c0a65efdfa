"""Saliency maps for a video: `python predict.py VIDEO`; `--help` lists the options."""

from vasal_jax.commands.main import predict_main

if __name__ == "__main__":
    predict_main()
