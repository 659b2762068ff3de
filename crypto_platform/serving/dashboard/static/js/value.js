// The value of a portfolio over time.

import uPlot from "../vendor/uplot.mjs";
import { colour, scheme } from "./colours.js";

export class ValueChart {
  constructor(element) {
    this.element = element;
    new ResizeObserver(() => this.plot?.setSize(this.size())).observe(element);
    scheme.addEventListener("change", () => this.draw());
  }

  size() {
    return { width: this.element.clientWidth, height: this.element.clientHeight };
  }

  /** Points of the API: [iso time, value as text or null], the oldest first. */
  show(points) {
    this.data = [points.map(([iso]) => Date.parse(iso) / 1000), points.map(([, value]) => (value === null ? null : Number(value)))];
    this.draw();
  }

  draw() {
    if (!this.data) return;
    this.plot?.destroy();
    const axis = { stroke: colour("--muted"), grid: { stroke: colour("--line"), width: 1 }, ticks: { stroke: colour("--line"), width: 1 }, font: "12px system-ui" };
    this.plot = new uPlot(
      {
        ...this.size(),
        tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "UTC"),
        cursor: { y: false, drag: { x: false, y: false } },
        legend: { show: false },
        axes: [axis, { ...axis, size: 72, side: 1 }],
        series: [{ label: "Day" }, { label: "Value", stroke: colour("--chart-1"), width: 2 }],
      },
      this.data,
      this.element,
    );
  }
}
