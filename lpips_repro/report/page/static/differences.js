// The differences: shows one column of a table at a time, and fills the matrix of its pairs when it is opened.
"use strict";

(() => {
  const view = document.querySelector('[data-view="differences"]');
  const choice = view.querySelector("#column");
  if (!choice) return; // no differences

  function follow({ params }) {
    const wanted = params.get("column");
    const option = [...choice.options].find((one) => one.value === wanted) ?? choice.querySelector("[data-first]");
    option.selected = true;
    show();
  }

  function show() {
    for (const article of view.querySelectorAll("article")) article.hidden = article.dataset.key !== choice.value;
    for (const link of view.querySelectorAll(".overview a")) {
      if (link.dataset.column === choice.value) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    }
    const isFirst = "first" in choice.selectedOptions[0].dataset;
    lpipsReport.remember("differences", { column: isFirst ? "" : choice.value });
  }

  async function fill(details) {
    const table = details.querySelector("table");
    if (table.rows.length) return;
    try {
      const { columns } = await lpipsReport.load("pairs");
      if (!table.rows.length) table.append(head(columns, details), body(columns, details));
    } catch (error) {
      details.append(error.message);
    }
  }

  function of(columns, details) {
    return columns[details.closest("article").dataset.key];
  }

  function head(columns, details) {
    const row = document.createElement("tr");
    row.append(cell("th", ""), ...of(columns, details).shown.map((name) => cell("th", name, "col")));
    const part = document.createElement("thead");
    part.append(row);
    return part;
  }

  function body(columns, details) {
    const { shown, decimals, difference, low, high, p, decided } = of(columns, details);
    const part = document.createElement("tbody");
    shown.forEach((name, one) => {
      const row = document.createElement("tr");
      row.append(cell("th", name, "row"));
      shown.forEach((_, two) => {
        const apart = difference[one][two];
        const data = cell("td", apart === null ? "" : signed(apart, decimals));
        if (p[one][two] !== null) {
          data.title = `${signed(low[one][two], decimals)} to ${signed(high[one][two], decimals)}, p = ${p[one][two]}`;
          data.classList.toggle("decided", decided[one][two]);
        }
        row.append(data);
      });
      part.append(row);
    });
    return part;
  }

  function cell(kind, text, scope) {
    const found = document.createElement(kind);
    found.textContent = text;
    if (scope) found.scope = scope;
    return found;
  }

  function signed(value, decimals) {
    return `${value > 0 ? "+" : ""}${value.toFixed(decimals)}`;
  }

  choice.addEventListener("change", show);
  view.addEventListener("toggle", (event) => {
    if (event.target.matches("[data-matrix]") && event.target.open) fill(event.target);
  }, true);

  lpipsReport.views.set("differences", follow);
})();
