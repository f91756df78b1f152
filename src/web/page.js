// Shows the stream. Every word from outside becomes text by textContent; the
// content policy lets nothing else happen to it.
"use strict";

const ranks = new Map();
const at = (id) => document.getElementById(id);
let heard = 0;
let open = false;
let drawn = true;

function make(tag, text, kind) {
  const element = document.createElement(tag);
  if (text !== undefined) element.textContent = text;
  if (kind) element.className = kind;
  return element;
}

const known = (value, show) => (value === undefined || value === null ? "–" : show(value));
const whole = (value) => known(value, (v) => Math.round(v).toLocaleString("en"));

function span(ms) {
  if (ms < 1000) return `${ms.toFixed(0)} ms`;
  if (ms < 60e3) return `${(ms / 1000).toFixed(1)} s`;
  if (ms < 3600e3) return `${Math.floor(ms / 60e3)} min`;
  if (ms < 86400e3) return `${Math.floor(ms / 3600e3)} h ${Math.floor((ms % 3600e3) / 60e3)} min`;
  return `${Math.floor(ms / 86400e3)} d ${Math.floor((ms % 86400e3) / 3600e3)} h`;
}

function bytes(value) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  for (; value >= 1024 && unit < units.length - 1; unit++) value /= 1024;
  return `${value.toFixed(value < 10 && unit > 0 ? 1 : 0)} ${units[unit]}`;
}

function meter(share) {
  const cell = make("td");
  if (share === undefined) return make("td", "–");
  const bar = make("span", undefined, "meter");
  const fill = make("i");
  fill.style.width = `${Math.max(0, Math.min(1, share)) * 100}%`;
  bar.append(fill);
  cell.append(bar, `${(share * 100).toFixed(0)} %`);
  return cell;
}

function row(rank, now) {
  const line = make("tr");
  const name = make("td", rank.rank || rank.producers > 1 ? `${rank.engine} #${rank.rank}` : rank.engine);
  name.title = [rank.engine, rank.endpoint, rank.source, rank.pod, rank.container].filter(Boolean).join(" · ");
  if (rank.simulated) name.append(make("span", "SIMULATED", "tag"));
  const model = make("td", rank.model ?? "–");
  model.title = rank.model ?? "";
  const age = rank.age_ms + (now - rank.heard);
  line.append(
    name,
    make("td", `${rank.freshness}, ${rank.activity}`, rank.freshness),
    make("td", whole(rank.running), "n"), make("td", whole(rank.waiting), "n"),
    meter(rank.kv_usage),
    make("td", whole(rank.prefill_tokens_per_second), "n"),
    make("td", whole(rank.decode_tokens_per_second), "n"),
    make("td", span(age), "n"), make("td", whole(rank.lost), "n"),
    model,
  );
  return line;
}

function drawEngines() {
  const now = performance.now();
  const order = [...ranks.values()].sort(
    (a, b) => a.engine.localeCompare(b.engine) || a.rank - b.rank || a.producer - b.producer);
  at("engines").replaceChildren(...order.map((rank) => row(rank, now)));
  at("engines-count").textContent = order.length ? `${order.length}` : "";
  at("no-engines").hidden = order.length > 0 || !open;
}

function take(frame, whole) {
  if (whole) ranks.clear();
  const now = performance.now();
  for (const slot of frame.gone) ranks.delete(slot);
  for (const rank of frame.ranks) ranks.set(rank.slot, { ...rank, heard: now });
  heard = now;
  drawn = false;
}

const rates = new Map();

// Counters become rates of change between two samples.
function reading(device, name, state) {
  if (state.kind !== "counter") return state.value;
  const key = `${device.kind}/${device.name}/${name}`;
  const last = rates.get(key);
  const time = performance.now() - state.age_ms;
  if (!last || time - last.time > 100) rates.set(key, { time, value: state.value, rate: last && (state.value - last.value) / ((time - last.time) / 1000) });
  return rates.get(key).rate;
}

