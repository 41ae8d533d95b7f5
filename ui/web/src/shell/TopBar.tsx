/** The bar above: menus, the document's name, the run's controls, and what opens the panels. */
import { useEffect } from "react";
import { perform, shown } from "../commands";
import "../files/commands";
import { DropZone } from "../files/DropZone";
import { keepDrafts, offerDrafts } from "../files/drafts";
import { watchFile } from "../files/watch";
import { failures } from "../runs/ending";
import { RunBar } from "../runs/RunBar";
import { useGraph } from "../state/graph";
import { useRuns } from "../state/runs";
import { type Panel, type Theme, useShell } from "../state/shell";
import "./commands";
import { togglePalette } from "./commands";
import { DocumentName } from "./DocumentName";
import { Icon, type IconName, Logo } from "./icons";
import { listenToKeys } from "./keys";
import { MenuButton, type MenuItem, commandItems } from "./Menu";
import { keepOneOpen } from "./narrow";
import { setTheme } from "./theme";

const MENUS = ["File", "Edit", "Arrange", "View"] as const;

export function TopBar() {
  const started = useGraph(({ catalog }) => Object.keys(catalog.nodes).length > 0);
  useEffect(() => {
    const stops = [listenToKeys(), keepDrafts(), watchFile(), keepOneOpen()];
    return () => { for (const stop of stops) stop(); };
  }, []);
  useEffect(() => { if (started) void offerDrafts(); }, [started]);
  return (
    <>
      <header className="lg-top" data-testid="top-bar">
        <PaletteToggle />
        <span className="lg-brand"><Logo /><span className="lg-wordmark">LoRAGraph</span></span>
        <nav className="lg-menus" aria-label="Menus">
          {MENUS.map((section) => (
            <MenuButton key={section} items={() => commandItems(section)} testId={`menu-${section.toLowerCase()}`}>{section}</MenuButton>
          ))}
        </nav>
        <span className="lg-menus-folded">
          <MenuButton label="Menu" className="lg-icon-button" items={folded} testId="menu-all"><Icon name="menu" /></MenuButton>
        </span>
        <DocumentName />
        <History />
        <span className="lg-grow" />
        <RunBar />
        <span className="lg-tools">
          <button
            type="button" className="lg-icon-button" aria-label="Find a node" title={`Find a node (${shown("Mod+F")})`} data-testid="find"
            onClick={() => perform("edit.search.find")}
          ><Icon name="search" /></button>
          <PanelToggle panel="queue" icon="queue" title="Queue and history" />
          <PanelToggle panel="gallery" icon="gallery" title="Gallery" />
          <ProblemsToggle />
          <ThemeSwitch />
          <button
            type="button" className="lg-icon-button" aria-label="Keyboard shortcuts" title="Keyboard shortcuts (?)" data-testid="shortcuts"
            onClick={() => perform("view.help.keys")}
          ><Icon name="keyboard" /></button>
        </span>
      </header>
      <DropZone />
    </>
  );
}

function folded(): MenuItem[] {
  return MENUS.flatMap((section) => [{ head: section }, ...commandItems(section).filter((item) => item !== "line")]);
}

function PaletteToggle() {
  const palette = useShell((state) => state.palette);
  return (
    <button
      type="button" className="lg-icon-button" aria-label="Node list" title="Node list (A)" aria-pressed={palette} data-testid="toggle-palette"
      onClick={togglePalette}
    ><Icon name="panel-left" /></button>
  );
}

/** Undo and redo, for those without a keyboard. */
function History() {
  const undo = useGraph((state) => state.past.at(-1)?.label);
  const redo = useGraph((state) => state.future[0]?.label);
  const steps = [["undo", "Undo", undo, "Mod+Z"], ["redo", "Redo", redo, "Mod+Shift+Z"]] as const;
  return (
    <span className="lg-tools lg-history">
      {steps.map(([name, title, label, keys]) => (
        <button
          key={name} type="button" className="lg-icon-button" aria-label={title} title={`${title}${label ? ` "${label}"` : ""} (${shown(keys)})`}
          disabled={label === undefined} data-testid={name} onClick={() => perform(`edit.${name}`)}
        ><Icon name={name} /></button>
      ))}
    </span>
  );
}

function PanelToggle({ panel, icon, title, count = 0 }: { panel: Panel; icon: IconName; title: string; count?: number }) {
  const open = useShell((state) => state.panel === panel);
  return (
    <button
      type="button" className="lg-icon-button" aria-label={count ? `${title}: ${count}` : title} title={title} aria-pressed={open} data-testid={`toggle-${panel}`}
      onClick={() => useShell.setState({ panel: open ? "none" : panel })}
    >
      <Icon name={icon} />
      {count > 0 && <span className="lg-count" aria-hidden="true">{count > 99 ? "99+" : count}</span>}
    </button>
  );
}

function ProblemsToggle() {
  const problems = useGraph((state) => state.problems.length);
  const failed = useRuns((state) => failures(state.nodes).length);
  return <PanelToggle panel="problems" icon="problems" title="Problems" count={problems + failed} />;
}

const THEMES: [Theme, IconName, string][] = [["light", "sun", "Light"], ["dark", "moon", "Dark"], ["system", "monitor", "As the system"]];

function ThemeSwitch() {
  const theme = useShell((state) => state.theme);
  const items = (): MenuItem[] => THEMES.map(([name, icon, title]) => ({
    id: `theme-${name}`, title, icon, checked: theme === name, run: () => setTheme(name),
  }));
  const icon = THEMES.find(([name]) => name === theme)![1];
  return <MenuButton label="Theme" className="lg-icon-button" side="right" items={items} testId="theme"><Icon name={icon} /></MenuButton>;
}
