// What the dashboard does. Whatever the API says is only ever set as text, so that markup in a name stays text.
"use strict";
const api = "/api/v1/load_balancer";
const windowLength = 60;     // snapshots, one a second: share, errors and the sparkline are of the last minute
const silence = 5000;        // ms without a snapshot, five of which should have come: the connection is lost
const pause = 2000;          // ms until the next try
const states = {             // words that an operator reads, and the colour beside them
  healthy: ["healthy", "good"], half_open: ["on trial", "warn"], resting: ["resting", "warn"],
  unhealthy: ["unhealthy", "bad"], draining: ["draining", "warn"], disabled: ["disabled", ""]
};
const byId = (id) => document.getElementById(id);
const rows = new Map();      // backend's name to its row
let totals = [];             // the history of all requests: [ms, completed]
let choosing = false;        // a strategy is chosen but not set yet: the figures leave it alone
let attempt = 0;             // which connection is the present one; older ones do nothing any more

// --- the operator's language: Chinese where the browser, or ?lang=zh, asks for it

const chinese = {
  "connecting": "连接中", "not connected": "未连接", "live": "实时", "connection lost, trying again": "连接已断开，正在重试",
  "Forget key": "清除密钥", "Admin key": "管理密钥", "Open": "打开", "The key is forgotten.": "密钥已清除。",
  "Refused: ": "被拒绝：", "This gateway asks for its admin key.": "此网关需要管理密钥。",
  "a key holds no control characters.": "密钥不能包含控制字符。",
  "Requests/s": "每秒请求", "Requests": "请求数", "Success": "成功率", "Mean response": "平均响应", "In service": "可用后端",
  "Strategy": "策略", "Another strategy": "选择策略", "Set the strategy": "设置策略", "Set": "设置",
  "Backend": "后端", "State": "状态", "Share": "占比", "In flight": "进行中", "Latency": "延迟", "Errors": "错误",
  "Weight": "权重", "Actions": "操作", "Enable": "启用", "Disable": "禁用", "Drain": "排空",
  "healthy": "健康", "on trial": "试用中", "resting": "休息中", "unhealthy": "不健康", "draining": "排空中",
  "disabled": "已禁用", "of ": "共 ", " of ": " / ", " in all": " 次累计", " tokens": " 个 token", "Engine: ": "引擎：", " running": " 运行",
  " waiting": " 等待", " tokens waiting": " 个 token 等待", "cache ": "缓存 ", " ago": "前", "Weight of ": "权重：",
  "Set the weight of ": "设置权重：", "Latency of the last minute, now ": "最近一分钟的延迟，当前 ", "done": "完成",
  "The gateway does not answer; nothing is known of the change.": "网关没有应答；修改是否生效未知。"
};
const wanted = new URLSearchParams(location.search).get("lang") || navigator.language || "en";
const words = wanted.toLowerCase().startsWith("zh") ? chinese : {};
const say = (text) => words[text] || text;

// What stands in the page already.
if (words === chinese) {
  document.documentElement.lang = "zh";
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const text = texts.currentNode;
    if (words[text.data.trim()]) text.data = words[text.data.trim()];
  }
  for (const element of document.querySelectorAll("[aria-label]")) {
    element.setAttribute("aria-label", say(element.getAttribute("aria-label")));
  }
}

// --- the key, for as long as the tab lives

const keyName = "fairlead-admin-key";
const storedKey = () => sessionStorage.getItem(keyName) || "";

function withKey(headers) {
  const key = storedKey();
  // A header holds bytes: the key's UTF-8, one a character.
  if (key) headers["X-API-Key"] = String.fromCharCode(...new TextEncoder().encode(key));
  return headers;
}

function askForKey(why, isRefusal = false) {
  attempt += 1;
  sessionStorage.removeItem(keyName);
  byId("board").hidden = byId("forget").hidden = byId("mode").hidden = true;
  byId("why").textContent = why;
  byId("why").className = isRefusal ? "alert" : "";
  byId("ask").hidden = false;
  byId("key").value = "";
  byId("key").focus();
  showLink(say("not connected"), "");
}

