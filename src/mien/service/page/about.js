/** What the model is worth, from its card. */

import { find, make } from "./dom.js";
import { count, percent } from "./words.js";

/** @typedef {import("./types.js").Model} Model */

/** @param {Model} model */
export function tellModel({ name, version, card, taxonomies }) {
  const rows = Object.entries({ ...card.scores, ...headScores(card) }).filter(([, score]) => score?.accuracy);
  find("#figures").replaceChildren(
    make("h3", { textContent: "How good it is" }),
    rows.length ? table(rows) : make("p", { textContent: "Its card tells no scores." }),
    make("p", { className: "hint", textContent: card.limits }),
  );
  const sets = Object.entries(taxonomies).map(([set, labels]) => `${labels.length} expressions of ${set}`);
  const data = card.training_data || "data that its card does not name";
  find("#model-line").textContent =
    `${name}, mien ${version}: ${sets.join(", ")}. Trained on ${data}. Licence ${card.licence}.`;
}

/** Scores of a model's further label sets. */
function headScores(card) {
  const scores = (card.heads ?? []).flatMap((head) =>
    Object.entries(head.scores ?? {}).map(([split, score]) => [`${split}, ${head.taxonomy}`, score]),
  );
  return Object.fromEntries(scores);
}

function table(rows) {
  const head = ["Judged on", "Right", "Macro F1"].map((text) => make("th", { scope: "col", textContent: text }));
  const body = rows.map(([split, score]) =>
    make(
      "tr",
      {},
      make("th", { scope: "row" }, split, make("small", { textContent: score.n ? count(score.n, "face") : "" })),
      make("td", {}, percent(score.accuracy), make("small", { textContent: interval(score.accuracy_interval) })),
      make("td", { textContent: score.macro_f1 ? score.macro_f1.toFixed(2) : "–" }),
    ),
  );
  return make("table", {}, make("thead", {}, make("tr", {}, ...head)), make("tbody", {}, ...body));
}

const interval = (bounds) => (bounds ? `${percent(bounds[0])} to ${percent(bounds[1])}` : "");
