import { describe, expect, it } from "vitest";
import {
  type Layer, addLayer, addShape, boundsOf, boxBetween, duplicateLayer, fitShape, hit, movePoint, moveShape, readLayers, removeShape, reorder, writeLayers,
} from "./layers";

const fox: Layer = { prompt: "a fox", strength: 1, colour: "#112233", hidden: false, shapes: [{ box: [0.1, 0.2, 0.5, 0.6] }] };
const owl: Layer = { ...fox, prompt: "an owl", shapes: [{ polygon: [[0.4, 0.4], [0.9, 0.4], [0.9, 0.9]] }] };
const line: Layer = { ...fox, prompt: "a line", shapes: [{ stroke: [[0.1, 0.1], [0.9, 0.1]], size: 0.1 }] };

describe("the setting's value", () => {
  it("comes back as it was written", () => {
    const layers = [fox, { ...owl, hidden: true, strength: 0.5 }, { ...line, shapes: [...line.shapes, { stroke: [[0.5, 0.1]] as [number, number][], size: 0.2, erase: true }] }];
    expect(readLayers(writeLayers(layers))).toEqual(layers);
  });
  it("is rounded, and has no more than is needed", () => {
    expect(writeLayers([{ ...fox, shapes: [{ box: [1 / 3, 0, 2 / 3, 1] }] }])).toEqual([
      { prompt: "a fox", strength: 1, colour: "#112233", shapes: [{ box: [0.3333, 0, 0.6667, 1] }] },
    ]);
  });
  it("may be anything: what is no layer is left out", () => {
    expect(readLayers("x")).toEqual([]);
    expect(readLayers([1, null, { shapes: [{ box: [1] }, { polygon: [[0, 0]] }, 3] }])).toMatchObject([{ prompt: "", strength: 1, shapes: [] }]);
  });
});

describe("layers", () => {
  it("get colours that differ", () => {
    let layers: Layer[] = [];
    for (let count = 0; count < 10; count += 1) layers = addLayer(layers);
    expect(new Set(layers.map((layer) => layer.colour)).size).toBe(10);
  });
  it("are put in another order", () => {
    expect(reorder([fox, owl, line], 0, 2)).toEqual([owl, line, fox]);
    expect(reorder([fox, owl], 0, 2)).toEqual([fox, owl]);
  });
  it("are duplicated beside themselves, in another colour", () => {
    const [first, copy] = duplicateLayer([fox], 0);
    expect(first).toEqual(fox);
    expect(copy).toMatchObject({ prompt: "a fox", shapes: [{ box: [0.13, 0.23, 0.53, 0.63] }] });
    expect(copy!.colour).not.toBe(fox.colour);
  });
});

describe("shapes", () => {
  it("are drawn from any corner to any other", () => {
    expect(boxBetween([0.5, 0.6], [0.1, 0.2])).toEqual({ box: [0.1, 0.2, 0.5, 0.6] });
    expect(boxBetween([0.5, 0.5], [0.5, 0.9])).toBeNull();
    expect(boxBetween([-1, 0.5], [2, 0.9])).toEqual({ box: [0, 0.5, 1, 0.9] });
  });
  it("stay whole and within the picture when they are moved", () => {
    const moved = moveShape(fox.shapes[0]!, [0.9, -0.9]);
    expect(boundsOf([moved])!.map((part) => Math.round(part * 1000) / 1000)).toEqual([0.6, 0, 1, 0.4]);
  });
  it("are stretched with their rectangle, also beyond its other side", () => {
    expect(fitShape({ box: [0.2, 0.2, 0.4, 0.4] }, [0.2, 0.2, 0.4, 0.4], [0.2, 0.2, 0.8, 0.4])).toEqual({ box: [0.2, 0.2, 0.8, 0.4] });
    const turned = fitShape({ box: [0.2, 0.2, 0.4, 0.4] }, [0.2, 0.2, 0.4, 0.4], [0.2, 0.2, 0.1, 0.4]);
    expect(turned).toEqual({ box: [0.1, 0.2, 0.2, 0.4] });
  });
  it("of several corners are bent at one", () => {
    expect(movePoint(owl.shapes[0]!, 1, [2, 0.1])).toEqual({ polygon: [[0.4, 0.4], [1, 0.1], [0.9, 0.9]] });
  });
  it("take their erasing with them when the last goes", () => {
    const erased = addShape([fox], 0, { stroke: [[0.2, 0.3]], size: 0.1, erase: true });
    expect(removeShape(erased, 0, 0)[0]!.shapes).toEqual([]);
    expect(removeShape(erased, 0, 1)).toEqual([fox]);
  });
});

describe("what is under the pointer", () => {
  it("is the topmost", () => {
    expect(hit([fox, owl], [0.45, 0.42], 1, 0)).toEqual({ layer: 1, shape: 0 });
    expect(hit([fox, { ...owl, hidden: true }], [0.45, 0.42], 1, 0)).toEqual({ layer: 0, shape: 0 });
    expect(hit([fox, owl], [0.5, 0.8], 1, 0)).toBeNull();
  });
  it("of a stroke is as thick as it is drawn, also in a tall picture", () => {
    expect(hit([line], [0.5, 0.14], 1, 0)).not.toBeNull();
    expect(hit([line], [0.5, 0.14], 2, 0)).toBeNull();
    expect(hit([line], [0.5, 0.14], 2, 0.04)).not.toBeNull();
  });
  it("is not what has been erased", () => {
    const erased = addShape([fox], 0, { stroke: [[0.2, 0.3]], size: 0.1, erase: true });
    expect(hit(erased, [0.2, 0.3], 1, 0)).toBeNull();
    expect(hit(erased, [0.4, 0.5], 1, 0)).toEqual({ layer: 0, shape: 0 });
  });
});