byId("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem(keyName, byId("key").value);
  byId("ask").hidden = true;
  connect();
});
byId("forget").addEventListener("click", () => askForKey(say("The key is forgotten.")));

// --- the stream of snapshots. EventSource cannot send the key; fetch can.

function showLink(text, kind) {
  const link = byId("link");
  if (link.textContent !== text) link.textContent = text;
  link.className = "badge link " + kind;
  document.body.classList.toggle("lost", kind === "bad");
}

async function connect() {
  const mine = ++attempt;
  const abort = new AbortController();
  let watch = setTimeout(() => abort.abort(), silence);
  try {
    const answer = await fetch(api + "/events", { headers: withKey({}), signal: abort.signal, cache: "no-store" });
    if (mine !== attempt) { abort.abort(); return; }
    if (answer.status === 401 || answer.status === 403) {
      const detail = await detailOf(answer);
      if (mine !== attempt) return;
      if (answer.status !== 401) showLink(detail, "bad");
      else if (storedKey()) askForKey(say("Refused: ") + detail, true);
      else askForKey(say("This gateway asks for its admin key."));
      return;
    }
    if (!answer.ok) throw new Error(await detailOf(answer));
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (mine !== attempt) { abort.abort(); return; }
      if (done) break;
      text += value;
      const events = text.split("\n\n");
      text = events.pop();
      for (const event of events) {
        if (event.startsWith("data: ")) show(JSON.parse(event.slice(6)));
        clearTimeout(watch);
        watch = setTimeout(() => abort.abort(), silence);
      }
    }
  } catch (error) {
    if (error instanceof TypeError && mine === attempt && /header|ByteString/i.test(error.message)) {
      askForKey(say("Refused: ") + say("a key holds no control characters."), true);
      return;
    }
    // Whatever else it was, the next try will tell.
  } finally {
    clearTimeout(watch);
  }
  if (mine !== attempt) return;
  showLink(say("connection lost, trying again"), "bad");
  setTimeout(() => { if (mine === attempt) connect(); }, pause);
}

async function detailOf(answer) {
  try { return (await answer.json()).detail || "status " + answer.status; }
  catch { return "status " + answer.status; }
}

// --- figures

const percent = (part, whole) => whole > 0 ? (100 * part / whole).toFixed(1) + " %" : "–";
const count = (value) => value.toLocaleString("en");
function seconds(value) {
  if (!(value > 0)) return "–";
  return value < 1 ? (value * 1000).toFixed(value < 0.01 ? 1 : 0) + " ms" : value.toFixed(2) + " s";
}
function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function show(snapshot) {
  const status = snapshot.status.data, strategy = snapshot.strategy.data, overall = status.overall_statistics;
  showLink(say("live"), "good");
  byId("board").hidden = false;
  byId("forget").hidden = !storedKey();
  byId("mode").hidden = false;
  setText(byId("mode"), status.mode);

  // A gateway that was started anew counts from nothing.
  if (totals.length && totals[totals.length - 1][1] > overall.total_requests) totals = [];
  totals.push([performance.now(), overall.total_requests]);
  const recent = totals.slice(-6);   // five seconds: a figure that is calm, and still follows
  if (totals.length > windowLength) totals.shift();
  const elapsed = (recent[recent.length - 1][0] - recent[0][0]) / 1000;
  setText(byId("rate"), elapsed > 0 ? ((recent[recent.length - 1][1] - recent[0][1]) / elapsed).toFixed(1) : "–");
  setText(byId("requests"), count(overall.total_requests));
  setText(byId("success"), overall.total_requests ? percent(overall.success_rate, 1) : "–");
  setText(byId("mean"), seconds(overall.average_response_time));
  setText(byId("healthy"), status.healthy_backends + say(" of ") + status.total_backends);
  showStrategies(strategy);

  const backends = Object.entries(snapshot.backends.data.backends);
  const names = new Set(backends.map(([name]) => name));
  for (const [name, row] of rows) {
    if (!names.has(name)) { row.element.remove(); rows.delete(name); }
  }
  let all = 0;
  for (const [name, backend] of backends) {
    if (!rows.has(name)) rows.set(name, makeRow(name));
    const row = rows.get(name);
    row.remember(backend.metrics);
    all += row.recent().requests;
  }
  backends.forEach(([name, backend], index) => {
    const row = rows.get(name), at = byId("backends").children[index];
    if (at !== row.element) byId("backends").insertBefore(row.element, at || null);
    row.show(backend, all);
  });
}

