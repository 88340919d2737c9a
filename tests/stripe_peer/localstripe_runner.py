"""Serves localstripe on this machine only. Run by its own Python, in a process of its own; never imported.

Its state is a pickle in the system's folder for temporary files, so whoever starts it gives it a TMPDIR of its own.
"""

import sys

from aiohttp import web
from localstripe.server import app

web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=None)
