// Runs before the page is drawn, so that a chosen theme does not flash: light, dark, or as the machine has it (auto).
(() => {
  try {
    const kept = localStorage.getItem("shopcue-theme");
    if (kept === "light" || kept === "dark") document.documentElement.dataset.theme = kept;
  } catch { /* a browser may refuse to keep anything */ }
})();
