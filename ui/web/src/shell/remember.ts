/** Small choices kept in this browser (theme, open panels). Where storage is forbidden, they last as long as the page. */

export function remembered<T>(name: string, otherwise: T): T {
  try {
    const text = localStorage.getItem(`loragraph.${name}`);
    return text === null ? otherwise : (JSON.parse(text) as T);
  } catch {
    return otherwise;
  }
}

export function remember(name: string, value: unknown): void {
  try {
    localStorage.setItem(`loragraph.${name}`, JSON.stringify(value));
  } catch {
    // Forbidden or full: the choice lasts as long as the page.
  }
}