function showStrategies(strategy) {
  const select = byId("strategy"), known = strategy.available_strategies;
  if ([...select.options].map((option) => option.value).join() !== known.join()) {
    select.replaceChildren(...known.map((name) => new Option(name, name)));
  }
  setText(byId("current"), strategy.strategy);
  if (!choosing) select.value = strategy.strategy;
}

// --- one backend

function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) element[name] = value;
  element.append(...children);
  return element;
}
function makeCell(label, className, ...children) {
  const cell = make("td", { className }, ...children);
  cell.dataset.label = say(label);
  return cell;
}
function makeSvg(tag, attributes) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

// What the engine tells of its load, and how old the oldest of it is; empty where it tells nothing.
function engineLoad(told) {
  const parts = [], ages = [];
  for (const [name, text] of [["running", (v) => count(v) + say(" running")], ["waiting", (v) => count(v) + say(" waiting")],
                              ["waiting_tokens", (v) => count(v) + say(" tokens waiting")],
                              ["cache_use", (v) => say("cache ") + percent(v, 1)]]) {
    if (!told[name]) continue;
    parts.push(text(told[name].value));
    ages.push(told[name].age);
  }
  return parts.length ? say("Engine: ") + parts.join(" · ") + " · " + Math.max(...ages).toFixed(1) + " s" + say(" ago") : "";
}

