/** What the server has to open: documents and templates, asked for when a list of them is shown. */
import { useEffect, useState } from "react";
import { fileUrl, server } from "../server";
import { messageOf } from "./documents";

/** `modified` in seconds since 1970, `nodes` their number. */
export interface Kept { name: string; path: string; title: string; modified: number; nodes: number }
export interface Template { name: string; title: string; description: string; nodes: number; thumbnail: string | null }

/** Null while the answer is on its way. */
export interface Asked<T> { items: T[] | null; failed: string }

export function useDocuments(): Asked<Kept> {
  return useAsked<Kept>("documents", "documents");
}

export function useTemplates(): Asked<Template> {
  return useAsked<Template>("templates", "templates");
}

function useAsked<T>(method: string, key: string): Asked<T> {
  const [asked, setAsked] = useState<Asked<T>>({ items: null, failed: "" });
  useEffect(() => {
    let wanted = true;
    const done = (next: Asked<T>): void => { if (wanted) setAsked(next); };
    Promise.resolve()
      .then(() => server().call<Record<string, T[]>>(method))
      .then((answer) => done({ items: answer[key] ?? [], failed: "" }), (error: unknown) => done({ items: [], failed: messageOf(error) }));
    return () => { wanted = false; };
  }, [method, key]);
  return asked;
}

export function picture(template: Template): string | null {
  return template.thumbnail && fileUrl(template.thumbnail);
}

/** "5 minutes ago", "yesterday", "12 Mar 2026". `time` in milliseconds since 1970. */
export function ago(time: number, now = Date.now()): string {
  const minutes = Math.round((now - time) / 60_000);
  if (minutes < 1) return "just now";
  if (minutes < 60) return minutes === 1 ? "a minute ago" : `${minutes} minutes ago`;
  if (minutes < 24 * 60) return minutes < 90 ? "an hour ago" : `${Math.round(minutes / 60)} hours ago`;
  if (minutes < 48 * 60) return "yesterday";
  return new Date(time).toLocaleDateString("en-GB", { day: "numeric", month: "short", year: "numeric" });
}
