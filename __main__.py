"""`python -m loragraph` is the same as `loragraph`."""

from .cli import main

if __name__ == "__main__":
    main()
