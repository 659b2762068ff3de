// What the small charts share: they fill their element, follow its size, and take the scheme's colours.

import uPlot from "../vendor/uplot.mjs";
import { colour, scheme } from "./colours.js";

/** A chart of `this.data` (uPlot's columns); its own `options(axis)` say what is drawn. */
export class Plot {
  constructor(element) {
    this.element = element;
    new ResizeObserver(() => this.plot?.setSize(this.size())).observe(element);
    scheme.addEventListener("change", () => this.draw());
  }

  size() {
    return { width: this.element.clientWidth, height: this.element.clientHeight };
  }

  draw() {
    if (!this.data) return;
    this.plot?.destroy();
    const line = { stroke: colour("--line"), width: 1 };
    const axis = { stroke: colour("--muted"), grid: line, ticks: line, font: "12px system-ui" };
    const shared = {
      ...this.size(),
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false } },
    };
    this.plot = new uPlot({ ...shared, ...this.options(axis) }, this.data, this.element);
  }
}
