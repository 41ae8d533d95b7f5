/**
 * The pictures on buttons: lines on a 16 × 16 field, in the text's colour. An icon is decoration; the button says in words
 * what it does (`aria-label` or text beside it).
 *
 *     <button aria-label="Run"><Icon name="play" /></button>
 */

const LINES = {
  play: "M4.5 2.8v10.4l8.2-5.2z",
  stop: "M4 4h8v8H4z",
  plus: "M8 3v10M3 8h10",
  minus: "M3 8h10",
  close: "M4 4l8 8M12 4l-8 8",
  check: "M3 8.5l3.2 3.2L13 4.8",
  search: "M7 2.5a4.5 4.5 0 1 0 0 9 4.5 4.5 0 0 0 0-9zM10.3 10.3l3.2 3.2",
  menu: "M2.5 4h11M2.5 8h11M2.5 12h11",
  more: "M3.5 8h.01M8 8h.01M12.5 8h.01",
  grip: "M6 3.5h.01M10 3.5h.01M6 8h.01M10 8h.01M6 12.5h.01M10 12.5h.01",
  up: "M3.5 10L8 5.5l4.5 4.5",
  down: "M3.5 6L8 10.5 12.5 6",
  left: "M10 3.5L5.5 8l4.5 4.5",
  right: "M6 3.5L10.5 8 6 12.5",
  "arrow-up": "M8 13V3M4 7l4-4 4 4",
  "arrow-down": "M8 3v10M4 9l4 4 4-4",
  sun: "M8 5.2a2.8 2.8 0 1 0 0 5.6 2.8 2.8 0 0 0 0-5.6zM8 1.5v1.2M8 13.3v1.2M1.5 8h1.2M13.3 8h1.2M3.4 3.4l.9.9M11.7 11.7l.9.9M3.4 12.6l.9-.9M11.7 4.3l.9-.9",
  moon: "M13.2 9.6A5.6 5.6 0 0 1 6.4 2.8a5.6 5.6 0 1 0 6.8 6.8z",
  monitor: "M2 3h12v8H2zM6 14h4M8 11v3",
  info: "M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2zM8 7.3v3.6M8 5h.01",
  good: "M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2zM5.3 8.2l1.9 1.9 3.5-3.9",
  warning: "M8 2.3L14.3 13H1.7zM8 6.3v3.2M8 11.3h.01",
  error: "M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2zM6 6l4 4M10 6l-4 4",
  help: "M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2zM6.2 6.3a1.8 1.8 0 1 1 2.6 1.6c-.5.3-.8.6-.8 1.2M8 11.3h.01",
  keyboard: "M1.5 4h13v8h-13zM4 6.6h.01M6.7 6.6h.01M9.3 6.6h.01M12 6.6h.01M4.5 9.5h7",
  file: "M4 1.8h5l3 3v9.4H4zM9 1.8v3h3",
  "new-file": "M9 1.8H4v12.4h8V4.8zM9 1.8v3h3M8 7v4.5M5.8 9.2h4.4",
  folder: "M1.8 4v8.5h12.4V5.3H7.6L6.2 3.5H1.8z",
  save: "M2.5 2.5h8.7l2.3 2.3v8.7h-11zM5 2.5v3.3h5V2.5M4.8 13.5V9.3h6.4v4.2",
  download: "M8 2v8M4.6 6.8L8 10.2l3.4-3.4M2.5 13.5h11",
  upload: "M8 10.5V2.3M4.6 5.6L8 2.2l3.4 3.4M2.5 13.5h11",
  copy: "M5.5 5.5h8v8h-8zM10.5 5.5v-3h-8v8h3",
  paste: "M5.5 3H3.3v11h9.4V3h-2.2M5.5 1.8h5v2.6h-5z",
  cut: "M4.2 9.6a1.9 1.9 0 1 0 0 3.8 1.9 1.9 0 0 0 0-3.8zM11.8 9.6a1.9 1.9 0 1 0 0 3.8 1.9 1.9 0 0 0 0-3.8zM5.3 10L11 2.2M10.7 10L5 2.2",
  trash: "M2.5 4.2h11M6 4V2.3h4V4M4 4.2l.6 9.5h6.8l.6-9.5M6.7 6.8v4.4M9.3 6.8v4.4",
  undo: "M5.5 2.8L2.3 6l3.2 3.2M2.5 6h7a4 4 0 0 1 0 8H6.5",
  redo: "M10.5 2.8L13.7 6l-3.2 3.2M13.5 6h-7a4 4 0 0 0 0 8h3",
  edit: "M2.5 13.5l.7-3L10.8 3l2.2 2.2-7.5 7.6z",
  queue: "M5.5 4h8M5.5 8h8M5.5 12h8M2.5 4h.01M2.5 8h.01M2.5 12h.01",
  gallery: "M2 3h12v10H2zM2 11l3.5-3.6 2.6 2.6 2-2 3.9 3.8M10.6 5.6h.01",
  problems: "M8 2.3L14.3 13H1.7zM8 6.3v3.2M8 11.3h.01",
  "panel-left": "M2 3h12v10H2zM6 3v10",
  "panel-right": "M2 3h12v10H2zM10 3v10",
  template: "M2 2.5h12v3.5H2zM2 8.5h5v5H2zM9.5 8.5H14M9.5 11h4.5M9.5 13.5H14",
  lock: "M3.5 7.2h9v6.3h-9zM5.3 7V5a2.7 2.7 0 0 1 5.4 0v2",
  unlock: "M3.5 7.2h9v6.3h-9zM5.3 7V4.8a2.7 2.7 0 0 1 5.2-1",
  dice: "M2.5 2.5h11v11h-11zM5.5 5.5h.01M10.5 5.5h.01M8 8h.01M5.5 10.5h.01M10.5 10.5h.01",
  eye: "M1.5 8S4 3.8 8 3.8 14.5 8 14.5 8 12 12.2 8 12.2 1.5 8 1.5 8zM8 6.2a1.8 1.8 0 1 0 0 3.6 1.8 1.8 0 0 0 0-3.6z",
  "eye-off": "M1.5 8S4 3.8 8 3.8 14.5 8 14.5 8 12 12.2 8 12.2 1.5 8 1.5 8zM2.5 13.5l11-11",
  fit: "M2.5 6V2.5H6M10 2.5h3.5V6M13.5 10v3.5H10M6 13.5H2.5V10",
  "zoom-in": "M7 2.5a4.5 4.5 0 1 0 0 9 4.5 4.5 0 0 0 0-9zM10.3 10.3l3.2 3.2M7 5v4M5 7h4",
  "zoom-out": "M7 2.5a4.5 4.5 0 1 0 0 9 4.5 4.5 0 0 0 0-9zM10.3 10.3l3.2 3.2M5 7h4",
  map: "M2 3.5l4-1.2 4 1.4 4-1.2v10l-4 1.2-4-1.4-4 1.2zM6 2.3v10M10 3.7v10",
  group: "M2 2h12v12H2zM4.5 5h3v3h-3zM8.5 8.5h3v3h-3z",
  ungroup: "M2 4V2h2M7 2h2M12 2h2v2M14 7v2M14 12v2h-2M9 14H7M4 14H2v-2M2 9V7M5 5h6v6H5z",
  note: "M2.5 2.5h11v7l-4 4h-7zM13.5 9.5h-4v4M5 5.5h6M5 8h3.5",
  link: "M6.5 9.5l3-3M7.5 4.5l1.3-1.3a2.8 2.8 0 0 1 4 4L11.5 8.5M8.5 11.5l-1.3 1.3a2.8 2.8 0 0 1-4-4L4.5 7.5",
  unlink: "M7.5 4.5l1.3-1.3a2.8 2.8 0 0 1 4 4L11.5 8.5M8.5 11.5l-1.3 1.3a2.8 2.8 0 0 1-4-4L4.5 7.5M2.5 2.5l11 11",
  code: "M5.3 4.5L1.8 8l3.5 3.5M10.7 4.5L14.2 8l-3.5 3.5M9.2 3l-2.4 10",
  terminal: "M2 3h12v10H2zM4.5 6l2 2-2 2M8 10.3h3.3",
  clock: "M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2zM8 4.8V8l2.3 1.6",
  refresh: "M13.3 6.5A5.6 5.6 0 0 0 3 5.6M2.7 2.6v3.2h3.2M2.7 9.5a5.6 5.6 0 0 0 10.3.9M13.3 13.4v-3.2h-3.2",
  skip: "M3.5 3.5v9l6.5-4.5zM12 3.5v9",
  cancelled: "M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2zM3.9 3.9l8.2 8.2",
  cached: "M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2zM8.8 4.2L5.6 8.6h4.8l-3.2 3.4",
  stale: "M8 2a6 6 0 1 1-5.4 3.4M2.3 2.3v3.3h3.3M8 5v3.2l2 1.3",
  mute: "M2 6v4h2.7L8 12.8V3.2L4.7 6zM10.8 6.2l3.4 3.6M14.2 6.2l-3.4 3.6",
  bypass: "M1.8 11h2.4c3 0 3-6 6-6h4M11.8 2.6L14.2 5l-2.4 2.4",
  collapse: "M3 6.5h10M5.8 1.8L8 4l2.2-2.2M5.8 14.2L8 12l2.2 2.2M3 9.5h10",
  expand: "M3 8h10M5.8 4L8 1.8 10.2 4M5.8 12L8 14.2l2.2-2.2",
  layers: "M8 2L14 5.2 8 8.4 2 5.2zM2 8l6 3.2L14 8M2 10.8L8 14l6-3.2",
  box: "M2.5 3.5h11v9h-11z",
  polygon: "M8 2l6 4.4-2.3 7.1H4.3L2 6.4z",
  brush: "M13.5 2.5L7.6 8.4M7.7 8.3a2.3 2.3 0 0 0-3.6 1.1c-.4 1.5-.9 2.6-2.3 3.4 2.6 1 5.8.9 6.6-1.3a2.5 2.5 0 0 0-.7-3.2z",
  eraser: "M6 13.5h8M2.2 9.8l6.6-6.6 4.4 4.4-5.9 5.9H5.6zM5.6 6.4L10 10.8",
  cursor: "M3.5 2.5l9 4.4-3.9 1.5-1.6 4z",
  chart: "M2.5 2.5v11h11M4.8 10.5l2.6-3.4 2.3 1.8 3.3-4.6",
  video: "M1.8 4h8.4v8H1.8zM10.2 7l4-2.2v6.4l-4-2.2z",
  cube: "M8 1.8l5.5 3v6.4L8 14.2l-5.5-3V4.8zM2.5 4.8L8 7.9l5.5-3.1M8 7.9v6.3",
  compare: "M8 1.5v13M2 4h4v8H2zM10 4h4v8h-4z",
  external: "M9.5 2.5h4v4M13.5 2.5L7.8 8.2M11.5 9.3v4.2h-9v-9h4.2",
  "align-left": "M2.5 2v12M5 4.2h8.5v2.6H5zM5 9.2h5v2.6H5z",
  "align-right": "M13.5 2v12M2.5 4.2H11v2.6H2.5zM6 9.2h5v2.6H6z",
  "align-centre": "M8 2v12M3 4.2h10v2.6H3zM5 9.2h6v2.6H5z",
  "align-top": "M2 2.5h12M4.2 5v8.5h2.6V5zM9.2 5v5h2.6V5z",
  "align-bottom": "M2 13.5h12M4.2 11V2.5h2.6V11zM9.2 11V6h2.6v5z",
  "align-middle": "M2 8h12M4.2 3v10h2.6V3zM9.2 5v6h2.6V5z",
  "distribute-across": "M2 2v12M14 2v12M6 4.5h4v7H6z",
  "distribute-down": "M2 2h12M2 14h12M4.5 6h7v4h-7z",
  layout: "M1.8 6h4v4h-4zM10.2 2.5h4v4h-4zM10.2 9.5h4v4h-4zM5.8 8h2.2M8 4.5h2.2M8 11.5h2.2M8 4.5v7",
  route: "M2 12c5 0 3-8 8-8M12 2.3a1.7 1.7 0 1 0 0 3.4 1.7 1.7 0 0 0 0-3.4z",
} as const;

export type IconName = keyof typeof LINES;

export function Icon({ name, size = 16 }: { name: IconName; size?: number }) {
  return (
    <svg
      className="lg-icon" width={size} height={size} viewBox="0 0 16 16" fill="none" stroke="currentColor" strokeWidth="1.5"
      strokeLinecap="round" strokeLinejoin="round" aria-hidden="true" focusable="false"
    >
      <path d={LINES[name]} fill={name === "play" || name === "stop" ? "currentColor" : undefined} />
    </svg>
  );
}

/** The product's sign: two nodes and the wire between them. */
export function Logo() {
  return (
    <svg className="lg-logo" width="24" height="24" viewBox="0 0 24 24" aria-hidden="true" focusable="false">
      <path d="M8 7.5h2.6c4 0 2.8 9 6.8 9H18" fill="none" stroke="var(--accent)" strokeWidth="2" strokeLinecap="round" />
      <rect x="2" y="3.5" width="7" height="8" rx="2.2" fill="var(--accent)" />
      <rect x="15" y="12.5" width="7" height="8" rx="2.2" fill="none" stroke="var(--accent)" strokeWidth="2" />
    </svg>
  );
}
