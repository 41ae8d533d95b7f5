"""The page as it is served: on a port of its own, in somebody's app, behind a login; and the component in any page."""

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gradio as gr
import httpx
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from gradio_client import Client

from loragraph.graph_runtime import BadInput
from loragraph.tests.ui.asking import ask, followed, show_and_save, workflow
from loragraph.ui.canvas import GraphCanvas, built, static_folder
from loragraph.ui.server import Server, mount, serve
from loragraph.ui.studio import Studio


@pytest.fixture(autouse=True)
def static(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A front end that is built, whatever state the real one is in."""
    folder = tmp_path / "static"
    folder.mkdir()
    (folder / "canvas-ab12.js").write_text("export function mount() {}")
    (folder / "style-cd34.css").write_text(".lg {}")
    manifest = {"src/main.tsx": {"file": "canvas-ab12.js"}, "style.css": {"file": "style-cd34.css"}}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    monkeypatch.setenv("LORAGRAPH_UI_STATIC", str(folder))
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "uploads"))
    return folder


@pytest.fixture
def server(studio: Studio) -> Iterator[Server]:
    served = serve(studio)
    yield served
    served.close()


@contextmanager
def page_of(app: FastAPI) -> Iterator[TestClient]:
    with TestClient(app, base_url="http://inner") as client:
        yield client


def component(config: dict[str, Any]) -> int:
    return int(next(each["id"] for each in config["components"] if each["type"] == "html"))


def call(client: Any, root: str, method: str, **data: Any) -> httpx.Response:
    config = client.get(f"{root}/config").json()
    asked = {"component_id": component(config), "fn_name": "ask", "session_hash": "s"}
    answer: httpx.Response = client.post(
        f"{root}/gradio_api/component_server", json={**asked, "data": {"method": method, "data": data}}
    )
    return answer


def test_a_page_is_served_with_the_front_end_and_names_no_other_host(server: Server, static: Path) -> None:
    with httpx.Client(base_url=server.url) as client:
        page = client.get("/")
        assert page.status_code == 200 and "frame-ancestors 'none'" in page.headers["content-security-policy"]
        answer = call(client, "", "catalog").json()
        assert answer["ok"] and answer["workspace"]["url"] == server.url
        module = client.get(f"/gradio_api/file={static / 'canvas-ab12.js'}")
        assert module.status_code == 200 and "javascript" in module.headers["content-type"]
        assert "immutable" in module.headers["cache-control"]
        props = next(each for each in client.get("/config").json()["components"] if each["type"] == "html")["props"]
        assert str(static / "canvas-ab12.js") in props["js_on_load"]
        assert "${" not in props["html_template"]
        for headers in ({"host": "evil.example"}, {"origin": "http://evil.example"}):
            assert client.get("/config", headers=headers).status_code == 403
    folder = server.folder
    server.close()
    assert not Path(folder).exists()


def test_a_page_answers_what_is_no_question(server: Server) -> None:
    with httpx.Client(base_url=server.url) as client:
        number = component(client.get("/config").json())
        for data in (None, 3, "x", [], {"method": 3}, {"method": "open", "data": []}, {"method": "_do_open"}):
            sent = {"component_id": number, "fn_name": "ask", "session_hash": "s", "data": data}
            answer = client.post("/gradio_api/component_server", json=sent)
            assert (answer.status_code, answer.json()["ok"]) == (200, False)
        for name in ("preprocess", "answer", "studio"):
            sent = {"component_id": number, "fn_name": name, "session_hash": "s", "data": {}}
            assert client.post("/gradio_api/component_server", json=sent).status_code == 404


def test_programs_submit_follow_run_cancel_and_list(server: Server, studio: Studio, pictures: Path) -> None:
    client = Client(server.url, verbose=False, analytics_enabled=False)
    text = workflow(show_and_save(pictures))
    try:
        run = client.predict(text, ["save.name=other"], api_name="/submit")
        parts = list(client.submit(run, 0, api_name="/follow"))
        assert parts[-1]["run"]["status"] == "done"
        last = client.submit(text, ["save.name=third"], api_name="/run").result(timeout=60)
        assert {node: state["state"] for node, state in last["nodes"].items()} == {
            "data": "cached",
            "grid": "cached",
            "save": "done",
        }
        assert [Path(path).name for path in last["files"]] == ["third-0001.png"]
        with pytest.raises(Exception, match=r'Did you mean \\?"name'):
            client.predict(text, ["save.nane=x"], api_name="/submit")
        with pytest.raises(Exception, match="this is no workflow"):
            client.predict("/etc/passwd", [], api_name="/run")
        endless = client.predict(workflow({"n": {"type": "Endless"}}), [], api_name="/submit")
        assert client.predict(endless, api_name="/cancel")["id"] == endless
        followed(studio, endless)
        listed = client.predict(api_name="/runs")
        assert listed[0]["id"] == endless and "done" in {each["status"] for each in listed}
    finally:
        client.close()


def test_several_pages_follow_one_run(server: Server, studio: Studio) -> None:
    run = ask(studio, "submit", text=workflow({"n": {"type": "Endless"}}), name="w")["run"]["id"]
    seen: list[list[int]] = [[] for _ in range(4)]
    enough = threading.Semaphore(0)

    def one(mine: list[int]) -> None:
        client = Client(server.url, verbose=False, analytics_enabled=False)
        for part in client.submit(run, 0, api_name="/follow"):
            if len(mine) < 30 <= len(mine) + len(part["events"]):
                enough.release()
            mine += [event["seq"] for event in part["events"]]
        client.close()

    threads = [threading.Thread(target=one, args=(mine,), daemon=True) for mine in seen]
    for thread in threads:
        thread.start()
    for _ in threads:
        assert enough.acquire(timeout=60)
    ask(studio, "cancel", run=run)
    for thread in threads:
        thread.join(timeout=60)
    whole = list(range(1, studio.queue.get(run).last_seq + 1))
    assert seen == [whole] * 4


def test_many_who_follow_keep_nobody_else_waiting(server: Server, studio: Studio) -> None:
    with httpx.Client(base_url=server.url) as client:
        config = client.get("/config").json()
        (follow,) = (each["id"] for each in config["dependencies"] if each["api_name"] == "follow")
        run = ask(studio, "submit", text=workflow({"n": {"type": "Endless"}}), name="w")["run"]["id"]
        for number in range(45):
            joined = {"data": [run, 0], "fn_index": follow, "session_hash": f"s{number}"}
            assert client.post("/gradio_api/queue/join", json=joined).status_code == 200
        event = client.post("/gradio_api/call/runs", json={"data": []}).json()["event_id"]
        assert run in client.get(f"/gradio_api/call/runs/{event}", timeout=60).text
        ask(studio, "cancel", run=run)


def test_a_file_is_uploaded_kept_and_shown(server: Server, studio: Studio, pictures: Path) -> None:
    with httpx.Client(base_url=server.url) as client:
        content = (pictures / "red.png").read_bytes()
        (sent,) = client.post("/gradio_api/upload", files={"files": ("red.png", content)}).json()
        kept = call(client, "", "keep", path=sent, name="red.png").json()["path"]
        assert Path(kept).parent == studio.workspace.inputs
        assert client.get(f"/gradio_api/file={kept}").content == content
        notes = studio.workspace.folder / "notes.html"
        notes.write_text("<script>")
        for path in (
            studio.workspace.home / "runs.sqlite",
            Path("/etc/passwd"),
            pictures / ".." / ".." / "home",
            notes,
        ):
            assert client.get(f"/gradio_api/file={path}").status_code == 403
            assert client.get(f"/gradio_api/file/{path}").status_code == 403


def test_a_page_that_others_can_reach_asks_for_a_password(studio: Studio) -> None:
    served = serve(studio, host="0.0.0.0")
    try:
        assert served.password
        port = httpx.URL(served.url).port
        with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
            assert client.get("/config").status_code == 401
            assert client.post("/login", data={"username": "loragraph", "password": "no"}).status_code == 400
            entered = client.post("/login", data={"username": "loragraph", "password": served.password})
            assert entered.status_code == 200
            assert call(client, "", "catalog").json()["workspace"]["user"] == "loragraph"
    finally:
        served.close()


def test_the_page_works_mounted_under_a_path(studio: Studio, static: Path) -> None:
    app = FastAPI()
    app.get("/")(lambda: "mine")
    mount(app, "/x/studio", studio)
    with page_of(app) as client:
        assert client.get("/").json() == "mine"
        config = client.get("/x/studio/config").json()
        assert config["root"].endswith("/x/studio")
        answer = call(client, "/x/studio", "catalog").json()
        assert answer["ok"] and answer["workspace"]["url"] == "http://inner/x/studio/"
        assert client.get(f"/x/studio/gradio_api/file={static / 'style-cd34.css'}").status_code == 200
        assert client.get("/x/studio/gradio_api/file=/etc/passwd").status_code == 403
        assert client.get("/x/studio/config", headers={"origin": "http://evil.example"}).status_code == 403
        forwarded = {"origin": "https://art.example", "x-forwarded-host": "art.example", "x-forwarded-proto": "https"}
        assert client.get("/x/studio/config", headers=forwarded).json()["root"] == "https://art.example/x/studio"


def test_a_mounted_page_with_a_login_gives_nothing_without_it(studio: Studio, static: Path) -> None:
    app = mount(FastAPI(), "/studio", studio, auth=("ada", "secret"))
    with page_of(app) as client:
        asked = {"component_id": 1, "fn_name": "ask", "session_hash": "s", "data": {"method": "catalog", "data": {}}}
        assert client.post("/studio/gradio_api/component_server", json=asked).status_code == 401
        assert client.post("/studio/gradio_api/component_server/", json=asked).status_code == 401
        assert client.get(f"/studio/gradio_api/file={static / 'canvas-ab12.js'}").status_code == 401
        assert client.get("/studio/config").status_code == 401
        sent = {"files": ("a.png", b"x")}
        assert client.post("/studio/gradio_api/upload", files=sent).status_code == 401
        joined = {"data": ["r", 0], "fn_index": 0, "session_hash": "s"}
        assert client.post("/studio/gradio_api/queue/join", json=joined).status_code == 401
        client.post("/studio/login", data={"username": "ada", "password": "secret"})
        assert call(client, "/studio", "catalog").json()["workspace"]["user"] == "ada"


def test_the_component_stands_in_anybodys_page(studio: Studio) -> None:
    with gr.Blocks() as page:
        canvas = GraphCanvas({"format": "loragraph/1", "nodes": {}}, studio=studio, height="400px")
        GraphCanvas(studio=studio)
        text = gr.Code(language="json")
        canvas.change(lambda document: document, canvas, text)
    names = [each["api_name"] for each in page.get_config_file()["dependencies"]]
    assert [names.count(name) for name in ("follow", "submit", "run", "cancel", "runs")] == [1] * 5
    assert json.loads(canvas.value)["format"] == "loragraph/1"
    assert canvas.preprocess(None) == "" and canvas.postprocess(None) == ""
    assert canvas.api_info()["type"] == "string"
    assert json.loads(canvas.example_payload())["nodes"] == {}


def test_no_stub_is_written_beside_the_component() -> None:
    class Mine(GraphCanvas):
        """A component of somebody's, made of ours."""

    assert issubclass(Mine, gr.HTML)
    assert not list(Path(static_folder.__code__.co_filename).parent.glob("*.pyi"))
    assert not Path(__file__).with_suffix(".pyi").exists()


def test_a_front_end_that_was_never_built_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="make web"):
        built(tmp_path)


def test_what_is_committed_is_built(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LORAGRAPH_UI_STATIC")
    parts = built(static_folder())
    assert all(Path(part).is_file() for part in (parts.module, *parts.imports, *parts.styles))


def test_what_the_module_imports_is_known_before_it_is_read(tmp_path: Path) -> None:
    manifest = {
        "src/main.tsx": {"file": "main-1.js", "imports": ["_canvas.js", "_runtime.js"], "dynamicImports": ["_late.js"]},
        "_canvas.js": {"file": "canvas-2.js", "imports": ["_runtime.js", "src/main.tsx"]},
        "_runtime.js": {"file": "runtime-3.js"},
        "_late.js": {"file": "late-4.js"},
        "style.css": {"file": "style-5.css"},
    }
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    parts = built(tmp_path)
    assert parts.module == str(tmp_path / "main-1.js")
    assert [Path(each).name for each in parts.imports] == ["canvas-2.js", "runtime-3.js"]
    assert [Path(each).name for each in parts.styles] == ["style-5.css"]


def test_the_analytics_of_the_page_are_off() -> None:
    assert os.environ["GRADIO_ANALYTICS_ENABLED"] == "False"
    assert not gr.analytics.analytics_enabled()
