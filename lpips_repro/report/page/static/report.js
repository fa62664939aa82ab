// What all parts of the page share: data that scripts hand over, views by the address, downloads and copies.
// Opened from a folder, a page may load classic scripts and images, but no modules and no data by fetch.
"use strict";

const lpipsReport = (() => {
  const folder = document.documentElement.dataset.assets;
  const received = new Map();
  const loading = new Map();
  const views = new Map(); // what shows a view, by its name
  const VIEWS = [...document.querySelectorAll("[data-view]")].map((section) => section.dataset.view);

  /** Called by scripts with data. */
  function receive(name, content) {
    received.set(name, content);
  }

  /** What a script hands over; it is loaded if it was not yet. */
  function load(name) {
    if (received.has(name)) return Promise.resolve(received.get(name));
    if (!loading.has(name)) {
      loading.set(name, new Promise((resolve, reject) => {
        const script = document.createElement("script");
        script.src = `${folder}/${name}.js`;
        script.onload = () => resolve(received.get(name));
        script.onerror = () => {
          loading.delete(name);
          reject(new Error(`${script.src} cannot be loaded. If the report was made again, reload this page.`));
        };
        document.head.append(script);
      }));
    }
    return loading.get(name);
  }

  /** The address in parts: #VIEW?KEY=VALUE or #SPLIT/INDEX?KEY=VALUE. */
  function parse() {
    const [path, query] = split(window.location.hash.slice(1), "?");
    const params = new URLSearchParams(query);
    const example = /^(.+)\/(\d+)$/.exec(path);
    if (example) return { view: "examples", split: decoded(example[1]), index: Number(example[2]), params };
    return { view: VIEWS.includes(path) ? path : VIEWS[0], split: null, index: null, params };
  }

  function split(text, at) {
    const place = text.indexOf(at);
    return place < 0 ? [text, ""] : [text.slice(0, place), text.slice(place + 1)];
  }

  function decoded(text) {
    try {
      return decodeURIComponent(text);
    } catch {
      return text; // typed by hand, with a % in it
    }
  }

  /** Have the address say what is shown, without a new entry in the history; keys that are not set are left out. */
  function remember(path, params) {
    const set = Object.entries(params).filter(([, value]) => value !== "" && value !== null && value !== undefined);
    const query = new URLSearchParams(set).toString();
    const hash = `#${path}${query ? `?${query}` : ""}`;
    window.history.replaceState(null, "", hash);
    const link = document.querySelector(`nav a[data-to="${parse().view}"]`);
    if (link) link.setAttribute("href", hash);
  }

  function route() {
    const state = parse();
    for (const section of document.querySelectorAll("[data-view]")) {
      section.hidden = section.dataset.view !== state.view;
    }
    for (const link of document.querySelectorAll("nav a")) {
      if (link.dataset.to === state.view) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
    views.get(state.view)?.(state);
  }

  /** Offer text as a file. */
  function download(name, type, text) {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type }));
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  }

  /** Put text on the clipboard; says so, or that it did not work, in an element. */
  async function copy(text, status) {
    let done = true;
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      done = copyBySelection(text);
    }
    status.textContent = done ? "Copied." : "The browser does not allow it.";
    setTimeout(() => { status.textContent = ""; }, 3000);
  }

  function copyBySelection(text) {
    const area = document.createElement("textarea");
    area.value = text;
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }

  /** Show the view of the address, now and whenever it changes; called when all scripts are there. */
  function start() {
    document.documentElement.classList.add("started");
    window.addEventListener("hashchange", route);
    route();
  }

  return { folder, receive, load, received: (name) => received.get(name), views, remember, parse, download, copy, start };
})();
