/** The words of the front end: what the server says, what a graph is, what a run tells. Data only, no behaviour. */

export type Json = null | boolean | number | string | Json[] | { [name: string]: Json };
export type Point = [x: number, y: number];

// ---- the catalog: what can be put on the canvas -------------------------------------------------------------------

export type WidgetKind =
  | "number" | "slider" | "text" | "multiline" | "choice" | "switch" | "seed"
  | "file" | "folder" | "model" | "lora" | "colour" | "regions" | "lines" | "json";

/** One setting of a node type. `default` is null and `required` true where the type has no default. */
export interface Field {
  name: string;
  kind: WidgetKind;
  default: Json;
  required: boolean;
  whole: boolean;
  minimum: number | null;
  maximum: number | null;
  step: number | null;
  choices: (string | number)[];
  suggestions: string[];
  /** A line on what belongs here: limits, units. */
  info: string;
  /** Most leave it as it is: shown on demand, or once it has been written. */
  advanced: boolean;
}

export interface Input { name: string; type: string; required: boolean; many: boolean }
export interface Output { name: string; type: string }

export interface NodeType {
  type: string;
  version: number;
  category: string;
  doc: string;
  cache: boolean;
  device: boolean;
  package: string;
  inputs: Input[];
  outputs: Output[];
  fields: Field[];
}

export type Shape = "circle" | "square" | "diamond" | "triangle" | "hexagon" | "pentagon" | "star" | "cross";

/** A kind of value: `bases` are the kinds that it may stand in for. Colour and shape say the same thing twice. */
export interface ValueType { name: string; bases: string[]; colour: string; shape: Shape }

export interface Catalog { nodes: Record<string, NodeType>; values: Record<string, ValueType> }

// ---- the graph: the document as the canvas edits it ----------------------------------------------------------------

export type Mode = "" | "mute" | "bypass";

export interface GraphNode {
  id: string;
  type: string;
  version: number;
  settings: Record<string, Json>;
  mode: Mode;
  at: Point;
  collapsed: boolean;
  /** Whether all settings are shown, not only the foremost (see canvas/geometry.ts). */
  expanded: boolean;
  /** The seed settings that get a new value before each run (the others are locked). */
  randomise: string[];
  /** What else stands in the view of this node, kept as it is. */
  extra: Record<string, Json>;
}

/** A wire from an output to an input, through the reroute points `via`. The order of wires is their order in an input. */
export interface Wire { id: string; from: string; output: string; to: string; input: string; via: Point[] }
export interface Group { id: string; title: string; at: Point; size: Point; colour: string }
export interface Note { id: string; text: string; at: Point; size: Point; colour: string }

/** Immutable: every edit makes a new one, and shares what has not changed. */
export interface Graph {
  title: string;
  nodes: Record<string, GraphNode>;
  wires: Wire[];
  groups: Record<string, Group>;
  notes: Record<string, Note>;
  /** What stands in the file for other programs, such as "$schema". */
  extra: Record<string, Json>;
}

export interface Problem { node: string | null; field: string | null; value?: Json; message: string; hint: string }

/** The file on disk, as the runtime reads it. */
export interface WorkflowDocument {
  format: string;
  title?: string;
  nodes: Record<string, { type: string; version: number; settings?: Record<string, Json>; inputs?: Record<string, string | string[]>; mode?: Mode }>;
  view?: Record<string, Record<string, Json>>;
  [other: string]: unknown;
}

// ---- runs ---------------------------------------------------------------------------------------------------------

export type RunStatus = "waiting" | "running" | "done" | "failed" | "cancelled";

export interface RunRecord {
  id: string; name: string; title: string; status: RunStatus; position: number;
  created: number; started: number | null; ended: number | null;
  out: string; path: string | null; wanted: string[] | null; device: string | null; attempt: number; error: string;
  nodes: number; finished: number; last_seq: number; stopping: boolean; rerun_of: string | null; bad_input: boolean;
}

export interface RunEvent {
  seq: number; time: number; run: string; kind: string; node: string | null; data: Record<string, Json>;
}

export type NodeState = "waiting" | "running" | "cached" | "done" | "failed" | "skipped" | "cancelled";

/** One node of the run that is shown: the sum of its events. Times in seconds since 1970, `seconds` a duration. */
export interface NodeRun {
  state: NodeState;
  started: number;
  seconds: number;
  step: number;
  total: number;
  /** The first and the newest step of this stretch, each with when it was told: [step, time]. Null before the first. */
  pace: { from: Point; to: Point } | null;
  message: string;
  preview: string;
  curves: Record<string, Point[]>;
  error: string;
  trace: string;
  badInput: boolean;
  key: string;
  device: string;
}

// ---- results ------------------------------------------------------------------------------------------------------

export interface PictureView { path: string; width: number; height: number; caption: string; settings: Record<string, Json> }

/** Of a table: null where there is nothing to say. */
export type Cell = string | number | null;

/** What there is to show of one output, or of the files that a saver left. Paths are the server's; see `fileUrl`. */
export type ResultView =
  | { kind: "pictures"; name: string; items: PictureView[]; count: number }
  | { kind: "video"; name: string; items: PictureView[]; count: number }
  | { kind: "lora"; name: string; title: string; family: string; rank: number; modules: number; size: number; sha256: string; path: string; dialect: string; alpha: number | null }
  | { kind: "table"; name: string; title: string; columns: string[]; rows: Cell[][]; count: number }
  | { kind: "chart"; name: string; curves: Record<string, Point[]> }
  | { kind: "facts"; name: string; type: string; facts: Record<string, Json>; pictures: PictureView[] }
  | { kind: "file"; name: string; path: string; size: number };
