/** All keys on one sheet, from the same list as the menus, and what the pointer does besides. */
import { type Command, all, shown } from "../commands";
import { closeDialog } from "../state/shell";
import { Dialog } from "./Dialog";

const SECTIONS: Command["section"][] = ["Run", "File", "Add", "Edit", "Arrange", "View"];

const POINTER: [string, string][] = [
  ["Drag from a socket", "draw a wire; dropped on empty canvas, choose a node that fits"],
  ["Double-click", "on the canvas: add a node; on a name: rename; on a wire: a reroute point"],
  ["Drag the canvas", "move the view"],
  ["Shift + drag", "select with a box"],
  ["Ctrl + click", "add to the selection"],
  ["Wheel, pinch", "zoom"],
  ["Alt while dragging", "off the grid"],
  ["Right-click, long press", "what can be done with it"],
];

export default function Shortcuts() {
  return (
    <Dialog title="Keyboard shortcuts" size="wide" text onClose={closeDialog} testId="dialog-shortcuts">
      <div className="lg-sheet">
        {SECTIONS.map((section) => {
          const commands = all().filter((command) => command.section === section && command.keys?.length);
          if (!commands.length) return null;
          return (
            <section key={section}>
              <h3>{section}</h3>
              <dl>{commands.map(({ id, title, keys }) => (
                <div key={id}>
                  <dt>{title.replace("…", "")}</dt>
                  <dd>{keys!.map((each) => <kbd key={each} className="lg-keys">{shown(each)}</kbd>)}</dd>
                </div>
              ))}</dl>
            </section>
          );
        })}
        <section>
          <h3>Pointer</h3>
          <dl>{POINTER.map(([what, does]) => <div key={what} className="lg-sheet-pointer"><dt>{what}</dt><dd>{does}</dd></div>)}</dl>
        </section>
      </div>
    </Dialog>
  );
}
