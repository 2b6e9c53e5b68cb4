"""Data ``mnist``: the canonical MNIST, embedded in the package."""

import dataclasses
from pathlib import Path

from bpfree.data.npz import read_npz
from bpfree.data.reader import Raw, Reader, from_arrays
from bpfree.data.settings import DataSettings
from bpfree.errors import InputError

FILE = Path(__file__).with_name("mnist.npz")
SHA256 = "f6e298c7dff1d5da437e3b0ec174917749c62a2f10970e371beef0901e0e9f17"  # of the payload


class Mnist(Reader):
    """Reader of 70,000 handwritten digits, 28x28 gray: 60,000 for training and validation, 10,000 for test."""

    images = True

    def read(self, settings: DataSettings) -> Raw:
        """Read the embedded file.

        Raises:
            InputError: the file is missing or is not the canonical MNIST.
        """
        arrays = read_npz(FILE)
        raw = from_arrays(
            self.name,
            "MNIST, Y. LeCun and C. Cortes, CC BY-SA 3.0 (embedded; see MNIST_NOTICE.txt)",
            arrays["x_train"][:, None],
            arrays["y_train"],
            arrays["x_test"][:, None],
            arrays["y_test"],
        )
        if raw.sha256 != SHA256:
            raise InputError(f"{FILE} is not the canonical MNIST (hash {raw.sha256[:12]}): install bpfree again")
        return dataclasses.replace(raw, class_names=tuple("0123456789"))
