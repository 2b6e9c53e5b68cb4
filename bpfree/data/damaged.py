"""What a file with wrong bytes in it makes its reader raise."""

import struct
import tokenize
import zipfile
import zlib

# zipfile, zlib and numpy, each for another place; the last three for a header that numpy reads as Python
DAMAGED = (
    *(zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, ValueError, RuntimeError, MemoryError),
    *(TypeError, OverflowError, tokenize.TokenError),
)
