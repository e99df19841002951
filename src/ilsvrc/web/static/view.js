"use strict";
(() => {
  const cells = () => [...document.querySelectorAll("a.cell")];
  const go = (link) => link && link.click();

  const columnsOf = (all) => {
    const top = all[0].getBoundingClientRect().top;
    const next = all.findIndex((one) => one.getBoundingClientRect().top > top);
    return next < 0 ? all.length : next;
  };

  const walk = (key) => {
    const all = cells();
    if (!all.length) return false;
    const at = all.indexOf(document.activeElement);
    if (at < 0) {
      all[0].focus();
      return true;
    }
    const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columnsOf(all), ArrowDown: columnsOf(all) }[key];
    const next = all[at + step];
    if (next) {
      next.focus();
      next.scrollIntoView({ block: "nearest" });
    } else {
      const more = document.querySelector("li.more");
      if (more) more.scrollIntoView({ block: "nearest" });
    }
    return true;
  };

  const turn = (key) => {
    const link = document.querySelector({ ArrowLeft: "a[rel=prev]", ArrowRight: "a[rel=next]" }[key] || "none");
    go(link);
    return Boolean(link);
  };

  const dialog = document.getElementById("keys");
  document.getElementById("keys-open").addEventListener("click", () => dialog.showModal());

  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest("input, select, textarea");
    if (typing || dialog.open || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key.startsWith("Arrow")) {
      const isSide = event.key === "ArrowLeft" || event.key === "ArrowRight";
      const done = document.querySelector(".image") ? isSide && turn(event.key) : walk(event.key);
      if (done) event.preventDefault();
    } else if (event.key === "/") {
      event.preventDefault();
      document.getElementById("search").select();
    } else if (event.key === "?") {
      dialog.showModal();
    } else if (event.key === "u") {
      go(document.querySelector("[data-up]"));
    } else if (/^[a-z]$/.test(event.key)) {
      go(document.querySelector(`[data-key="${event.key}"]`));
    }
  });

  const failed = (event) => {
    const text = event.detail.xhr.responseText;
    const note = document.createElement("p");
    note.className = "note";
    note.setAttribute("role", "alert");
    const page = new DOMParser().parseFromString(text, "text/html");
    const said = page.querySelector("main .note") || page.body;
    note.textContent = said.textContent.trim() || "The server does not answer: is ilsvrc view still running?";
    event.detail.target.replaceChildren(note);
  };
  document.addEventListener("htmx:responseError", failed);
  document.addEventListener("htmx:sendError", failed);

  const drop = document.getElementById("drop");
  if (!drop) return;
  const over = (event, is) => {
    event.preventDefault();
    drop.classList.toggle("over", is);
  };
  drop.addEventListener("dragover", (event) => over(event, true));
  drop.addEventListener("dragleave", (event) => over(event, false));
  drop.addEventListener("drop", (event) => {
    over(event, false);
    const input = document.getElementById("predictions");
    input.files = event.dataTransfer.files;
    input.dispatchEvent(new Event("change", { bubbles: true }));
  });
})();
