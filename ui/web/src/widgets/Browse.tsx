/**
 * The pop-up that looks for files on the server: what is offered first, then what lies in a folder, narrowed by words.
 * Arrow keys go through the list from the search field on. Loaded when it is first opened.
 */
import { type KeyboardEvent, useEffect, useRef, useState } from "react";
import { fileUrl, server } from "../server";
import { Dialog } from "../shell/Dialog";
import { Icon, type IconName } from "../shell/icons";
import { closeDialog } from "../state/shell";
import type { Point } from "../types";
import { NOUNS, type PathKind, date, isPicture, size } from "./paths";
import { send } from "./upload";

interface Entry { path: string; label: string; detail: string; kind: string; size: number | null; modified: number | null }
interface Found { entries: Entry[]; folder: string; parent: string | null; roots: (string | { path: string; label: string })[] }

export interface BrowseProps {
  kind: PathKind;
  suggestions: string[];
  value: string;
  /** Where the pop-up hangs, in the window's pixels. */
  at: Point;
  onPick: (path: string) => void;
}

/** As the page's one dialog, opened with `openDialog("browse", props)`. */
export default function BrowseDialog({ data }: { data: BrowseProps }) {
  const pick = (path: string) => {
    closeDialog();
    data.onPick(path);
  };
  return <Browse {...data} onPick={pick} onClose={closeDialog} />;
}

const PAUSE = 120;
const ACCEPT: Partial<Record<PathKind, string>> = { lora: ".safetensors" };

