"""`python -m fastslow`, which is also what `torchrun -m fastslow` starts."""

from fastslow.cli import main

if __name__ == "__main__":
    main()
