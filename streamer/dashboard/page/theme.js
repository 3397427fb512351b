"use strict";
// Light, dark, or as the system has it; set before anything is drawn, so that nothing flashes.

(() => {
  let chosen = "auto";
  try { chosen = localStorage.getItem("theme") || "auto"; } catch { /* storage may be off */ }
  const system = matchMedia("(prefers-color-scheme: dark)");
  const apply = () => {
    const dark = chosen === "dark" || (chosen === "auto" && system.matches);
    document.documentElement.dataset.theme = dark ? "dark" : "light";
    dispatchEvent(new Event("theme"));
  };
  system.addEventListener("change", apply);
  globalThis.kinestreamTheme = {
    get chosen() { return chosen; },
    next() {
      chosen = { auto: "light", light: "dark", dark: "auto" }[chosen] || "auto";
      try { localStorage.setItem("theme", chosen); } catch { /* it lasts as long as the page does */ }
      apply();
    },
  };
  apply();
})();