export function Browse({ kind, suggestions, value, at, onPick, onClose }: BrowseProps & { onClose: () => void }) {
  const [query, setQuery] = useState("");
  const [folder, setFolder] = useState<string | undefined>(undefined);
  const { found, trouble, complain } = useFound(kind, query, folder);
  const [sending, setSending] = useState(false);
  const rows = useRef<HTMLUListElement>(null);
  const upload = useRef<HTMLInputElement>(null);
  const noun = NOUNS[kind];

  const offered = folder !== undefined ? [] : suggestions.filter((each) => each.toLowerCase().includes(query.toLowerCase()));
  const entries = [...offered.map(asEntry), ...(found?.entries ?? []).filter(({ path }) => !offered.includes(path))];
  const enter = (path: string) => {
    setFolder(path);
    setQuery("");
  };
  const take = (entry: Entry | undefined) => {
    if (!entry) return;
    if (entry.kind === "folder" && kind !== "folder") enter(entry.path);
    else onPick(entry.path);
  };
  const goThrough = (event: KeyboardEvent) => {
    if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
    const buttons = [...(rows.current?.querySelectorAll<HTMLElement>(".lg-browse-entry") ?? [])];
    const place = buttons.indexOf(document.activeElement as HTMLElement);
    event.preventDefault();
    const next = place + (event.key === "ArrowDown" ? 1 : -1);
    (next < 0 ? event.currentTarget.closest(".lg-browse")?.querySelector("input") : buttons[Math.min(next, buttons.length - 1)])?.focus();
  };
  const sendFile = async (file: File | undefined) => {
    if (!file) return;
    setSending(true);
    try {
      onPick(await send(file));
    } catch (error) {
      complain(`${file.name} could not be sent. ${error instanceof Error ? error.message : ""}`);
      setSending(false);
    }
  };
  return (
    <Dialog title={`Look for a ${noun}`} at={at} onClose={onClose} testId="browse">
      <div className="lg-browse">
        <label className="lg-search">
          <Icon name="search" />
          <span className="lg-hidden">Search</span>
          <input
            data-autofocus className="lg-input" type="search" value={query} placeholder={`Search ${noun}s`} spellCheck={false} autoComplete="off"
            onChange={(event) => setQuery(event.target.value)}
            onKeyDown={(event) => { if (event.key === "Enter") take(entries[0]); else goThrough(event); }}
          />
        </label>
        {found && (found.folder !== "" || found.parent !== null) && (
          <div className="lg-browse-place">
            <button
              type="button" className="lg-mini" aria-label="Up to the folder above" title="Up to the folder above" disabled={found.parent === null}
              onClick={() => enter(found.parent ?? "")}
            ><Icon name="arrow-up" size={14} /></button>
            <span title={found.folder}><bdi>{found.folder}</bdi></span>
            {kind === "folder" && <button type="button" className="lg-button small" onClick={() => onPick(found.folder)}>Use this folder</button>}
          </div>
        )}
        <ul ref={rows} className="lg-browse-list" aria-label={`${noun}s`}>
          {entries.map((entry) => (
            <li key={`${entry.kind} ${entry.path}`}>
              <button type="button" className="lg-browse-entry" aria-current={entry.path === value} title={entry.path} onClick={() => take(entry)} onKeyDown={goThrough}>
                {isPicture(entry.path)
                  ? <img src={fileUrl(entry.path)} alt="" loading="lazy" draggable={false} onError={(event) => { event.currentTarget.style.visibility = "hidden"; }} />
                  : <Icon name={iconOf(entry.kind)} />}
                <span className="lg-browse-words"><b>{entry.label}</b><small>{detail(entry)}</small></span>
              </button>
              {kind === "folder" && entry.kind === "folder" && (
                <button type="button" className="lg-mini" aria-label={`Open ${entry.label}`} title="Open this folder" onClick={() => enter(entry.path)}>
                  <Icon name="right" size={14} />
                </button>
              )}
            </li>
          ))}
        </ul>
        {entries.length === 0 && !trouble && <p className="lg-browse-empty">{found ? (query ? `Nothing is called "${query}".` : "Nothing here.") : "Looking…"}</p>}
        {trouble && <p className="lg-browse-empty bad" role="alert">{trouble}</p>}
        <footer>
          {found?.roots.map((each) => {
            const { path, label } = typeof each === "string" ? { path: each, label: each.split("/").findLast((part) => part) ?? each } : each;
            return <button key={path} type="button" className="lg-button small plain" title={path} onClick={() => enter(path)}>{label}</button>;
          })}
          <span className="lg-grow" />
          {(kind === "file" || kind === "lora") && (
            <>
              <input ref={upload} type="file" hidden accept={ACCEPT[kind]} aria-label="A file from this computer" onChange={(event) => void sendFile(event.target.files?.[0])} />
              <button type="button" className="lg-button small" disabled={sending} onClick={() => upload.current?.click()}>
                <Icon name="upload" size={14} />{sending ? "Sending…" : "From this computer"}
              </button>
            </>
          )}
        </footer>
      </div>
    </Dialog>
  );
}

/** What the server finds; the answer before stays until the next is there. */
function useFound(kind: PathKind, query: string, folder: string | undefined) {
  const [found, setFound] = useState<Found | null>(null);
  const [trouble, complain] = useState("");
  useEffect(() => {
    let wanted = true;
    const ask = async () => {
      try {
        const answer = await server().call<Found>("files", { kind, query, ...(folder === undefined ? {} : { folder }) });
        if (wanted) setFound(answer);
        if (wanted) complain("");
      } catch (error) {
        if (wanted) complain(error instanceof Error && error.message ? error.message : "The server gives no answer.");
      }
    };
    const timer = setTimeout(() => void ask(), query === "" ? 0 : PAUSE);
    return () => {
      wanted = false;
      clearTimeout(timer);
    };
  }, [kind, query, folder]);
  return { found, trouble, complain };
}

function asEntry(path: string): Entry {
  return { path, label: path, detail: "comes with its package", kind: "offered", size: null, modified: null };
}

function iconOf(kind: string): IconName {
  return kind === "folder" ? "folder" : kind === "model" || kind === "offered" ? "cube" : kind === "lora" ? "layers" : "file";
}

function detail({ detail, size: bytes, modified, kind }: Entry): string {
  return [detail, bytes && kind !== "folder" ? size(bytes) : "", modified ? date(modified) : ""].filter(Boolean).join(" · ");
}
