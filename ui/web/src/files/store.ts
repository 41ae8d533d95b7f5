/**
 * The drafts of this browser, in IndexedDB: one record per tab, under the tab's key.
 *
 * Every function rejects where the browser keeps nothing (private windows of some, a full disk); callers say so.
 */

/** A graph as it was being edited. `time` in milliseconds since 1970; `home` is the page's address, without its query. */
export interface Draft {
  tab: string;
  home: string;
  text: string;
  unsaved: boolean;
  title: string;
  name: string;
  path: string | null;
  revision: string | null;
  time: number;
}

const STORE = "drafts";
let opened: Promise<IDBDatabase> | null = null;

export async function readDraft(tab: string): Promise<Draft | undefined> {
  return await asked("readonly", (store) => store.get(tab) as IDBRequest<Draft | undefined>);
}

export async function readDrafts(): Promise<Draft[]> {
  return await asked("readonly", (store) => store.getAll() as IDBRequest<Draft[]>);
}

export async function writeDraft(draft: Draft): Promise<void> {
  await asked("readwrite", (store) => store.put(draft));
}

export async function deleteDraft(tab: string): Promise<void> {
  await asked("readwrite", (store) => store.delete(tab));
}

async function asked<T>(mode: IDBTransactionMode, request: (store: IDBObjectStore) => IDBRequest<T>): Promise<T> {
  const database = await open();
  return await new Promise((done, failed) => {
    const transaction = database.transaction(STORE, mode);
    const made = request(transaction.objectStore(STORE));
    transaction.addEventListener("complete", () => done(made.result));
    transaction.addEventListener("abort", () => failed(transaction.error ?? new Error("the browser gave up writing")));
  });
}

function open(): Promise<IDBDatabase> {
  opened ??= new Promise<IDBDatabase>((done, failed) => {
    const request = indexedDB.open("loragraph", 1);
    request.addEventListener("upgradeneeded", () => request.result.createObjectStore(STORE, { keyPath: "tab" }));
    request.addEventListener("success", () => done(request.result));
    request.addEventListener("error", () => failed(request.error ?? new Error("the browser keeps nothing")));
    request.addEventListener("blocked", () => failed(new Error("another tab holds the drafts")));
  }).catch((error: unknown) => {
    opened = null;
    throw error;
  });
  return opened;
}
