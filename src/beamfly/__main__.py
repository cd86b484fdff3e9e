"""`python -m beamfly` is the `beamfly` command."""

from beamfly.cli import main

if __name__ == "__main__":
    main()
