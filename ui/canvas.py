"""GraphCanvas: the node graph as a Gradio component, for this package's own page and for anybody's.

    import gradio as gr
    from loragraph.ui.canvas import GraphCanvas
    from loragraph.ui.studio import Studio

    with Studio.open() as studio, gr.Blocks() as page:
        canvas = GraphCanvas(studio=studio)
        text = gr.Code(language="json")
        canvas.change(lambda document: document, canvas, text)
    page.launch(allowed_paths=studio.allowed_paths)

Its value is the text of the document that is being edited (see docs/workflow_file.md). Setting it from Python shows
another document; an edit in the browser is a `change`. The front end is one ES module in `ui/static`, whose name
changes with its content and is looked up in `manifest.json`; LORAGRAPH_UI_STATIC names another folder, for those who
work on it.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr
from gradio import component_meta
from gradio.route_utils import API_PREFIX, get_root_url

from ..graph_runtime.errors import BadInput
from .endpoints import add_endpoints
from .studio import Studio, Visitor

ENTRY = "src/main.tsx"

# A static place for the module to fill. Nothing of the value stands in it: Gradio would draw it anew at every change.
TEMPLATE = '<div data-lg-canvas style="height:100%"></div>'

LOAD = """
const place = element.querySelector("[data-lg-canvas]");
const config = window.gradio_config || {};
const root = config.root || "", apiPrefix = config.api_prefix || "/gradio_api";
const address = (path) => root + apiPrefix + "/file=" + encodeURI(path).replace(/#/g, "%23").replace(/\\?/g, "%3F");
let handle = null, value = props.value || "";
watch("value", () => {
  value = props.value || "";
  if (handle) handle.setValue(value);
});
for (const [rel, paths] of Object.entries(__LINKS__)) {
  for (const path of paths) {
    const link = document.createElement("link");
    link.rel = rel;
    link.href = address(path);
    document.head.append(link);
  }
}
import(address(__MODULE__)).then((canvas) => {
  handle = canvas.mount(place, {
    value, root, apiPrefix,
    call: (method, data) => server.ask({ method, data }),
    upload,
    onChange: (text) => {
      props.value = text;
      trigger("change");
    },
  });
}).catch((error) => {
  console.error(error);
  place.innerHTML = "<p role=alert style='padding:1rem'>The canvas could not be loaded. Reload the page.</p>";
});
"""


def static_folder() -> Path:
    """Return the folder of the built front end."""
    return Path(os.environ.get("LORAGRAPH_UI_STATIC") or Path(__file__).parent / "static").resolve()


@dataclass(frozen=True)
class Built:
    """The absolute paths of the module, of all that it imports before it can begin, and of its styles."""

    module: str
    imports: list[str]
    styles: list[str]


def built(folder: Path) -> Built:
    """Return where the built front end lies; raises BadInput where it has not been built."""
    try:
        manifest: dict[str, dict[str, Any]] = json.loads((folder / "manifest.json").read_text("utf-8"))
        entry, *imported = _with_imports(manifest, ENTRY)
        styles = [each["file"] for each in manifest.values() if each["file"].endswith(".css")]
    except (OSError, ValueError, KeyError) as error:
        raise BadInput(f"the canvas has not been built in {folder}; run `make web` first.") from error
    return Built(
        str(folder / entry), [str(folder / each) for each in imported], [str(folder / each) for each in styles]
    )


def _with_imports(manifest: dict[str, dict[str, Any]], entry: str) -> list[str]:
    """Return the file of an entry, then the files that it needs, nearest first."""
    names = [entry]
    for name in names:  # grows meanwhile
        names += [each for each in manifest[name].get("imports", ()) if each not in names]
    return [manifest[name]["file"] for name in names]


def visitor(request: Any) -> Visitor:
    """Return who asks, of the request that Gradio hands to a server function."""
    app = request.app
    url = get_root_url(request, f"{API_PREFIX}/component_server", getattr(app, "root_path", "") or None)
    cookie = f"-{getattr(app, 'cookie_id', '')}"
    tokens = (request.cookies.get(f"access-token{kind}{cookie}") for kind in ("", "-unsecure"))
    users = (getattr(app, "tokens", {}).get(token) for token in tokens if token)
    return Visitor(f"{url}/", next((user for user in users if user), None))


class _WithoutStub(component_meta.ComponentMeta):
    """Keeps Gradio from writing `canvas.pyi` beside this file: type checkers would believe it when it is long stale."""

    def __new__(cls, name: str, bases: tuple[type, ...], attributes: dict[str, Any]) -> Any:
        write = component_meta.create_or_modify_pyi
        vars(component_meta)["create_or_modify_pyi"] = lambda *_: None
        try:
            return super().__new__(cls, name, bases, attributes)
        finally:
            vars(component_meta)["create_or_modify_pyi"] = write


class GraphCanvas(gr.HTML, metaclass=_WithoutStub):
    """The canvas, in a page of anybody's; see the module. `height` is any CSS length."""

    def __init__(
        self,
        value: str | None = None,
        *,
        studio: Studio,
        height: str = "720px",
        label: str | None = None,
        visible: bool = True,
        elem_id: str | None = None,
        elem_classes: list[str] | str | None = None,
        render: bool = True,
        key: int | str | None = None,
    ) -> None:
        folder = static_folder()
        parts = built(folder)
        # Named at once, the imports are fetched beside the module, not after it.
        links = {"stylesheet": parts.styles, "modulepreload": parts.imports}
        gr.set_static_paths([folder])
        self.studio = studio
        self.height = height

        def ask(asked: dict[str, Any], request: gr.Request) -> dict[str, Any]:
            sent = asked if isinstance(asked, dict) else {}
            return studio.answer(sent.get("method"), sent.get("data", {}), visitor(request))

        super().__init__(
            value,
            label=label,
            html_template=TEMPLATE,
            css_template=f"height: {height}; min-height: 320px;",
            js_on_load=LOAD.replace("__MODULE__", json.dumps(parts.module)).replace("__LINKS__", json.dumps(links)),
            apply_default_css=False,
            visible=visible,
            elem_id=elem_id,
            elem_classes=elem_classes,
            render=render,
            key=key,
            padding=False,
            container=False,
            server_functions=[ask],
        )
        add_endpoints(studio)

    def preprocess(self, payload: str | None) -> str:
        """Return the document's text as the browser has it; "" for an empty canvas."""
        return payload or ""

    def postprocess(self, value: str | dict[str, Any] | None) -> str:
        """Return the text of the document to show; a document as data is written as text."""
        if isinstance(value, dict):
            return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
        return value or ""

    def api_info(self) -> dict[str, Any]:
        """What programs send and get: the text of a document."""
        return {"type": "string", "description": "a workflow document as JSON text, see docs/workflow_file.md"}

    def example_payload(self) -> str:
        """Return the text of an empty document."""
        return '{"format": "loragraph/1", "nodes": {}}'

    def example_value(self) -> str:
        """Return the text of an empty document."""
        return self.example_payload()
