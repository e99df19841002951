"use strict";
(() => {
  const form = document.querySelector(".filter");
  if (!form) return;
  const rows = [...document.querySelectorAll("#listed tbody tr")];
  const texts = rows.map((row) => row.textContent.toLowerCase());
  const [find, kind, split, shown] = ["find", "kind", "split", "shown"].map((id) => document.getElementById(id));
  const apply = () => {
    const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    rows.forEach((row, at) => {
      const fits =
        (!kind.value || row.dataset.kind === kind.value) &&
        (!split.value || row.dataset.split === split.value) &&
        words.every((word) => texts[at].includes(word));
      row.hidden = !fits;
      count += fits;
    });
    shown.textContent = `${count.toLocaleString("en")} of ${rows.length.toLocaleString("en")} shown`;
  };
  form.hidden = false;
  form.addEventListener("input", apply);
  form.addEventListener("submit", (event) => event.preventDefault());
  apply();
})();
