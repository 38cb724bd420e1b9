#include "report_page.h"

#include <string_view>

namespace sluice::bench {
namespace {

constexpr std::string_view kBefore = R"html(<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>sluice-bench</title>
<style>
:root{color-scheme:light dark;--bg:#fff;--fg:#1b1f24;--soft:#59636e;--line:#d1d9e0;--card:#f6f8fa;
--c0:#0969da;--c1:#bc4c00;--c2:#1a7f37;--c3:#8250df;--c4:#6e7781;--c5:#bf3989;--bad:#cf222e}
@media(prefers-color-scheme:dark){:root{--bg:#0d1117;--fg:#e6edf3;--soft:#9198a1;--line:#3d444d;
--card:#151b23;--c0:#4493f8;--c1:#f0883e;--c2:#3fb950;--c3:#ab7df8;--c4:#9198a1;--c5:#db61a2;
--bad:#f85149}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:70rem;padding:1rem;background:var(--bg);color:var(--fg);
font:16px/1.5 system-ui,sans-serif}
h1{font-size:1.5rem;margin:.5rem 0}h2{font-size:1.15rem;margin:1.8rem 0 .4rem}
p{margin:.3rem 0;color:var(--soft)}
.verdict{font-weight:600}.good{color:var(--c2)}.bad{color:var(--bad)}
.grid{display:grid;gap:1rem;grid-template-columns:repeat(auto-fit,minmax(min(100%,21rem),1fr))}
figure{margin:0;padding:.7rem;background:var(--card);border:1px solid var(--line);
border-radius:.5rem;min-width:0}
figcaption{font-weight:600;font-size:.95rem}
svg{display:block;width:100%;height:auto;overflow:visible}
svg text{fill:var(--soft);font-size:11px}
.axis{stroke:var(--line)}
.scroll{overflow-x:auto;margin:.8rem 0}
table{border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:.9rem;white-space:nowrap}
th,td{padding:.25rem .7rem .25rem 0;border-bottom:1px solid var(--line);text-align:right}
th:first-child,td:first-child{text-align:left}
.key{display:flex;flex-wrap:wrap;gap:.2rem 1rem;font-size:.85rem;margin:.3rem 0}
.key i{display:inline-block;width:.8em;height:.8em;border-radius:2px;margin-right:.35em}
.bar{display:grid;grid-template-columns:8.5rem 1fr;align-items:center;gap:.1rem .5rem;font-size:.85rem}
.bar div{height:1.1rem;border-radius:3px;min-width:2px}
.bar span{font-variant-numeric:tabular-nums;color:var(--soft)}
</style>
<main id="page"></main>
<script type="application/json" id="result">)html";

constexpr std::string_view kAfter = R"html(</script>
<script>
'use strict';
const result = JSON.parse(document.getElementById('result').textContent);
const page = document.getElementById('page');
const color = i => `var(--c${i % 6})`;
const short = n => n === 0 ? '0' : n >= 1e6 ? (n / 1e6).toFixed(2) + ' M' : n >= 1e4 ? (n / 1e3).toFixed(0) + ' k'
  : n >= 100 ? n.toFixed(0) : n >= 1 ? n.toFixed(1) : n.toFixed(3);
function add(parent, tag, text, attributes) {
  const made = parent.appendChild(document.createElement(tag));
  if (text !== undefined && text !== null) made.textContent = text;
  for (const name in attributes) made.setAttribute(name, attributes[name]);
  return made;
}
function svgPart(parent, tag, attributes, text) {
  const made = document.createElementNS('http://www.w3.org/2000/svg', tag);
  for (const name in attributes) made.setAttribute(name, attributes[name]);
  if (text !== undefined) made.textContent = text;
  return parent.appendChild(made);
}
// Lines over two axes. `ticks` are [position 0..1, label]; points are already within 0..1.
function chart(parent, title, lines, xTicks, yTicks) {
  const figure = add(parent, 'figure');
  add(figure, 'figcaption', title);
  const w = 420, h = 230, left = 52, bottom = 24, right = 12, top = 10;
  const x = v => left + v * (w - left - right), y = v => h - bottom - v * (h - bottom - top);
  const svg = svgPart(figure, 'svg', {viewBox: `0 0 ${w} ${h}`, role: 'img'});
  svgPart(svg, 'title', {}, title);
  for (const [at, label] of yTicks) {
    svgPart(svg, 'line', {x1: left, x2: w - right, y1: y(at), y2: y(at), class: 'axis'});
    svgPart(svg, 'text', {x: left - 6, y: y(at) + 4, 'text-anchor': 'end'}, label);
  }
  for (const [at, label] of xTicks) {
    svgPart(svg, 'text', {x: x(at), y: h - 6, 'text-anchor': 'middle'}, label);
  }
  for (const line of lines) {
    svgPart(svg, 'polyline', {fill: 'none', stroke: line.color, 'stroke-width': 2,
      points: line.points.map(([a, b]) => `${x(a).toFixed(1)},${y(b).toFixed(1)}`).join(' ')});
  }
  if (lines.length > 1) key(figure, lines);
}
function key(parent, lines) {
  const list = add(parent, 'div', null, {class: 'key'});
  for (const line of lines) {
    const one = add(list, 'span');
    add(one, 'i', null, {style: `background:${line.color}`});
    one.append(line.name);
  }
}
function logTicks(low, high) {
  const ticks = [];
  for (let e = Math.floor(low); e <= Math.ceil(high); ++e) {
    const value = 10 ** e;
    ticks.push([(e - low) / (high - low),
      value >= 1000 ? value / 1000 + ' s' : value >= 1 ? value + ' ms' : value * 1000 + ' us']);
  }
  return ticks.filter(([at]) => at >= -0.001 && at <= 1.001);
}
function latency(parent, title, runs, field) {
  const curves = runs.map((run, i) => ({name: run.name, color: color(i), curve: run.result[field].curve}))
    .filter(run => run.curve.length > 1);
  if (curves.length === 0) return;
  const all = curves.flatMap(run => run.curve.map(point => Math.max(point[1], 0.001)));
  const low = Math.floor(Math.log10(Math.min(...all))), high = Math.max(low + 1, Math.ceil(Math.log10(Math.max(...all))));
  const nines = p => Math.min(6, -Math.log10(Math.max(1e-6, 1 - p / 100)));
  const most = Math.max(1, ...curves.flatMap(run => run.curve.map(point => nines(point[0]))));
  const lines = curves.map(run => ({name: run.name, color: run.color, points: run.curve.map(
    ([p, ms]) => [nines(p) / most, (Math.log10(Math.max(ms, 0.001)) - low) / (high - low)])}));
  const percentiles = [[0, '0'], [1, '90'], [2, '99'], [3, '99.9'], [4, '99.99'], [5, '99.999']]
    .filter(([at]) => at <= most).map(([at, label]) => [at / most, label + ' %']);
  chart(parent, title, lines, percentiles, logTicks(low, high));
}
function timeline(parent, title, runs, field, scale) {
  const lines = [];
  let most = 0, end = 0;
  runs.forEach((run, i) => {
    const points = run.result.timeline.map(point => [point.at_s, point[field] * scale]);
    for (const [at, value] of points) { most = Math.max(most, value); end = Math.max(end, at); }
    lines.push({name: run.name, color: color(i), points});
  });
  if (most === 0 || end === 0) return;
  for (const line of lines) line.points = line.points.map(([at, value]) => [at / end, value / most]);
  chart(parent, title, lines, [0, .5, 1].map(at => [at, (at * end).toFixed(1) + ' s']),
    [0, .5, 1].map(at => [at, short(at * most)]));
}
function charts(runs) {
  const grid = add(page, 'div', null, {class: 'grid'});
  latency(grid, 'Latency by percentile, due to received', runs, 'latency');
  latency(grid, 'Time to the last subscriber, by percentile of events', runs, 'last_subscriber');
  timeline(grid, 'Deliveries a second over time', runs, 'deliveries_a_second', 1);
  timeline(grid, "Server's CPU over time, % of a core", runs, 'cpu_share', 100);
  timeline(grid, "Server's resident memory over time, MiB", runs, 'resident_bytes', 1 / 1048576);
}
function table(head, rows) {
  const made = add(add(page, 'div', null, {class: 'scroll'}), 'table');
  if (head) { const row = add(made, 'tr'); for (const cell of head) add(row, 'th', cell); }
  for (const cells of rows) { const row = add(made, 'tr'); for (const cell of cells) add(row, 'td', cell); }
}
function environment() {
  add(page, 'h2', 'Where this was measured');
  table(null, Object.entries(result.environment));
}
function showFanout(r) {
  add(page, 'h1', `${r.asked.subscribers.toLocaleString('en')} subscribers, ` +
    (r.asked.rate > 0 ? `${r.asked.rate} events a second` : 'full speed'));
  add(page, 'p', r.passed ? 'PASS: every event reached every subscriber once, whole and in order'
    : 'FAIL: ' + (r.problems.join('; ') || 'see the faults'), {class: 'verdict ' + (r.passed ? 'good' : 'bad')});
  if (r.meter_was_bottleneck) add(page, 'p', "The meter was the bottleneck: these figures are its own.", {class: 'bad'});
  const ms = h => [h.p50_ms, h.p99_ms, h.p99_9_ms, h.max_ms].map(v => v.toFixed(3)).join(' / ');
  const rows = [['deliveries a second', short(r.deliveries_a_second)], ['publishes a second', short(r.publishes_a_second)],
    ['latency p50 / p99 / p99.9 / max, ms', ms(r.latency)], ['last subscriber p50 / p99 / p99.9 / max, ms', ms(r.last_subscriber)]];
  if (r.server) rows.push(['server CPU, % of a core', (100 * r.server.cpu_share).toFixed(1)],
    ['server CPU a delivery, us', r.server.cpu_us_a_delivery.toFixed(3)]);
  rows.push(["meter's CPU, % of its cores", (100 * r.meter_cpu_share).toFixed(1)],
    ['lost / repeated / reordered / corrupted', ['lost', 'repeated', 'reordered', 'corrupted'].map(f => r.faults[f]).join(' / ')]);
  table(null, rows);
  charts([{name: 'run', result: r}]);
}
function bars(parent, cells, title, value, label) {
  const figure = add(parent, 'figure');
  add(figure, 'figcaption', title);
  const most = Math.max(...cells.map(value));
  cells.forEach((cell, i) => {
    const bar = add(figure, 'div', null, {class: 'bar'});
    add(bar, 'span', cell.target);
    add(bar, 'div', null, {style: `width:${Math.max(0.5, 100 * value(cell) / most)}%;background:${color(i)}`});
    add(bar, 'span');
    add(bar, 'span', label(cell));
  });
}
function showCompare() {
  add(page, 'h1', 'Servers of event streams, compared');
  add(page, 'p', `Medians of ${result.runs} interleaved runs; ratios are to ${result.base}.`);
  const groups = new Map();
  for (const cell of result.cells) {
    const name = `${cell.subscribers.toLocaleString('en')} subscribers, ` +
      (cell.rate > 0 ? `${cell.rate} events a second` : 'full speed');
    if (!groups.has(name)) groups.set(name, []);
    groups.get(name).push(cell);
  }
  for (const [name, cells] of groups) {
    add(page, 'h2', name);
    const done = cells.filter(cell => cell.results.length > 0);
    const base = done.find(cell => cell.target === result.base);
    for (const cell of cells) for (const problem of cell.problems) add(page, 'p', `${cell.target}: ${problem}`, {class: 'bad'});
    if (done.length === 0) continue;
    const over = (a, b) => base && Number.isFinite(a / b) ? `, ${(a / b).toFixed(1)} x` : '';
    const grid = add(page, 'div', null, {class: 'grid'});
    if (cells[0].rate > 0) bars(grid, done, 'CPU a delivery, us (less is better)', c => c.cpu_us_a_delivery,
      c => c.cpu_us_a_delivery.toFixed(2) + over(c.cpu_us_a_delivery, base && base.cpu_us_a_delivery));
    else bars(grid, done, 'Deliveries a second', c => c.deliveries_a_second,
      c => short(c.deliveries_a_second) + over(c.deliveries_a_second, base && base.deliveries_a_second));
    bars(grid, done, 'p99 latency, ms (less is better)', c => c.p99_ms, c => c.p99_ms.toFixed(2));
    table(['server', 'deliveries/s', '±', 'p50 ms', 'p99 ms', 'last ms', 'us CPU a delivery', 'server CPU', 'resident MiB', 'meter CPU', 'faults'],
      done.map(c => [c.target, Math.round(c.deliveries_a_second).toLocaleString('en'), (100 * c.spread).toFixed(0) + ' %',
        c.p50_ms.toFixed(2), c.p99_ms.toFixed(2), c.last_p50_ms.toFixed(2), c.cpu_us_a_delivery.toFixed(3),
        c.server_cpu.toFixed(0) + ' %', c.resident_mib.toFixed(1), c.meter_cpu.toFixed(0) + ' %', c.faults]));
    charts(done.map(c => ({name: c.target, result: c.results[0]})));
  }
}
if (result.command === 'compare') showCompare(); else showFanout(result);
environment();
</script>
</html>
)html";

}  // namespace

std::string ReportPage(const std::string& json) {
  std::string page(kBefore);
  // Within a script element only `</script` and `<!--` could end or disturb it: no `<` stays as it
  // is.
  for (const char c : json) {
    if (c == '<') {
      page += "\\u003c";
    } else {
      page += c;
    }
  }
  page += kAfter;
  return page;
}

}  // namespace sluice::bench
