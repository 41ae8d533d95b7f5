/** Every command by its name, for those who would rather type than look for a menu. */
import { type Command, all, shown } from "../commands";
import { score } from "../palette/search";
import { closeDialog } from "../state/shell";
import { Chooser } from "./Chooser";
import { Dialog } from "./Dialog";

export default function CommandList() {
  return (
    <Dialog title="All commands" at={[innerWidth / 2 - 170, 90]} onClose={closeDialog} testId="dialog-commands">
      <Chooser
        label="All commands" placeholder="What do you want to do?" find={findCommands} keyOf={(command) => command.id} choose={choose}
        nothing="Nothing is called that."
        render={({ title, section, keys }) => <>
          <span className="lg-grow">{title}</span>
          {keys?.[0] ? <kbd className="lg-keys">{shown(keys[0])}</kbd> : <span className="lg-quiet">{section}</span>}
        </>}
      />
    </Dialog>
  );
}

function choose(command: Command): void {
  closeDialog();
  void command.run();
}

function findCommands(query: string): Command[] {
  const able = all().filter((command) => (command.enabled?.() ?? true) && command.id !== "edit.search.commands");
  const ranked = able.map((command) => ({ command, rank: score(query, { name: command.title, others: [command.section], text: "" }) }));
  return ranked.filter(({ rank }) => rank > 0).sort((a, b) => b.rank - a.rank).map(({ command }) => command);
}
