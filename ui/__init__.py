"""The page in the browser: a canvas on which workflows are wired, run and watched.

`canvas` is the component, `app` the page around it, `server` serves or mounts it behind `guard`. The browser talks to
a `studio` alone: `catalog` and `fields` say what nodes there are, `keeping`, `templates` and `picking` are about files
(in the folders of a `workspace`), `judging` about what is wrong, `runs` and `following` about the queue, `results` and
`gallery` about what came out. The front end's sources are in `web/`, what is built of them in `static/`.

Like the command line, the page knows nodes only by what their types declare.
"""

import os

# Before gradio is imported, which happens in the modules: nothing is told to anybody.
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
