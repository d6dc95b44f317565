/** Dark or light: as the system says, until somebody switches. Runs before the first paint. */

const KEY = "mien-theme";
const system = matchMedia("(prefers-color-scheme: dark)");

/** Storage may be forbidden; then the choice lasts as long as the page. */
function stored() {
  try {
    return localStorage.getItem(KEY);
  } catch {
    return null;
  }
}

/** @param {string} theme */
function store(theme) {
  try {
    localStorage.setItem(KEY, theme);
  } catch {
    // Told above.
  }
}

const root = document.documentElement;
const isDark = () => (root.dataset.theme ?? (system.matches ? "dark" : "light")) === "dark";
const chosen = stored();
if (chosen === "dark" || chosen === "light") root.dataset.theme = chosen;

/**
 * Makes a button the switch.
 * @param {HTMLButtonElement} button
 * @param {() => void} onChange  called whenever the colors are others
 */
export function installThemeSwitch(button, onChange) {
  const show = () => {
    button.setAttribute("aria-pressed", String(isDark()));
    onChange();
  };
  button.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    store(root.dataset.theme);
    show();
  });
  for (const query of [system, matchMedia("(forced-colors: active)")]) query.addEventListener("change", show);
  show();
}
