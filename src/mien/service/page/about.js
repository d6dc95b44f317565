/** The accuracy of the model, from its card. */

import { find, make } from "./dom.js";
import { count, percent } from "./words.js";

/** @typedef {import("./types.js").Model} Model */

const LEGEND =
  "Accuracy: share of faces whose most probable expression is the labeled one; below it the 95% confidence interval. " +
  "F1 is the mean over all expressions (macro-F1), 1 is best.";

/** @param {Model} model */
export function tellModel({ name, version, card, label_sets: labelSets }) {
  const rows = scoresOf(card).filter(({ score }) => score?.accuracy);
  find("#figures").replaceChildren(
    make("h3", { textContent: "Accuracy of the model" }),
    rows.length ? table(rows) : make("p", { textContent: "The model card has no scores." }),
    ...(rows.length ? [make("p", { className: "hint", textContent: LEGEND })] : []),
    make("p", { className: "hint", textContent: card.limits }),
  );
  const sets = Object.entries(labelSets).map(([set, labels]) => `${labels.length} expressions (${set})`);
  const data = separated(card.training_data || "data not named in its card");
  find("#model-line").textContent =
    `${name}, mien ${version}: ${sets.join(", ")}. Trained on ${data}. License: ${card.licence || "not stated"}.`;
}

function scoresOf(card) {
  const heads = [card, ...(card.heads ?? [])];
  return heads.flatMap(({ taxonomy: set, scores }) =>
    Object.entries(scores ?? {}).map(([split, score]) => ({ split, score, set })),
  );
}

function table(rows) {
  const head = ["Evaluated on", "Accuracy", "F1"].map((text) => make("th", { scope: "col", textContent: text }));
  const body = rows.map(({ split, score, set }) => {
    const sizes = [set, score.n && count(score.n, "face")].filter(Boolean).join(", ");
    return make(
      "tr",
      {},
      make("th", { scope: "row" }, make("b", { textContent: split }), make("small", { textContent: sizes })),
      make("td", {}, percent(score.accuracy), make("small", { textContent: interval(score.accuracy_interval) })),
      make("td", { textContent: score.macro_f1 ? score.macro_f1.toFixed(2) : "–" }),
    );
  });
  return make("table", {}, make("thead", {}, make("tr", {}, ...head)), make("tbody", {}, ...body));
}

const interval = (bounds) => (bounds ? `${percent(bounds[0])} to ${percent(bounds[1])}` : "");

/** "28017" as "28,017"; what has four digits may be a year. @param {string} text */
const separated = (text) => text.replace(/\b\d{5,}\b/g, (digits) => Number(digits).toLocaleString("en"));
