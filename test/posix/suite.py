"""Runs the POSIX suite in a folder: suite.py FOLDER [PART-OF-A-NAME]. Needs root."""
import sys

import lib
import errors  # noqa: F401  (importing a module registers its cases)
import creating  # noqa: F401
import removing  # noqa: F401
import renaming  # noqa: F401
import attributes  # noqa: F401
import xattrs  # noqa: F401
import data  # noqa: F401
import sharing  # noqa: F401
import directories  # noqa: F401

lib.run_all(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else '')
