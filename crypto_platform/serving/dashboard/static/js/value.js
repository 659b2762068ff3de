// The value of a portfolio over time.

import uPlot from "../vendor/uplot.mjs";
import { colour } from "./colours.js";
import { Plot } from "./plot.js";

const DAY_S = 86_400;
const DAYS_APART = [1, 2, 5, 10, 30, 60, 120, 365];

function nameDay(seconds) {
  return new Date(seconds * 1000).toISOString().slice(0, 10);
}

export class ValueChart extends Plot {
  /** Days of the API, each with its `day` and `value`. */
  show(days) {
    const points = days.map(({ day, value }) => [Date.parse(day) / 1000, Number(value)]).sort(([one], [other]) => one - other);
    this.data = [points.map(([at]) => at), points.map(([, value]) => value)];
    this.draw();
  }

  options(axis) {
    return {
      padding: [16, null, null, 32],
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "UTC"),
      // of a single day uPlot would show years
      scales: { x: { range: (plot, first, last) => (plot.data[0].length === 1 ? [first - DAY_S, first + DAY_S] : [first, last]) } },
      axes: [{ ...axis, space: 90, incrs: DAYS_APART.map((days) => days * DAY_S), values: (_, at) => at.map(nameDay) }, { ...axis, size: 72, side: 1 }],
      series: [{ label: "Day" }, { label: "Value", stroke: colour("--chart-1"), width: 2 }],
    };
  }
}
