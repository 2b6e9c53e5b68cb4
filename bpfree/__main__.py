"""``python -m bpfree``, and what torchrun starts: ``torchrun --nproc-per-node 2 -m bpfree train …``."""

from bpfree.cli import main

if __name__ == "__main__":
    main()
