"""The page in the browser: a form view of one workflow at a time, with its run beside it.

`forms` says which widget each setting gets, `running` holds the one run that goes on, `drawing` turns a run into HTML,
`app` wires these into a Gradio page, and `server` keeps that page on this machine. Like the command line, the page
knows nodes only by what their types declare.
"""

import os

# Before gradio is imported, which happens in the modules: nothing is told to anybody.
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
