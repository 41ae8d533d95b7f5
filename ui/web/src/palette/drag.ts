/**
 * Dragging a node type out of the palette with pointer events, so that it works by touch as well. A ghost follows the
 * pointer; released over the canvas, it becomes a node there.
 *
 *     <button onPointerDown={(event) => beginDrag(type, event.nativeEvent, event.currentTarget, () => …)} />
 */
import { addNode, overCanvas } from "../canvas/place";

/** How far the pointer moves before a press is a drag, in pixels. */
const THRESHOLD = 5;

/** Follow this press. `dragged` hears when it has become a drag, so that the click after it is not taken for one. */
export function beginDrag(type: string, pressed: PointerEvent, source: HTMLElement, dragged: () => void): void {
  if (pressed.button !== 0) return;
  let ghost: HTMLElement | null = null;

  const move = (event: PointerEvent): void => {
    if (event.pointerId !== pressed.pointerId) return;
    if (!ghost) {
      if (Math.hypot(event.clientX - pressed.clientX, event.clientY - pressed.clientY) < THRESHOLD) return;
      ghost = makeGhost(source, type);
      dragged();
    }
    event.preventDefault();
    ghost.style.transform = `translate(${event.clientX}px, ${event.clientY}px)`;
    ghost.classList.toggle("over", overCanvas([event.clientX, event.clientY]));
  };
  const end = (event: PointerEvent): void => {
    if (event.pointerId !== pressed.pointerId) return;
    // Asked before the ghost goes: with it, what an empty canvas says stands aside (styles/palette.css).
    const dropped = ghost !== null && event.type === "pointerup" && overCanvas([event.clientX, event.clientY]);
    stop();
    if (dropped) addNode(type, [event.clientX, event.clientY]);
  };
  const escape = (event: KeyboardEvent): void => {
    if (event.key !== "Escape") return;
    event.preventDefault();
    stop();
  };
  const stop = (): void => {
    ghost?.remove();
    ghost = null;
    window.removeEventListener("pointermove", move);
    window.removeEventListener("pointerup", end);
    window.removeEventListener("pointercancel", end);
    window.removeEventListener("keydown", escape, true);
  };
  window.addEventListener("pointermove", move);
  window.addEventListener("pointerup", end);
  window.addEventListener("pointercancel", end);
  window.addEventListener("keydown", escape, true);
}

function makeGhost(source: HTMLElement, type: string): HTMLElement {
  const ghost = document.createElement("div");
  ghost.className = "lg-ghost";
  ghost.textContent = type;
  ghost.setAttribute("aria-hidden", "true");
  (source.closest(".lg") ?? document.body).append(ghost);
  return ghost;
}
