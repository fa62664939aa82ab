// Functions for all parts of the page: data from scripts, views by the address, downloads and copies.
// A page that is opened from a folder can load classic scripts and images, but not modules or data by fetch.
"use strict";

const lpipsReport = (() => {
  const folder = document.documentElement.dataset.assets;
  const received = new Map();
  const loading = new Map();
  const views = new Map(); // functions that show a view, by name
  const VIEWS = [...document.querySelectorAll("[data-view]")].map((section) => section.dataset.view);

  /** Store the content of a script; called by the script. */
  function receive(name, content) {
    received.set(name, content);
  }

  /** The content of a script, which is loaded if necessary. */
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

  /** Parse the address: #VIEW?KEY=VALUE or #SPLIT/INDEX?KEY=VALUE. */
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
      return text; // typed by hand with a % that is not an escape
    }
  }

  /** Put the state of the page into its address, without a new entry in the history; empty keys are left out. */
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

  /** Copy text to the clipboard, and report success or failure in an element. */
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

  /** Show the view of the address, now and after every change; called when all scripts are loaded. */
  function start() {
    document.documentElement.classList.add("started");
    window.addEventListener("hashchange", route);
    route();
  }

  return { folder, receive, load, received: (name) => received.get(name), views, remember, parse, download, copy, start };
})();
