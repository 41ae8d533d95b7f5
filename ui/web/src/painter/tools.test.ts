import { expect, it } from "vitest";
import { type Layer, addLayer, boundsOf } from "./layers";
import { dragHandle, dragShape, drawable, extend, handlesOf, resizeBrush } from "./tools";

const layer: Layer = { ...addLayer([])[0]!, shapes: [{ box: [0.2, 0.2, 0.6, 0.6] }, { polygon: [[0, 0], [0.5, 0], [0.5, 0.5]] }, { stroke: [[0.1, 0.1]], size: 0.1 }] };

it("drawing needs a layer that can be seen", () => {
  expect(drawable([], -1)).toMatchObject({ layer: 0, layers: [{ shapes: [] }] });
  expect(drawable([{ ...layer, hidden: true }], 0)).toEqual({ layer: 0, layers: [layer] });
  expect(drawable([layer], 0).layers[0]).toBe(layer);
});

it("a box has eight handles, a polygon its corners, a dot none", () => {
  expect(layer.shapes.map((shape) => handlesOf(shape).length)).toEqual([8, 3, 0]);
  expect(handlesOf(layer.shapes[0]!)[1]).toEqual({ at: [0.4, 0.2], side: [0, -1] });
});

it("a side's handle moves that side alone, a corner's handle two", () => {
  const [top, corner] = [{ at: [0, 0], side: [0, -1] }, { at: [0, 0], side: [1, 1] }] as const;
  const chosen = { layer: 0, shape: 0 };
  expect(dragHandle([layer], chosen, { at: [0, 0], side: [...top.side] }, [0.9, 0.1])[0]!.shapes[0]).toEqual({ box: [0.2, 0.1, 0.6, 0.6] });
  const [stretched] = dragHandle([layer], chosen, { at: [0, 0], side: [...corner.side] }, [0.9, 0.8]);
  expect(boundsOf(stretched!.shapes.slice(0, 1))!.map((part) => part.toFixed(6))).toEqual(["0.200000", "0.200000", "0.900000", "0.800000"]);
  expect(dragHandle([layer], chosen, { at: [0, 0], side: [1, 0] }, [0.2, 0])[0]!.shapes[0]).toEqual(layer.shapes[0]);
  expect(dragHandle([layer], { layer: 0, shape: 1 }, { at: [0, 0], corner: 2 }, [0.3, 0.9])[0]!.shapes[1]).toEqual({ polygon: [[0, 0], [0.5, 0], [0.3, 0.9]] });
});

it("dragging a shape leaves the others", () => {
  const next = dragShape([layer], { layer: 0, shape: 2 }, [0.2, 0])[0]!;
  expect(next.shapes[0]).toBe(layer.shapes[0]);
  expect(next.shapes[2]).toEqual({ stroke: [[0.30000000000000004, 0.1]], size: 0.1 });
});

it("a line leaves out points that are too near, and stays in the picture", () => {
  expect(extend([[0.5, 0.5]], [0.501, 0.5], 0.01)).toEqual([[0.5, 0.5]]);
  expect(extend([[0.5, 0.5]], [1.4, -1], 0.01)).toEqual([[0.5, 0.5], [1, 0]]);
});

it("a brush has limits", () => {
  expect(resizeBrush(0.5, true)).toBe(0.5);
  expect(resizeBrush(0.005, false)).toBe(0.005);
  expect(resizeBrush(0.1, true)).toBeCloseTo(0.125, 9);
});