function makeRow(name) {
  const path = "/backends/" + encodeURIComponent(name);
  const url = make("small"), model = make("small"), state = make("span", { className: "badge" });
  const error = make("small");
  const share = make("span"), fill = make("div");
  const inFlight = make("span"), limit = make("small"), tokens = make("small"), engine = make("small", { className: "engine" });
  const line = makeSvg("polyline", { points: "" });
  const spark = makeSvg("svg", { viewBox: "0 0 96 24", preserveAspectRatio: "none", role: "img" });
  spark.append(line);
  const latency = make("span");
  const errors = make("span"), failed = make("small"), requests = make("span");
  const weight = make("input", { type: "number", min: 1, max: 65535, required: true });
  weight.setAttribute("aria-label", say("Weight of ") + name);
  const set = make("button", { type: "submit", textContent: say("Set") });
  set.setAttribute("aria-label", say("Set the weight of ") + name);
  const form = make("form", { className: "weight" }, weight, set);
  const buttons = {};
  for (const action of ["enable", "disable", "drain"]) {
    const button = make("button", { type: "button", textContent: say(action[0].toUpperCase() + action.slice(1)) });
    button.dataset.action = action;
    button.setAttribute("aria-label", button.textContent + " " + name);
    button.addEventListener("click", () => {
      if (button.getAttribute("aria-disabled") !== "true") call("POST", path + "/" + action);
    });
    buttons[action] = button;
  }
  let edited = false;
  weight.addEventListener("input", () => { edited = true; });
  weight.addEventListener("blur", (event) => { if (event.relatedTarget !== set) edited = false; });
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    await call("PUT", path, { weight: Number(weight.value) });
    edited = false;
  });
  const heading = make("th", { scope: "row" }, make("span", { textContent: name, className: "name" }), url, model);
  const element = make("tr", {}, heading,
    makeCell("State", "state", state, error),
    makeCell("Share", "number share", share, make("div", { className: "bar" }, fill)),
    makeCell("In flight", "number in-flight", inFlight, limit, tokens, engine),
    makeCell("Latency", "number latency", latency, spark),
    makeCell("Errors", "number errors", errors, failed),
    makeCell("Requests", "number requests", requests),
    makeCell("Weight", "weight-cell", form),
    makeCell("Actions", "actions", make("div", {}, buttons.enable, buttons.disable, buttons.drain)));
  element.dataset.name = name;

  let history = [];   // of what was counted, a snapshot each
  const remember = (metrics) => {
    const now = { requests: metrics.total_requests, failed: metrics.failed_requests,
                  time: metrics.total_requests * metrics.average_response_time };
    if (history.length && history[history.length - 1].requests > now.requests) history = [];
    history.push(now);
    if (history.length > windowLength + 1) history.shift();
  };
  const recent = () => {
    const first = history[0], last = history[history.length - 1];
    return { requests: last.requests - first.requests, failed: last.failed - first.failed };
  };
  // The mean of what ended between two snapshots; where nothing did, the line goes on as it was.
  const latencies = () => {
    const means = [];
    for (let i = 1; i < history.length; ++i) {
      const ended = history[i].requests - history[i - 1].requests;
      const mean = ended > 0 ? (history[i].time - history[i - 1].time) / ended : 0;
      if (mean >= 5e-5) means.push(mean);   // less is a connection refused, and would be shown as 0.0 ms
      else if (means.length) means.push(means[means.length - 1]);
    }
    return means;
  };
  const showLatency = () => {
    const means = latencies(), top = Math.max(...means, 1e-6);
    line.setAttribute("points", means.map((mean, i) =>
      (96 - (means.length - 1 - i) * 96 / (windowLength - 1)).toFixed(1) + "," + (22 - 20 * mean / top).toFixed(1)).join(" "));
    const text = means.length ? seconds(means[means.length - 1]) : "–";
    setText(latency, text);
    spark.setAttribute("aria-label", say("Latency of the last minute, now ") + text);
  };
  const show = ({ config, metrics }, all) => {
    const [word, kind] = states[metrics.state] || [metrics.state, ""];
    setText(url, config.url);
    setText(model, config.model_name);
    setText(state, say(word));
    state.className = "badge " + kind;
    element.dataset.state = metrics.state;
    setText(error, metrics.consecutive_failures > 0 || kind === "bad" ? metrics.last_error || "" : "");
    const { requests: ended, failed: bad } = recent();
    setText(share, percent(ended, all));
    fill.style.width = (all > 0 ? 100 * ended / all : 0) + "%";
    setText(inFlight, count(metrics.active_connections));
    setText(limit, say("of ") + count(config.max_connections));
    setText(tokens, metrics.tokens_in_flight ? count(metrics.tokens_in_flight) + say(" tokens") : "");
    setText(engine, engineLoad(metrics.engine || {}));
    showLatency();
    setText(errors, percent(bad, ended));
    setText(failed, count(metrics.failed_requests) + say(" in all"));
    setText(requests, count(metrics.total_requests));
    if (!edited) weight.value = config.weight;
    const off = metrics.state === "disabled", draining = metrics.state === "draining";
    buttons.enable.setAttribute("aria-disabled", String(!off && !draining));
    buttons.disable.setAttribute("aria-disabled", String(off));
    buttons.drain.setAttribute("aria-disabled", String(off || draining));
  };
  return { element, remember, recent, show };
}

// --- changes

async function call(method, path, body) {
  const notice = byId("notice");
  try {
    const headers = withKey(body ? { "Content-Type": "application/json" } : {});
    const answer = await fetch(api + path, { method, headers, body: body ? JSON.stringify(body) : undefined });
    if (answer.status === 401) return askForKey(say("Refused: ") + await detailOf(answer), true);
    notice.className = answer.ok ? "" : "alert";
    notice.textContent = answer.ok ? (await answer.json()).message || say("done") : await detailOf(answer);
  } catch {
    notice.className = "alert";
    notice.textContent = say("The gateway does not answer; nothing is known of the change.");
  }
}

byId("strategy").addEventListener("change", () => { choosing = true; });
byId("choose").addEventListener("submit", async (event) => {
  event.preventDefault();
  await call("PUT", "/strategy", { strategy: byId("strategy").value });
  choosing = false;
});

connect();
