"""Whether an installed wheel works: run by the Python of a new environment, away from the repository (`make wheel`)."""

import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path


def says(*arguments):
    """What a command of this Python prints."""
    return subprocess.run([sys.executable, "-I", *arguments], check=True, capture_output=True, text=True).stdout


def main():
    import numpy as np

    import fastslow
    from fastslow import FastSlowClassifier, FastSlowForecaster
    from fastslow.data import make_glyphs

    home = Path(fastslow.__file__).parent
    assert home.is_relative_to(sys.prefix), home
    assert (home / "py.typed").exists()
    assert version("fastslow") == says("-m", "fastslow", "--version").strip()
    assert "quickstart" in says("-m", "fastslow", "--help")
    drawings = make_glyphs(num_classes=3, per_class=2, seed=3).images.reshape(3, 2, 28, 28)
    for name in fastslow.pretrained_names():
        model = fastslow.load_pretrained(name).learn(drawings[:, 0], ["ka", "ma", "na"])
        assert model.predict(drawings[:, 1]) == ["ka", "ma", "na"], name
    FastSlowForecaster.load("pretrained:junction")
    stream = FastSlowClassifier("omniglot-5w1s-fast").partial_fit(drawings[:2, 0].numpy(), ["ka", "ma"])
    assert np.isfinite(stream.novelty(drawings[2:, 1].numpy())).all()
    with tempfile.TemporaryDirectory() as folder:
        says("-m", "fastslow", "play", "--export-site", folder)
        assert "<canvas" in (Path(folder) / "index.html").read_text(encoding="utf-8")
    print(f"fastslow {version('fastslow')} works in {sys.prefix}")


if __name__ == "__main__":
    main()
