/** The color of each expression: custom properties of tokens.css, which a test holds equal to mien.palette. */

/** Usual spellings of labels, as in mien.labels. */
const TOKENS = new Map(Object.entries({
  anger: "anger", angry: "anger", mad: "anger",
  disgust: "disgust", disgusted: "disgust",
  fear: "fear", fearful: "fear", afraid: "fear", scared: "fear",
  happiness: "happiness", happy: "happiness", joy: "happiness", smile: "happiness",
  sadness: "sadness", sad: "sadness", unhappy: "sadness",
  surprise: "surprise", surprised: "surprise",
  neutral: "neutral", normal: "neutral", calm: "neutral",
  contempt: "contempt", contemptuous: "contempt",
}));

/** The tokens of classes that are no expressions, see `learnLabels`. @type {Map<string, string>} */
const own = new Map();

/**
 * Gives each class outside the palette a color that the other classes leave free, as mien.palette does.
 * @param {string[]} labels  all classes of the model
 */
export function learnLabels(labels) {
  if (labels.every((label) => known(label) || own.has(label))) return;
  const taken = new Set(labels.map(known));
  const order = ["neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt"];
  const free = order.filter((token) => !taken.has(token));
  const cycle = free.length ? free : order;
  own.clear();
  labels.filter((label) => !known(label)).forEach((label, i) => own.set(label, cycle[i % cycle.length]));
}

/** @param {string} label */
const known = (label) => TOKENS.get(label.trim().toLowerCase());

/** @param {string} label */
export const tokenOf = (label) => known(label) ?? own.get(label) ?? "neutral";

/**
 * Gives an element the color of an expression, as `--hue` and `--on-hue`.
 * @param {HTMLElement} element
 * @param {string} label
 */
export function tint(element, label) {
  const token = tokenOf(label);
  element.style.setProperty("--hue", `var(--${token})`);
  element.style.setProperty("--on-hue", `var(--on-${token})`);
}

const probe = document.createElement("i");
probe.hidden = true;
probe.style.forcedColorAdjust = "none"; // an image that is saved keeps its colors

/**
 * A color of tokens.css as a canvas takes it: canvases know neither custom properties nor light and dark.
 * @param {string} name
 */
export function color(name) {
  if (!probe.isConnected) document.body.append(probe);
  probe.style.color = `var(${name})`;
  return getComputedStyle(probe).color;
}

/** The typeface of the page, as a canvas takes it. */
export const typeface = () => getComputedStyle(document.body).fontFamily;

/**
 * The color of an expression and the ink that reads on it, for a canvas.
 * @param {string} label
 */
export const colorsOf = (label) => ({
  fill: color(`--${tokenOf(label)}`),
  ink: color(`--on-${tokenOf(label)}`),
});
