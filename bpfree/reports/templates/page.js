"use strict";
(() => {
  const root = document.documentElement;
  const dark = () => root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  const button = document.getElementById("theme");
  const name = () => { button.textContent = dark() ? "Light theme" : "Dark theme"; };
  button.addEventListener("click", () => { root.dataset.theme = dark() ? "light" : "dark"; name(); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", name);
  button.hidden = false;
  name();

  for (const sort of document.querySelectorAll("button.sort")) {
    sort.addEventListener("click", () => {
      const head = sort.closest("th"), table = sort.closest("table"), body = table.tBodies[0];
      const column = head.cellIndex, up = head.getAttribute("aria-sort") !== "ascending";
      const key = (row) => { const text = row.cells[column].dataset.value; return text === undefined ? row.cells[column].textContent : text === "" ? null : Number(text); };
      const rows = [...body.rows].sort((a, b) => {
        const x = key(a), y = key(b);
        if (x === null || y === null) return (x === null) - (y === null);
        return (x < y ? -1 : x > y ? 1 : 0) * (up ? 1 : -1);
      });
      for (const other of table.querySelectorAll("th[aria-sort]")) other.setAttribute("aria-sort", "none");
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      body.append(...rows);
    });
  }

  const box = document.getElementById("tooltip");
  const show = (event) => {
    const at = event.target.getBoundingClientRect();
    box.textContent = event.target.dataset.tip;
    box.hidden = false;
    const left = Math.min(at.left, root.clientWidth - box.offsetWidth - 8);
    box.style.left = `${Math.max(8, left) + scrollX}px`;
    box.style.top = `${at.bottom + 6 + scrollY}px`;
  };
  for (const tip of document.querySelectorAll(".tip")) {
    for (const kind of ["mouseenter", "focus", "click"]) tip.addEventListener(kind, show);
    for (const kind of ["mouseleave", "blur"]) tip.addEventListener(kind, () => { box.hidden = true; });
  }
})();
