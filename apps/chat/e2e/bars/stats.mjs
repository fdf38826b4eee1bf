//! Numbers of many numbers.

/** The value that `share` of the values do not exceed. */
export function quantile(values, share) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? Number.NaN;
}

/** `p50 1.2 p95 3.4 ms`, with further quantiles if they are asked for. */
export function spread(values, shares = [50, 95]) {
  return `${shares.map(share => `p${share} ${quantile(values, share / 100).toFixed(1)}`).join(' ')} ms`;
}

/** How much a line through the points `[x, y]` rises over their width, as a share of their mean. */
export function rise(points) {
  const mean = at => points.reduce((sum, point) => sum + point[at], 0) / points.length;
  const [x, y] = [mean(0), mean(1)];
  const over = points.reduce((sum, point) => sum + (point[0] - x) * (point[1] - y), 0);
  const under = points.reduce((sum, point) => sum + (point[0] - x) ** 2, 0);
  const width = Math.max(...points.map(point => point[0])) - Math.min(...points.map(point => point[0]));
  return ((over / under) * width) / y;
}
