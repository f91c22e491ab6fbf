// Filters of the index. What is chosen stands in the address, so that it can be kept and sent.
"use strict";
(() => {
  const form = document.getElementById("filter");
  const groups = Array.from(document.querySelectorAll("details.group")).map((node) => ({
    node,
    text: node.textContent.toLowerCase(),
    known: node.dataset.known === "yes",
    rows: Array.from(node.querySelectorAll("tr[data-host]")),
  }));
  const shown = document.getElementById("shown");
  const list = document.getElementById("groups");
  const fields = Array.from(form.elements).filter((field) => field.name);

  const values = () => {
    const found = {};
    for (const field of fields) {
      const value = field.type === "checkbox" ? (field.checked ? "yes" : "") : field.value;
      if (value) found[field.name] = value;
    }
    return found;
  };

  const fitsRow = (row, want) =>
    (!want.host || row.dataset.host === want.host) &&
    (!want.release || row.dataset.release === want.release);

  const apply = () => {
    const want = values();
    const words = (want.q || "").toLowerCase().split(/\s+/).filter(Boolean);
    let groupCount = 0;
    let crashCount = 0;
    for (const group of groups) {
      let rows = 0;
      for (const row of group.rows) {
        const fits = fitsRow(row, want);
        row.hidden = !fits;
        if (fits && row.dataset.counts === "yes") rows += 1;
      }
      const narrowed = Boolean(want.host || want.release);
      const fits =
        (!want.band || group.node.dataset.band === want.band) &&
        (!want.unknown || !group.known) &&
        (!narrowed || rows > 0) &&
        words.every((word) => group.text.includes(word));
      group.node.hidden = !fits;
      if (fits) {
        groupCount += 1;
        crashCount += narrowed ? rows : Number(group.node.dataset.count);
      }
    }
    const counted = (n, one) => `${n} ${one}${n === 1 ? "" : one === "crash" ? "es" : "s"}`;
    shown.textContent = `${counted(crashCount, "crash")} in ${counted(groupCount, "group")} shown`;
    document.getElementById("nothing").hidden = groupCount > 0 || groups.length === 0;
    const order = want.order || "severity";
    const by = {
      severity: (a, b) => a.dataset.place - b.dataset.place,
      count: (a, b) => b.dataset.count - a.dataset.count || a.dataset.place - b.dataset.place,
      last: (a, b) => b.dataset.last - a.dataset.last || a.dataset.place - b.dataset.place,
    }[order];
    if (by) list.append(...groups.map((group) => group.node).sort(by));
    const hash = new URLSearchParams(want).toString();
    history.replaceState(null, "", hash ? `#${hash}` : location.pathname);
  };

  const restore = () => {
    if (!location.hash.includes("=")) return; // the place of a group
    const given = new URLSearchParams(location.hash.slice(1));
    for (const field of fields) {
      const value = given.get(field.name) || "";
      if (field.type === "checkbox") field.checked = value === "yes";
      else if (field.tagName !== "SELECT") field.value = value;
      else field.value = Array.from(field.options).some((o) => o.value === value) ? value : field.options[0].value;
    }
  };

  const openTarget = () => {
    const node = document.getElementById(location.hash.slice(1));
    if (node instanceof HTMLDetailsElement) node.open = true;
  };

  form.hidden = false;
  form.addEventListener("input", apply);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(apply));
  window.addEventListener("hashchange", () => { restore(); openTarget(); if (location.hash.includes("=")) apply(); });
  restore();
  if (location.hash.includes("=")) apply();
  else openTarget();
})();
