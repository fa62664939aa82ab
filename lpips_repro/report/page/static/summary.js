// The tables of the summary: sorting, search, downloads and copies.
"use strict";

(() => {
  const view = document.querySelector('[data-view="summary"]');
  const tables = new Map(); // by name
  const find = view.querySelector("#find");
  const details = view.querySelector("#details");
  if (!find) return; // no tables

  for (const element of view.querySelectorAll("table.scores")) {
    const [first, second] = element.dataset.bestFirst === "asc" ? ["asc", "desc"] : ["desc", "asc"];
    const table = new DataTable(element, {
      paging: false,
      info: false,
      autoWidth: false,
      order: [],
      layout: { topStart: null, topEnd: null, bottomStart: null, bottomEnd: null },
      columnDefs: [
        { targets: "number", orderSequence: [first, second, ""] },
        { targets: "more", orderable: false, searchable: false },
      ],
      language: { zeroRecords: "No row has this text." },
    });
    tables.set(element.dataset.name, table);
    table.on("order.dt", remember);
  }

  let isFollowing = false; // whether the tables are being set to the state in the address

  function follow({ params }) {
    isFollowing = true;
    find.value = params.get("find") ?? "";
    details.checked = params.get("details") !== "no";
    for (const [name, table] of tables) {
      const [, column, direction] = /^(.*)\.(asc|desc)$/.exec(params.get(name) ?? "") ?? [];
      const place = columns(table).indexOf(column);
      table.order(place < 0 ? [] : [[place, direction]]);
      table.search(find.value).draw();
    }
    view.classList.toggle("brief", !details.checked);
    isFollowing = false;
    remember();
  }

  function columns(table) {
    return [...table.table().header().querySelectorAll("th")].map((cell) => cell.dataset.column);
  }

  function remember() {
    if (isFollowing || lpipsReport.parse().view !== "summary") return;
    const params = { find: find.value, details: details.checked ? "" : "no" };
    for (const [name, table] of tables) {
      const [first] = table.order();
      params[name] = first && first[1] ? `${columns(table)[first[0]]}.${first[1]}` : "";
    }
    lpipsReport.remember("summary", params);
  }

  find.addEventListener("input", () => {
    for (const table of tables.values()) table.search(find.value).draw();
    remember();
  });

  details.addEventListener("change", () => {
    view.classList.toggle("brief", !details.checked);
    remember();
  });

  view.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-do]");
    if (!button) return;
    const name = button.closest("[data-table]").dataset.table;
    const content = lpipsReport.received("page").tables[name];
    if (button.dataset.do === "csv") lpipsReport.download(`${name}.csv`, "text/csv", content.csv);
    if (button.dataset.do === "json") {
      lpipsReport.download(`${name}.json`, "application/json", `${JSON.stringify(content.records, null, 2)}\n`);
    }
    if (button.dataset.do === "copy") {
      lpipsReport.copy(shownRows(name, content.records), button.closest("[data-table]").querySelector("[role=status]"));
    }
  });

  /** The visible rows in their order, with tabs between cells, for spreadsheets. */
  function shownRows(name, records) {
    const table = tables.get(name);
    const byLabel = new Map(records.map((record) => [record.label, record]));
    const labels = table.rows({ order: "applied", search: "applied" }).nodes().toArray().map((row) => row.dataset.label);
    const keys = Object.keys(records[0]).filter((key) => key !== "settings" && key !== "note");
    const lines = labels.map((label) => keys.map((key) => String(byLabel.get(label)[key] ?? "")).map(oneCell).join("\t"));
    return [keys.join("\t"), ...lines].join("\n");
  }

  function oneCell(text) {
    return text.replace(/[\t\r\n]+/g, " ");
  }

  lpipsReport.views.set("summary", follow);
})();
