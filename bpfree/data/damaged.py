"""What a file with wrong bytes in it makes its reader raise."""

import struct
import zipfile
import zlib

# zipfile, zlib and numpy, each for another place
DAMAGED = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, ValueError, RuntimeError, MemoryError)
