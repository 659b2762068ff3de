// The price chart: candles, their volume below, lines of indicators, and the candle that is open.

import { CandlestickSeries, ColorType, CrosshairMode, HistogramSeries, LineSeries, createChart } from "../vendor/lightweight-charts.mjs";
import { colour, scheme } from "./colours.js";

function seconds(iso) {
  return Math.floor(Date.parse(iso) / 1000);
}

function digits(candles) {
  return Math.max(2, ...candles.map((candle) => (candle.close.split(".")[1] ?? "").length));
}

export class PriceChart {
  constructor(element, onPoint) {
    this.element = element;
    this.candles = [];
    this.lines = [];
    this.chart = createChart(element, {
      autoSize: true,
      layout: { attributionLogo: false, panes: { enableResize: false } },
      crosshair: { mode: CrosshairMode.Normal },
      timeScale: { timeVisible: true, rightOffset: 4, minBarSpacing: 2 },
      rightPriceScale: { scaleMargins: { top: 0.08, bottom: 0.24 }, entireTextOnly: true },
      localization: { locale: "en-GB" },
    });
    this.prices = this.chart.addSeries(CandlestickSeries, {});
    this.volumes = this.chart.addSeries(HistogramSeries, {
      priceFormat: { type: "volume" }, priceScaleId: "volume", lastValueVisible: false, priceLineVisible: false,
    });
    this.volumes.priceScale().applyOptions({ scaleMargins: { top: 0.8, bottom: 0 } });
    this.paint();
    scheme.addEventListener("change", () => this.paint());
    this.chart.subscribeCrosshairMove(({ time }) => onPoint(this.candles.find((each) => each.time === time) ?? this.candles.at(-1)));
  }

  paint() {
    this.chart.applyOptions({
      layout: { background: { type: ColorType.Solid, color: "transparent" }, textColor: colour("--muted"), fontFamily: getComputedStyle(document.body).fontFamily },
      grid: { vertLines: { color: colour("--line") }, horzLines: { color: colour("--line") } },
      timeScale: { borderColor: colour("--line") },
      rightPriceScale: { borderColor: colour("--line") },
    });
    const [up, down] = [colour("--up"), colour("--down")];
    this.prices.applyOptions({ upColor: up, borderUpColor: up, wickUpColor: up, downColor: down, borderDownColor: down, wickDownColor: down });
    this.draw();
  }

  /** Candles of the API, in any order. */
  show(candles, lengthS) {
    this.lengthS = lengthS;
    this.candles = candles
      .map((candle) => ({
        time: seconds(candle.ts_event),
        open: Number(candle.open),
        high: Number(candle.high),
        low: Number(candle.low),
        close: Number(candle.close),
        volume: Number(candle.base_volume),
        isOpen: candle.is_closed === false,
        tradesSince: candle.trades_since ?? null,
      }))
      .sort((one, other) => one.time - other.time);
    const precision = digits(candles);
    this.prices.applyOptions({ priceFormat: { type: "price", precision, minMove: 10 ** -precision } });
    this.draw();
    // as many as a narrow screen can show
    const last = this.candles.length;
    const shown = Math.min(last, Math.max(40, Math.floor(this.element.clientWidth / 9)));
    this.chart.timeScale().setVisibleLogicalRange({ from: last - shown, to: last + 3 });
  }

  draw() {
    this.prices.setData(this.candles);
    this.volumes.setData(this.candles.map((candle) => this.bar(candle)));
  }

  bar(candle) {
    return { time: candle.time, value: candle.volume, color: colour(candle.close < candle.open ? "--down-soft" : "--up-soft") };
  }

  /** A trade that is newer than the closed candles: it belongs to the one that is open. */
  take(trade) {
    const last = this.candles.at(-1);
    if (!last) return;
    const at = seconds(trade.ts_event);
    const time = at - (at % this.lengthS);
    if (time < last.time || (time === last.time && !last.isOpen)) return;
    const [price, quantity] = [Number(trade.price), Number(trade.quantity)];
    let candle = last;
    if (time === last.time) {
      last.high = Math.max(last.high, price);
      last.low = Math.min(last.low, price);
      last.close = price;
      last.volume += quantity;
    } else {
      candle = { time, open: price, high: price, low: price, close: price, volume: quantity, isOpen: true };
      this.candles.push(candle);
    }
    this.prices.update(candle);
    this.volumes.update(this.bar(candle));
  }

  /** Lines over the prices, or in a pane of their own: [{pane, number, points: [[iso, text]]}], `number` being that of its colour. */
  showLines(lines) {
    this.lines.forEach((line) => this.chart.removeSeries(line));
    this.lines = lines.map(({ pane, number, points }) => {
      const line = this.chart.addSeries(
        LineSeries,
        { color: colour(`--chart-${number}`), lineWidth: 2, lastValueVisible: false, priceLineVisible: false, crosshairMarkerVisible: false },
        pane,
      );
      this.chart.panes()[0].setStretchFactor(3);
      line.setData(points.map(([iso, text]) => (text === null ? { time: seconds(iso) } : { time: seconds(iso), value: Number(text) })));
      return line;
    });
  }
}
