// Numbers, durations and times for people. What is not known is a dash.

const WHOLE = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
const ONE = new Intl.NumberFormat("en-US", { minimumFractionDigits: 1, maximumFractionDigits: 1 });
const NONE = "–";

/** 12,345; from ten million on 12.3 M. */
export function count(value) {
  if (value === null || value === undefined) return NONE;
  if (Math.abs(value) >= 1e10) return `${ONE.format(value / 1e9)} G`;
  return Math.abs(value) >= 1e7 ? `${ONE.format(value / 1e6)} M` : WHOLE.format(value);
}

/** Something per second. */
export function rate(value) {
  if (value === null || value === undefined) return NONE;
  return value > 0 && value < 10 ? ONE.format(value) : count(value);
}

/** Seconds, with the unit that fits. */
export function duration(seconds) {
  if (seconds === null || seconds === undefined) return NONE;
  if (seconds === "inf" || seconds === Infinity) return "∞";
  if (seconds === 0) return "0";
  if (seconds < 0.001) return `${three(seconds * 1e6)} µs`;
  if (seconds < 1) return `${three(seconds * 1e3)} ms`;
  if (seconds < 60) return `${Number.isInteger(seconds) ? seconds : three(seconds)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${Math.floor(seconds % 60)} s`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
  return `${Math.floor(seconds / 86400)} d ${Math.floor((seconds % 86400) / 3600)} h`;
}

function three(value) {
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);
}

/** How long ago a Unix time was. */
export function ago(unix) {
  if (unix === null || unix === undefined) return NONE;
  const seconds = Date.now() / 1000 - unix;
  return seconds < 1.5 ? "now" : `${duration(Math.round(seconds))} ago`;
}

/** A Unix time, or one in ISO 8601, as a time of day here. */
export function clock(time) {
  const date = typeof time === "number" ? new Date(time * 1000) : new Date(time);
  return Number.isNaN(date.getTime()) ? String(time) : date.toLocaleTimeString("en-GB");
}

/** A text, or a dash. */
export function text(value) {
  return value === null || value === undefined || value === "" ? NONE : String(value);
}
