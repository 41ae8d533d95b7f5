/** Put text on the clipboard; false where the browser forbids it (a page that is not secure, or not focused). */
export async function copyText(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}
