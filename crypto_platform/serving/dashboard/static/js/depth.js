// The depth chart: how much waits at or before each price.

import uPlot from "../vendor/uplot.mjs";
import { colour } from "./colours.js";
import { Plot } from "./plot.js";

function cumulate(levels) {
  let sum = 0;
  return levels.map(({ price, quantity }) => [Number(price), (sum += Number(quantity))]);
}

/** uPlot's columns: prices rising, bids, asks; null where a side has nothing. */
function columns(book) {
  const bids = cumulate(book.bids).reverse();
  const asks = cumulate(book.asks);
  return [
    [...bids, ...asks].map(([price]) => price),
    [...bids.map(([, sum]) => sum), ...asks.map(() => null)],
    [...bids.map(() => null), ...asks.map(([, sum]) => sum)],
  ];
}

export class DepthChart extends Plot {
  show(book) {
    this.data = columns(book);
    if (this.plot) this.plot.setData(this.data);
    else this.draw();
  }

  options(axis) {
    const side = (label, name, align) => ({
      label, stroke: colour(`--${name}`), fill: colour(`--${name}-soft`), width: 2, paths: uPlot.paths.stepped({ align }), points: { show: false },
    });
    return {
      scales: { x: { time: false }, y: { range: (_, low, high) => [0, high * 1.05] } },
      axes: [{ ...axis, space: 70 }, { ...axis, size: 56, side: 1 }],
      series: [{ label: "Price" }, side("Bids", "up", -1), side("Asks", "down", 1)],
    };
  }
}
