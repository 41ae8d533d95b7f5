/** The menu of what was right-clicked, or pressed long: commands for the selection, and what belongs to this one thing. */
import { useEffect, useLayoutEffect, useRef } from "react";
import { createPortal } from "react-dom";
import { type Command, find } from "../commands";
import { COLOURS, editGroup, editNote, withContents } from "../graph/arrange";
import { paste } from "../graph/clipboard";
import { disconnect, remove, toggleMode, unsetSetting } from "../graph/operations";
import { type MenuItem, MenuList, commandItem } from "../shell/Menu";
import { useGraph } from "../state/graph";
import { openDialog } from "../state/shell";
import type { Graph } from "../types";
import { addNoteHere } from "./place";
import { addViaAt } from "./reroute";
import { currentSizes } from "./selected";
import { type MenuTarget, useCanvas } from "./state";
import { view } from "./view";

const NODE = [
  "run.to", "run.from", "", "edit.node.rename", "edit.node.connect", "edit.node.collapse", "edit.node.expand", "edit.node.mute", "edit.node.bypass", "",
  "edit.clip.cut", "edit.clip.copy", "edit.clip.duplicate", "edit.clip.duplicate-bare", "", "arrange.group.group", "edit.remove.delete", "edit.remove.bridge",
];
const SEVERAL = ["", ...["left", "centre", "right", "top", "middle", "bottom"].map((way) => `arrange.align.${way}`), "arrange.distribute.across", "arrange.distribute.down", "arrange.layout.auto"];
const FRAME = ["edit.node.rename", "edit.clip.copy", "edit.clip.duplicate"];
const TINTS = ["Blue", "Green", "Yellow", "Orange", "Purple", "Grey"];

export default function ContextMenu() {
  const menu = useCanvas((state) => state.menu);
  const page = menu && view()?.element().closest(".lg");
  // Beside the canvas, not in it: what lies in the canvas is placed by its corner, and is below the notices.
  return page ? createPortal(<Open key={`${menu.kind} ${menu.id} ${menu.client}`} menu={menu} />, page) : null;
}

function Open({ menu }: { menu: MenuTarget }) {
  const own = useRef<HTMLDivElement>(null);
  const before = useRef(document.activeElement);
  const close = (refocus: boolean) => {
    useCanvas.setState({ menu: null });
    if (refocus && before.current instanceof HTMLElement) before.current.focus({ preventScroll: true });
  };
  // Wholly within the window, whatever the length of the list.
  useLayoutEffect(() => {
    const holder = own.current!;
    const { width, height } = holder.firstElementChild!.getBoundingClientRect();
    holder.style.left = `${Math.max(4, Math.min(menu.client[0], innerWidth - width - 6))}px`;
    holder.style.top = `${Math.max(4, Math.min(menu.client[1], innerHeight - height - 6))}px`;
  }, [menu]);
  useEffect(() => {
    const outside = (event: Event) => { if (!own.current?.contains(event.target as Node)) useCanvas.setState({ menu: null }); };
    document.addEventListener("pointerdown", outside, true);
    document.addEventListener("wheel", outside, true);
    return () => {
      document.removeEventListener("pointerdown", outside, true);
      document.removeEventListener("wheel", outside, true);
    };
  }, []);
  return (
    <div ref={own} className="lg-context-menu lg-over" data-testid="context-menu">
      <MenuList label={menu.kind === "canvas" ? "Canvas" : menu.id} items={itemsOf(menu)} close={close} />
    </div>
  );
}

function itemsOf(menu: MenuTarget): MenuItem[] {
  const { id, kind } = menu;
  const { graph, selection, edit } = useGraph.getState();
  if (kind === "wire") return wireItems(menu, graph);
  if (kind === "node") return [...settingItems(menu), ...commands(selection.size > 1 ? [...NODE, ...SEVERAL] : NODE)];
  if (kind === "note") {
    return [...commands(FRAME), "line", ...tints((colour) => edit("colour", (now) => editNote(now, id, { colour }))), "line", ...commands(["edit.remove.delete"])];
  }
  if (kind === "group") {
    const inner = () => withContents(useGraph.getState().graph, [id], currentSizes());
    return [
      ...commands(FRAME), "line", ...tints((colour) => edit("colour", (now) => editGroup(now, id, { colour }))), "line",
      item("group.select", "Select what is in it", () => useGraph.getState().select(inner())),
      item("group.mute", "Mute what is in it", () => { const ids = inner(); edit("mute", (now) => toggleMode(now, ids, "mute")); }),
      ...commands(["arrange.group.ungroup"]),
      item("group.delete", "Delete with what is in it", () => { const ids = inner(); edit("delete", (now) => remove(now, ids)); }),
    ];
  }
  return [
    item("canvas.add", "Add a node…", () => openDialog("quick-add", { client: menu.client }), "Space"),
    item("canvas.note", "Add a note", () => addNoteHere(menu.client), "N"),
    item("canvas.paste", "Paste", () => void paste(menu.client), commandKeys("edit.clip.paste")),
    "line", ...commands(["edit.undo", "edit.redo", "", "edit.select.all", "arrange.group.group", "arrange.layout.auto", "", "view.zoom.fit", "view.canvas.minimap"]),
  ];
}

function wireItems({ id, client }: MenuTarget, graph: Graph): MenuItem[] {
  const wire = graph.wires.find((each) => each.id === id);
  const { edit } = useGraph.getState();
  return [
    item("wire.via", "Add a reroute point", () => addViaAt(id, client)),
    ...(wire?.via.length ? [item("wire.straight", "Remove its reroute points", () => edit("remove reroute points", (now) => ({ ...now, wires: now.wires.map((each) => (each.id === id ? { ...each, via: [] } : each)) })))] : []),
    "line", item("wire.delete", "Delete the wire", () => edit("disconnect", (now) => disconnect(now, [id]))),
  ];
}

function settingItems({ id, setting }: MenuTarget): MenuItem[] {
  const { graph, edit } = useGraph.getState();
  const node = graph.nodes[id];
  if (!node || !setting || !(setting in node.settings)) return [];
  return [item("setting.reset", `Reset “${setting.replaceAll("_", " ")}” to its default`, () => edit("reset", (now) => unsetSetting(now, id, setting))), "line"];
}

function tints(paint: (colour: string) => void): MenuItem[] {
  return COLOURS.map((colour, index) => item(`tint.${index}`, TINTS[index]!, () => paint(colour)));
}

function item(id: string, title: string, run: () => void, keys?: string): MenuItem {
  return { id, title, run, ...(keys ? { keys } : {}) };
}

/** The commands of these names; "" is a line. Names that no part of the page has registered are left out. */
function commands(ids: readonly string[]): MenuItem[] {
  const known = ids.filter((id) => id === "" || find(id));
  const spare = (id: string, index: number): boolean => id === "" && (index === 0 || index === known.length - 1 || known[index - 1] === "");
  return known.filter((id, index) => !spare(id, index)).map((id) => (id === "" ? "line" : commandItem(find(id) as Command)));
}

function commandKeys(id: string): string | undefined {
  const found = commandItem(find(id) as Command);
  return typeof found === "object" && "keys" in found ? found.keys : undefined;
}
