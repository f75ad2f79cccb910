"""`fastslow pack`: a trained model in half the size, as those that ship with the library."""

from __future__ import annotations

from pathlib import Path


def pack(source: str, out: Path) -> None:
    """Write a trained model with its numbers in 16 bits; they are read back into 32.

    Args:
        source: a run folder or a .safetensors file.
        out: .safetensors file to write, its JSON beside it.
    """
    from fastslow.errors import InputError
    from fastslow.files import refuse_unwritable

    if out.suffix != ".safetensors":
        raise InputError(f"got {out}; give a file whose name ends in .safetensors")
    refuse_unwritable(out)
    refuse_unwritable(out.with_suffix(".json"))

    from fastslow.methods.files import load_model, save_model

    save_model(out, load_model(source), half=True)
    print(out)
