import { describe, expect, it } from "vitest";
import { matches, shown } from "./commands";

const press = (key: string, ...held: ("ctrlKey" | "shiftKey" | "altKey" | "metaKey")[]): KeyboardEvent =>
  ({ key, ctrlKey: false, shiftKey: false, altKey: false, metaKey: false, ...Object.fromEntries(held.map((name) => [name, true])) }) as unknown as KeyboardEvent;

describe("matches", () => {
  it("wants the very modifiers", () => {
    expect(matches(press("z", "ctrlKey"), "Mod+Z")).toBe(true);
    expect(matches(press("Z", "ctrlKey", "shiftKey"), "Mod+Z")).toBe(false);
    expect(matches(press("Z", "ctrlKey", "shiftKey"), "Mod+Shift+Z")).toBe(true);
    expect(matches(press("z", "ctrlKey", "altKey"), "Mod+Z")).toBe(false);
    expect(matches(press("z", "ctrlKey", "metaKey"), "Mod+Z")).toBe(false);
    expect(matches(press("z"), "Mod+Z")).toBe(false);
  });
  it("takes a symbol with or without Shift, as keyboards differ", () => {
    expect(matches(press("?", "shiftKey"), "?")).toBe(true);
    expect(matches(press("?"), "?")).toBe(true);
    expect(matches(press("+", "shiftKey"), "+")).toBe(true);
    expect(matches(press("+", "ctrlKey"), "Mod++")).toBe(true);
  });
  it("calls the space bar Space", () => expect(matches(press(" "), "Space")).toBe(true));
});

describe("shown", () => {
  it("writes combinations as the platform does", () => {
    expect(shown("Mod+Shift+Z")).toBe("Ctrl+Shift+Z");
    expect(shown("Shift+ArrowLeft")).toBe("Shift+←");
    expect(shown("+")).toBe("+");
    expect(shown("Mod++")).toBe("Ctrl++");
  });
});
