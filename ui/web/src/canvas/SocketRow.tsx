/** One socket: the mark on the node's edge, which takes and gives wires, and its name. */
import { Handle, Position } from "@xyflow/react";
import { memo } from "react";
import type { Catalog } from "../types";
import { type InSocket, type OutSocket, ROW } from "./geometry";
import { Mark } from "./shapes";

interface SocketProps { node: string; socket: InSocket | OutSocket; side: "in" | "out"; values: Catalog["values"]; collapsed: boolean; lacking?: boolean }

export const SocketRow = memo(function SocketRow({ node, socket, side, values, collapsed, lacking = false }: SocketProps) {
  const kind = values[socket.type];
  const isIn = side === "in";
  const many = "many" in socket && socket.many;
  const optional = "required" in socket && !socket.required;
  const said = socket.gone
    ? `No such ${isIn ? "input" : "output"} any more: connect the wire elsewhere, or delete it`
    : `${socket.name}: ${socket.type || "unknown type"}${many ? ", takes several wires" : ""}${optional ? ", may stay empty" : ""}${lacking ? " (needs a wire)" : ""}`;
  return (
    <div className={`lg-socket ${side} ${socket.gone ? "gone" : ""} ${lacking ? "lacking" : ""}`} data-side={side} data-type={socket.type} style={{ top: socket.y - ROW / 2 }} title={said}>
      <Handle
        type={isIn ? "target" : "source"} position={isIn ? Position.Left : Position.Right} id={socket.name} isConnectable={!socket.gone}
        data-socket={`${node}.${socket.name}`} data-side={side} data-type={socket.type}
      >
        {socket.gone ? <Mark shape="cross" colour="var(--bad)" /> : <Mark shape={kind?.shape ?? "circle"} colour={kind?.colour ?? "var(--line-strong)"} hollow={optional} many={many} />}
      </Handle>
      {!collapsed && <span className="lg-socket-name">{socket.name.replaceAll("_", " ")}</span>}
    </div>
  );
});
