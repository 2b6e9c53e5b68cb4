"""Pickles as Python 2 wrote them, byte by byte: what the published CIFAR files are."""

import struct

import numpy as np


def old_pickle(held):
    """A dictionary as Python 2 pickled it: strings, lists of bytes and arrays of bytes, in protocol 2."""

    def text(value):
        return b"T" + struct.pack("<i", len(value)) + value

    def array(a):
        made = b"cnumpy.core.multiarray\n_reconstruct\n" + b"cnumpy\nndarray\n" + b"K\x00\x85" + text(b"b") + b"\x87R"
        kind = b"cnumpy\ndtype\n" + text(b"u1") + b"K\x00K\x01\x87R"
        kind += b"(K\x03" + text(b"|") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        shape = b"".join(b"J" + struct.pack("<i", n) for n in a.shape)
        return made + b"(K\x01(" + shape + b"t" + kind + b"\x89" + text(a.tobytes()) + b"tb"

    items = b"".join(
        text(key.encode()) + (array(v) if isinstance(v, np.ndarray) else b"](" + b"".join(b"K%c" % n for n in v) + b"e")
        for key, v in held.items()
    )
    return b"\x80\x02}(" + items + b"u."
