"""`fastslow pack`: a trained model in half the size, as those that ship with the library."""

from __future__ import annotations

from pathlib import Path


def pack(source: str, out: Path) -> None:
    """Write a trained model with its numbers in 16 bits; they are read back into 32.

    Args:
        source: a run folder or a .safetensors file.
        out: .safetensors file to write, its JSON beside it.
    """
    from fastslow.cli.outputs import refuse_output

    refuse_output("out", out, ".safetensors", others={"the source": source})
    refuse_output("out", out.with_suffix(".json"), others={"the source": source})

    from fastslow.methods.files import load_model, save_model

    save_model(out, load_model(source), half=True)
    print(out)
