"""`python -m kangma` is `kangma`."""

from kangma.cli import main

if __name__ == "__main__":
    main()
