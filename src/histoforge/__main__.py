"""`python -m histoforge`, the same as the command `histoforge`."""

from histoforge.cli import main

if __name__ == "__main__":
    main()
