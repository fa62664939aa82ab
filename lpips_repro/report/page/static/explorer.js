// The explorer: shows the examples that match a filter, one at a time, with the votes and the verdicts of all methods.
"use strict";

(() => {
  const view = document.querySelector('[data-view="examples"]');
  const form = view.querySelector("form");
  if (!form) return; // no examples
  const SHOWN = 10; // lines of the list of matches
  const FIELDS = ["split", "a", "b", "show", "order"];
  const CHECKS = ["unanimous", "pictured"];
  const part = (name) => view.querySelector(`[data-part="${name}"]`);

  let settings; // of the page's data
  let data; // votes, splits, and which examples have images
  let matches = new Uint32Array(0);
  let current = 0; // index of the example shown, among all examples
  let request = 0; // number of the newest request; results of older ones are not shown
  const methods = new Map(); // by index

  async function method(place) {
    if (!methods.has(place)) {
      const { d0, d1 } = await lpipsReport.load(`method-${place}`);
      const found = { d0: lpipsFilter.numbers(d0), d1: lpipsFilter.numbers(d1), decisions: null };
      methods.set(place, found);
    }
    return methods.get(place);
  }

  async function decided(place) {
    const found = await method(place);
    found.decisions ??= lpipsFilter.decisions(found, settings.splits);
    return found;
  }

  async function prepare() {
    if (data) return;
    settings = lpipsReport.received("page").explorer;
    const votes = lpipsFilter.numbers((await lpipsReport.load("votes")).judge);
    data = { votes, splits: settings.splits, hasImage: new Uint8Array(votes.length) };
    for (const split of settings.splits) {
      for (const sheet of [split.images, split.maps]) {
        if (sheet?.ids) sheet.places = new Map([...lpipsFilter.numbers(sheet.ids, Int32Array)].map((id, k) => [id, k]));
      }
      if (split.images && !split.images.ids) data.hasImage.fill(1, split.start, split.start + split.count);
      for (const id of split.images?.places?.keys() ?? []) data.hasImage[split.start + id] = 1;
    }
  }

  // From the address of the page to its state, and back.

  async function follow({ split, index, params }) {
    const own = (request += 1);
    try {
      await prepare();
      read(params);
      await find(own);
      if (own !== request) return;
      const place = settings.splits.findIndex((one) => one.name === split);
      const isThere = place >= 0 && index < settings.splits[place].count;
      say(split !== null && !isThere ? `There is no example ${split}/${index}.` : "");
      await show(isThere ? settings.splits[place].start + index : matches[0] ?? 0, own);
    } catch (error) {
      say(error.message);
    }
  }

  function read(params) {
    for (const name of FIELDS) {
      const box = form.elements[name];
      const wanted = params.get(name);
      const option = [...box.options].find((one) => one.dataset.key === wanted) ?? box.options[Number(box.dataset.first)];
      option.selected = true;
    }
    for (const name of CHECKS) {
      const box = form.elements[name];
      box.checked = params.has(name) ? params.get(name) === "yes" : box.defaultChecked;
    }
  }

  function remember() {
    const params = {};
    for (const name of CHECKS) {
      const { checked, defaultChecked } = form.elements[name];
      params[name] = checked === defaultChecked ? "" : checked ? "yes" : "no";
    }
    for (const name of FIELDS) {
      const box = form.elements[name];
      const isFirst = box.selectedIndex === Number(box.dataset.first);
      params[name] = isFirst ? "" : box.selectedOptions[0].dataset.key;
    }
    const { split, index } = whereIs(current);
    lpipsReport.remember(`${encodeURIComponent(split.name)}/${index}`, params);
  }

  function whereIs(example) {
    const split = settings.splits.findLast((one) => one.start <= example && one.count > 0);
    return { split, index: example - split.start };
  }

  // Matches.

  async function find(own) {
    const [a, b] = await Promise.all(["a", "b"].map((name) => decided(Number(form.elements[name].value))));
    if (own !== request) return;
    const split = form.elements.split.value === "" ? null : Number(form.elements.split.value);
    matches = lpipsFilter.search(data, a, b, {
      show: form.elements.show.value,
      split,
      unanimous: form.elements.unanimous.checked,
      pictured: form.elements.pictured.checked,
      order: form.elements.order.value,
    });
    view.dataset.matches = matches.length;
  }

  async function change() {
    const own = (request += 1);
    try {
      await find(own);
      if (own !== request) return;
      say("");
      await show(matches.includes(current) && form.elements.order.value === "index" ? current : matches[0] ?? current, own);
    } catch (error) {
      say(error.message);
    }
  }

  function step(by) {
    if (matches.length === 0) return;
    const place = matches.indexOf(current);
    const next = place < 0 ? 0 : Math.min(matches.length - 1, Math.max(0, place + by));
    show(matches[next], (request += 1)).catch((error) => say(error.message));
  }

  // One example.

  async function show(example, own) {
    current = example;
    remember();
    const { split, index } = whereIs(example);
    const place = matches.indexOf(example);
    part("name").textContent = `${split.name}/${index}`;
    part("file").textContent = split.paths ? file(split, "ref", index).replace("/ref/", "/*/") : "";
    part("position").textContent = place < 0
      ? `not among the ${matches.length.toLocaleString("en")} matches`
      : `${(place + 1).toLocaleString("en")} of ${matches.length.toLocaleString("en")}`;
    showVotes(data.votes[example]);
    showList(place);
    showTable(example);
    await Promise.all([showImages(split, index, own), showMaps(split, index, own)]);
    if (own === request) view.dataset.shown = `${split.name}/${index}`;
    const all = await Promise.all(settings.methods.map((_, k) => method(k)));
    if (own === request && all) showTable(example);
  }

  function showVotes(judge) {
    const share = Math.round(100 * judge);
    part("votes").textContent = `Judges: ${100 - share} % chose p0, ${share} % chose p1`;
    part("bar").style.setProperty("--share", `${100 - share}%`);
  }

  function showTable(example) {
    const chosen = [form.elements.a.value, form.elements.b.value].map(Number);
    const rows = settings.methods.map((about, place) => {
      const found = methods.get(place);
      const row = document.createElement("tr");
      row.classList.toggle("chosen", chosen.includes(place));
      if (!found) return cells(row, about.shown, "…", "…", "", "");
      const verdict = lpipsFilter.verdict(found, example);
      const credit = lpipsFilter.credit(found, data.votes, example);
      const agree = verdict === "tie" ? "tie: counts ½" : `${Math.round(100 * credit)} %`;
      row.dataset.against = credit < 0.5;
      return cells(row, about.shown, number(found.d0[example]), number(found.d1[example]), verdict, agree);
    });
    part("methods").replaceChildren(...rows);
  }

  function cells(row, ...texts) {
    texts.forEach((text, k) => {
      const cell = document.createElement(k ? "td" : "th");
      if (k === 0) cell.scope = "row";
      cell.textContent = text;
      row.append(cell);
    });
    return row;
  }

  function number(value) {
    return Number.isFinite(value) ? value.toPrecision(4) : String(value).replace("Infinity", "∞");
  }

  function showList(place) {
    const first = Math.max(0, Math.min(place - SHOWN / 2, matches.length - SHOWN));
    const [a, b] = [form.elements.a.value, form.elements.b.value].map((k) => methods.get(Number(k)));
    const rows = [...matches.subarray(first, first + SHOWN)].map((example, k) => {
      const { split, index } = whereIs(example);
      const row = document.createElement("tr");
      const link = document.createElement("a");
      link.href = `#${encodeURIComponent(split.name)}/${index}`;
      link.textContent = `${split.name}/${index}`;
      link.dataset.example = example;
      cells(row, "", `${Math.round(100 * data.votes[example])} %`, lpipsFilter.verdict(a, example), lpipsFilter.verdict(b, example));
      row.firstChild.append(link);
      if (first + k === place) row.setAttribute("aria-current", "true");
      return row;
    });
    part("list").replaceChildren(...rows);
  }

  // Images and maps.

  /** The image file that has the cell of an example, and the position of the cell in it; null if there is none. */
  async function cellOf(sheet, index, [width, height]) {
    if (!sheet) return null;
    const place = sheet.ids ? sheet.places.get(index) : index;
    if (place === undefined) return null;
    const image = await picture(`${settings.folder}/${sheet.files[Math.floor(place / sheet.each)]}.webp`);
    const inside = place % sheet.each;
    return { image, left: (inside % sheet.across) * width, top: Math.floor(inside / sheet.across) * height };
  }

  const pictures = new Map();

  function picture(address) {
    if (!pictures.has(address)) {
      if (pictures.size > 8) pictures.delete(pictures.keys().next().value); // each takes megabytes
      pictures.set(address, new Promise((resolve, reject) => {
        const image = new Image();
        image.onload = () => resolve(image);
        image.onerror = () => {
          pictures.delete(address);
          reject(new Error(`${address} cannot be loaded. If the report was made again, reload this page.`));
        };
        image.src = address;
      }));
    }
    return pictures.get(address);
  }

  async function showImages(split, index, own) {
    const cell = await cellOf(split.images, index, [3 * split.width, split.height]);
    if (own !== request) return;
    part("images").hidden = !cell;
    part("no-images").hidden = Boolean(cell);
    part("images-command").textContent = reportCommand(split, index);
    draw(cell, split, ["ref", "p0", "p1"], index);
  }

  function draw(cell, split, names, index) {
    names.forEach((name, k) => {
      const canvas = view.querySelector(`canvas[data-image="${name}"]`);
      [canvas.width, canvas.height] = [split.width, split.height];
      canvas.style.setProperty("--ratio", split.width / split.height);
      if (!cell) return;
      canvas.getContext("2d").drawImage(
        cell.image, cell.left + k * split.width, cell.top, split.width, split.height, 0, 0, split.width, split.height,
      );
      canvas.setAttribute("aria-label", `${canvas.dataset.what} of ${split.name}/${index}`);
    });
  }

  async function showMaps(split, index, own) {
    const cell = await cellOf(split.maps, index, [2 * split.width, split.height]);
    if (own !== request) return;
    part("maps").hidden = !cell;
    part("no-maps").hidden = Boolean(cell);
    if (cell) {
      const place = split.maps.ids ? split.maps.places.get(index) : index;
      part("largest").textContent = number(split.maps.largest[place]);
      part("maps-of").textContent = settings.mapsShown;
      draw(cell, split, ["map0", "map1"], index);
    } else {
      part("maps-command").textContent = mapsCommand(split, index);
    }
  }

  /** The command that makes the report again with images and maps of one more example. */
  function reportCommand(split, index) {
    const examples = [...settings.named, `${split.name}/${index}`].map(inList).join(",");
    const setting = `report.examples=[${examples}]`;
    const own = /^[\w/.,=[\]-]+$/.test(setting) ? setting : quoted(setting); // a shell also parses ARGS
    const args = [view.dataset.args, own].filter(Boolean).join(" ");
    return `${view.dataset.command} ARGS=${/["$`\\!']/.test(args) ? quoted(args) : `"${args}"`}`;
  }

  function mapsCommand(split, index) {
    if (!split.root) return reportCommand(split, index);
    const [ref, ...others] = ["ref", "p0", "p1"].map((name) => quoted(`${split.root}/${file(split, name, index)}`));
    return others.map((other, k) => `lpips-repro map ${ref} ${other} -o map-p${k}.png ${settings.mapsArguments}`).join("\n");
  }

  function file(split, name, index) {
    const names = split.paths[name];
    return typeof names === "string" ? names.replace("*", String(index).padStart(6, "0")) : names[index];
  }

  /** An example as an element of a list in Hydra's syntax; plain names need no quotes. */
  function inList(name) {
    return /^[\w/.-]+$/.test(name) ? name : `'${name.replaceAll("'", "\\'")}'`;
  }

  function quoted(path) {
    return /^[\w@%+=:,./-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\"'\"'")}'`;
  }

  function say(text) {
    part("message").textContent = text;
  }

  // Events.

  form.addEventListener("change", change);
  form.addEventListener("submit", (event) => event.preventDefault());
  view.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-example]");
    const button = event.target.closest("button");
    if (link) {
      event.preventDefault();
      show(Number(link.dataset.example), (request += 1)).catch((error) => say(error.message));
    }
    if (button?.dataset.step) step(Number(button.dataset.step));
    if (button?.dataset.copy) lpipsReport.copy(part(button.dataset.copy).textContent, part("copied"));
    if (button?.dataset.link !== undefined) lpipsReport.copy(window.location.href, part("copied"));
  });
  document.addEventListener("keydown", (event) => {
    const isTyping = event.target.closest?.("input, select, textarea, [contenteditable]");
    if (view.hidden || isTyping || event.ctrlKey || event.metaKey || event.altKey) return;
    const by = { ArrowRight: 1, ArrowLeft: -1, PageDown: SHOWN, PageUp: -SHOWN, Home: -Infinity, End: Infinity }[event.key];
    if (by === undefined) return;
    event.preventDefault();
    step(by);
  });

  lpipsReport.views.set("examples", follow);
})();
