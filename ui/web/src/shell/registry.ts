/**
 * Which component shows the dialog of a name. `openDialog("templates", …)` shows what was registered as "templates"; the
 * component gets what the dialog was opened with as `data`. Only one dialog is open at a time. A dialog's code is loaded
 * when it is first opened.
 *
 *     registerDialog("templates", () => import("../files/TemplatesDialog"));
 */
import type { ComponentType } from "react";

// Each dialog knows the shape of its own data.
export type DialogComponent = ComponentType<{ data: never }>;
type Load = () => Promise<{ default: DialogComponent }>;

const dialogs = new Map<string, Load>();

export function registerDialog(name: string, load: Load): void {
  dialogs.set(name, load);
}

export function dialogOf(name: string): Load | undefined {
  return dialogs.get(name);
}
