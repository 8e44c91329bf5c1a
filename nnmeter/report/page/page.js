"use strict";
// Sorting, filtering and choosing; without it the page says the same, in the order of the run.
(() => {
  const valueOf = (row, column) => {
    const cell = row.cells[column];
    return cell.dataset.v !== undefined ? Number(cell.dataset.v) : cell.textContent;
  };

  const compare = (a, b) => {
    const x = Number(a), y = Number(b);
    if (a !== "" && b !== "" && !Number.isNaN(x) && !Number.isNaN(y)) return x - y;
    return String(a).localeCompare(String(b));
  };

  const sortBy = (table, column, descending) => {
    const body = table.tBodies[0];
    const keyed = Array.from(body.rows, (row) => [valueOf(row, column), row]);
    keyed.sort((a, b) => (descending ? -1 : 1) * compare(a[0], b[0]));
    body.append(...keyed.map((pair) => pair[1]));
    Array.from(table.tHead.rows[0].cells).forEach((cell, place) => {
      cell.setAttribute("aria-sort", place !== column ? "none" : descending ? "descending" : "ascending");
    });
  };

  const filterTable = (section) => {
    const input = section.querySelector("input[type=search]");
    const table = section.querySelector("table.kernels");
    const words = input.value.toLowerCase().split(" ").filter(Boolean);
    const rows = Array.from(table.tBodies[0].rows);
    const heads = Array.from(table.tHead.rows[0].cells, (cell) => cell.textContent);
    const ms = heads.indexOf("ms");
    let shown = 0, time = 0;
    for (const row of rows) {
      const text = Array.from(row.cells, (cell) => (cell.classList.contains("n") ? "" : cell.textContent)).join("\n").toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
      if (!row.hidden) { shown += 1; time += Number(valueOf(row, ms)); }
    }
    section.querySelector("output").textContent =
      words.length ? `${shown} of ${rows.length} kernels, ${Number(time.toPrecision(3))} ms` : `${rows.length} kernels`;
  };

  for (const section of document.querySelectorAll("section.prediction")) {
    const table = section.querySelector("table.kernels");
    const input = section.querySelector("input[type=search]");
    Array.from(table.tHead.rows[0].cells).forEach((cell, column) => {
      cell.querySelector("button").addEventListener("click", () => {
        const was = cell.getAttribute("aria-sort");
        const largestFirst = cell.classList.contains("n") && column > 0;
        sortBy(table, column, was === "none" ? largestFirst : was === "ascending");
      });
    });
    input.addEventListener("input", () => filterTable(section));
    input.form.addEventListener("submit", (event) => event.preventDefault());
    for (const box of section.querySelectorAll(".pick")) {
      const pick = () => {
        input.value = box.dataset.f;
        filterTable(section);
      };
      box.addEventListener("click", pick);
      box.addEventListener("keydown", (event) => {
        if (event.key === "Enter" || event.key === " ") { event.preventDefault(); pick(); }
      });
    }
    filterTable(section);
  }

  const choice = document.querySelector("#choice");
  if (choice) {
    const show = () => {
      for (const section of document.querySelectorAll("section.prediction")) section.hidden = section.id !== choice.value;
    };
    choice.closest("p").hidden = false;
    choice.addEventListener("change", show);
    show();
  }
})();