const HOST = [
  ["cpu", "cpu", "CPU busy", "cpu_busy_ratio", (v) => `${(v * 100).toFixed(0)} %`],
  ["node", "", "load, 1 minute", "load_one_minute", (v) => v.toFixed(2)],
  ["node", "", "memory available", "memory_available_bytes", bytes],
  ["node", "", "of memory", "memory_total_bytes", bytes],
  ["node", "", "CPU pressure", "pressure_cpu_some_seconds_total", (v) => `${(v * 100).toFixed(1)} %`],
  ["node", "", "memory pressure", "pressure_memory_some_seconds_total", (v) => `${(v * 100).toFixed(1)} %`],
  ["node", "", "I/O pressure", "pressure_io_some_seconds_total", (v) => `${(v * 100).toFixed(1)} %`],
  ["interface", "", "received", "interface_receive_bytes_total", (v) => `${bytes(v)}/s`],
  ["interface", "", "sent", "interface_transmit_bytes_total", (v) => `${bytes(v)}/s`],
  ["disk", "", "read", "disk_read_bytes_total", (v) => `${bytes(v)}/s`],
  ["disk", "", "written", "disk_write_bytes_total", (v) => `${bytes(v)}/s`],
];

function list(id, pairs) {
  at(id).replaceChildren(...pairs.flatMap(([name, text, kind]) => [make("dt", name), make("dd", text, kind)]));
}

function drawHost(host) {
  const pairs = [];
  for (const [kind, only, label, metric, show] of HOST) {
    for (const device of host.devices) {
      const state = device.kind === kind && (!only || device.name === only) && device.readings[metric];
      if (!state) continue;
      const value = reading(device, metric, state);
      const of = kind === "interface" || kind === "disk" ? `${device.name} ${label}` : label;
      pairs.push([of, known(value, show), state.age_ms > 10000 ? "warn" : ""]);
    }
  }
  list("host", pairs.length ? pairs : [["", "no readings yet"]]);
}

const SAMPLER = { ready: "good", not_here: "quiet", off: "quiet", stalled: "bad", failed: "bad" };

function drawStatus(status) {
  at("node").textContent = `${status.node} · ${status.version}`;
  at("nats").textContent = status.nats ? `NATS ${status.nats.state}` : "no NATS";
  at("nats").className = status.nats && status.nats.state !== "connected" ? "bad" : "";
  at("nats").title = status.nats ? `${status.nats.url} ${status.nats.sentence}` : "not configured";
  at("up").textContent = span(status.up_ms);
  at("simulated").hidden = !status.simulated;
  at("ready").hidden = status.ready;
  at("ready").textContent = `Not ready: ${status.why_not}`;
  list("samplers", status.samplers.map((sampler) => [
    sampler.name,
    [sampler.state.replace("_", " "), sampler.sentence].filter(Boolean).join(": "),
    SAMPLER[sampler.state],
  ]));
  list("losses", status.losses.map((loss) => [`lost at ${loss.place}`, `${whole(loss.count)} (${loss.reason})`, "warn"]));
}

const SEVERITY = { info: "", warning: "warn", error: "bad", critical: "bad" };

function drawEvents({ events }) {
  const lines = events.slice(-100).reverse().map((event) => {
    const line = make("li");
    line.append(make("span", event.time.slice(11, 19), "quiet"), make("span", event.text, SEVERITY[event.severity]));
    return line;
  });
  at("events").replaceChildren(...(lines.length ? lines : [make("li", "none yet", "quiet")]));
}

async function ask(path, show) {
  try {
    const answer = await fetch(path);
    if (answer.ok) show(await answer.json());
  } catch { /* The stream's state says that the agent is away. */ }
}

function poll() {
  ask("/v1/status", drawStatus);
  ask("/v1/events", drawEvents);
}

const stream = new EventSource("/v1/routing/stream?hz=4&host=true");
stream.addEventListener("state", (event) => { open = true; take(JSON.parse(event.data), true); draw(); poll(); });
stream.addEventListener("change", (event) => take(JSON.parse(event.data), false));
stream.addEventListener("host", (event) => { heard = performance.now(); drawHost(JSON.parse(event.data)); });
stream.onerror = () => { open = false; };

function draw() {
  const away = performance.now() - heard;
  const live = open && away < 7000;
  at("link").textContent = live ? "live" : heard ? `no connection; what is shown is ${span(away)} old` : "no connection yet";
  at("link").className = live ? "good" : "bad";
  if (!drawn || !live || ranks.size) drawEngines();
  drawn = true;
}

setInterval(draw, 500);
setInterval(poll, 5000);
