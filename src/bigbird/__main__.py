"""`python -m bigbird`, and `torchrun -m bigbird`, which starts modules and not commands."""

from bigbird.cli import main

if __name__ == "__main__":
    main()
