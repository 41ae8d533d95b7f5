/**
 * Light or dark: what the user chose, else what the page around the canvas shows (Gradio marks its body "dark"), else what
 * the system prefers.
 */
import { useSyncExternalStore } from "react";
import { type Theme, useShell } from "../state/shell";
import { remember, remembered } from "./remember";

const prefersDark = typeof matchMedia === "undefined" ? null : matchMedia("(prefers-color-scheme: dark)");

export function useTheme(): "light" | "dark" {
  const chosen = useShell((state) => state.theme);
  const around = useSyncExternalStore(watchPage, pageIsDark);
  if (chosen !== "system") return chosen;
  return around ? "dark" : "light";
}

export function setTheme(theme: Theme): void {
  useShell.setState({ theme });
  remember("theme", theme);
}

function pageIsDark(): boolean {
  if (document.querySelector("gradio-app, .gradio-container")) return document.body.classList.contains("dark");
  return prefersDark?.matches ?? false;
}

function watchPage(changed: () => void): () => void {
  const observer = new MutationObserver(changed);
  observer.observe(document.body, { attributes: true, attributeFilter: ["class"] });
  prefersDark?.addEventListener("change", changed);
  return () => {
    observer.disconnect();
    prefersDark?.removeEventListener("change", changed);
  };
}

const kept = remembered<Theme>("theme", "system");
if (kept === "light" || kept === "dark") useShell.setState({ theme: kept });
