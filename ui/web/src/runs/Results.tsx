/** What a node has made, one kind each: pictures, a video, a LoRA, a table, a curve, a file, or plain facts. */
import { fileUrl } from "../server";
import { Icon } from "../shell/icons";
import type { Json, ResultView } from "../types";
import { Chart } from "./Chart";
import { Pictures } from "./Pictures";
import { measure, size } from "./progress";
import { TableCard } from "./Table";

interface ResultProps { node: string; result: ResultView; width: number; height: number }

export function Result({ node, result, width, height }: ResultProps) {
  switch (result.kind) {
    case "pictures":
      return <Pictures node={node} items={result.items} count={result.count} width={width} height={height} />;
    case "video":
      return <Videos {...{ result, width, height }} />;
    case "chart":
      return <Chart curves={result.curves} width={width} height={height} />;
    case "table":
      return <TableCard {...{ node, result, width, height }} />;
    case "lora":
      return (
        <div className="lg-result" style={{ height }} data-testid="lora-card">
          <b>{result.title || result.name}</b>
          <Facts facts={factsOf(result)} />
          <Download path={result.path} label="Download LoRA" />
        </div>
      );
    case "file":
      return (
        <div className="lg-result" style={{ height }}>
          <b>{result.path.split(/[\\/]/).at(-1)}</b>
          <Facts facts={{ size: size(result.size), folder: result.path.split(/[\\/]/).slice(0, -1).join("/") }} />
          <Download path={result.path} label="Download" />
        </div>
      );
    case "facts":
      if (result.pictures.length) {
        const lines = Object.entries(result.facts).map(([name, value]) => `${name} ${said(value)}`).join(" · ");
        return (
          <div className="lg-result">
            <Pictures node={node} items={result.pictures} count={result.pictures.length} width={width} height={height - 22} />
            <span className="lg-quiet lg-cut" title={lines}>{lines}</span>
          </div>
        );
      }
      return <div className="lg-result" style={{ height }}><Facts facts={result.facts} /></div>;
  }
}

/** What a LoRA's card says; what the file doesn't say is left out. */
function factsOf({ family, dialect, rank, alpha, modules, size: bytes, sha256 }: Extract<ResultView, { kind: "lora" }>): Record<string, Json> {
  const given: Record<string, Json> = alpha === null ? {} : { "alpha given": alpha };
  return { family, rank, ...given, modules, file: [size(bytes), dialect].filter(Boolean).join(", "), sha256: sha256.slice(0, 12) };
}

function Videos({ result, width, height }: { result: Extract<ResultView, { kind: "video" }>; width: number; height: number }) {
  const [first] = result.items;
  if (!first) return <p className="lg-quiet">The video is no longer there.</p>;
  return (
    // Generated pictures in motion have no sound and nothing to read out.
    // oxlint-disable-next-line jsx-a11y/media-has-caption
    <video
      className="lg-video nodrag nopan" src={fileUrl(first.path)} style={{ width, height }} controls loop muted playsInline preload="metadata"
      aria-label={first.caption || result.name}
    />
  );
}

export function Facts({ facts }: { facts: Record<string, Json> }) {
  return (
    <dl className="lg-facts nowheel">
      {Object.entries(facts).filter(([, value]) => value !== null && value !== "").map(([name, value]) => (
        <div key={name}>
          <dt>{name.replaceAll("_", " ")}</dt>
          <dd title={said(value)}>{said(value)}</dd>
        </div>
      ))}
    </dl>
  );
}

/** A value as a person reads it: no quotes, few digits, lists with commas. */
export function said(value: Json): string {
  if (value === null) return "–";
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (typeof value === "number") return Number.isInteger(value) ? String(value) : measure(value);
  if (typeof value === "string") return value;
  if (Array.isArray(value)) return value.length ? value.map(said).join(", ") : "none";
  const { title, strength, ...rest } = value;
  // A LoRA among the settings that made a picture: what it is called and how strong it was.
  if (typeof title === "string" && typeof strength === "number") return `${title || "LoRA"} at ${said(strength)}`;
  return Object.entries({ ...(title === undefined ? {} : { title }), ...(strength === undefined ? {} : { strength }), ...rest })
    .map(([name, part]) => `${name}: ${said(part)}`).join("; ");
}

export function Download({ path, label }: { path: string; label: string }) {
  return (
    <a className="lg-button small nodrag nopan" href={fileUrl(path)} download={path.split(/[\\/]/).at(-1)}>
      <Icon name="download" size={14} /> {label}
    </a>
  );
}
