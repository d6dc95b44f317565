/** The page: puts its parts together. State lives in the session; every change of it draws all parts anew. */

import { tellModel } from "./about.js";
import { annotate } from "./annotate.js";
import { Announcer } from "./announcer.js";
import { askKey, notify } from "./dialogs.js";
import { find, make, onceAFrame } from "./dom.js";
import { installIntake } from "./intake.js";
import { called, kindOf } from "./kinds.js";
import { annotatedName, copyText, documentOf, save } from "./leaving.js";
import { Overlay } from "./overlay.js";
import { Panel } from "./panel.js";
import { Player } from "./player.js";
import { Problem } from "./problem.js";
import { Recognizing } from "./recognizing.js";
import { Service } from "./service.js";
import { Item, Session } from "./session.js";
import { Stage } from "./stage.js";
import { Strip } from "./strip.js";
import { installThemeSwitch } from "./theme.js";
import { Timeline } from "./timeline.js";
import { Toolbar } from "./toolbar.js";
import { Webcam, keepFrame } from "./webcam.js";
import { count, summary } from "./words.js";

const session = new Session(onceAFrame(draw));
const service = new Service(askKey);
const announcer = new Announcer();
const recognizing = new Recognizing(service, session, tellDone, notify);
const stage = new Stage();
const player = new Player(stage.video, session);
const timeline = new Timeline((seconds) => player.seek(seconds));
const webcam = new Webcam(session, service, stage, (item) => announcer.tellLive(summary(item.faces)));
const overlay = new Overlay((key) => session.choose(key));
const panel = new Panel({ choose: (key) => session.choose(key), retry, remove });
const strip = new Strip({ select, remove });
const toolbar = new Toolbar((options) => {
  session.set(options);
  session.items.forEach((item) => recognizing.ensure(item));
});

function draw() {
  const { item, items, options } = session;
  const labels = session.labelsOf(item);
  find("#invitation").hidden = items.length > 0;
  find("#work").hidden = items.length === 0;
  player.draw(item);
  stage.draw(item);
  overlay.draw(item, options.explain);
  panel.draw(item, labels, options.explain);
  timeline.draw(item, labels);
  strip.draw(items, item);
  toolbar.draw(session);
}

/** The service's own word on what it is; asked for again as long as it has not answered. */
async function meetModel() {
  if (session.model) return;
  const model = await service.model();
  toolbar.offer(model);
  tellModel(model);
  session.model = model;
  session.set({ labelSet: Object.keys(model.label_sets)[0] ?? null });
}

/** @param {File[]} files */
async function take(files) {
  await meetModel();
  const fresh = await Promise.all(files.map(itemOf));
  const empty = session.items.length === 0;
  fresh.forEach((item) => session.add(item));
  select(fresh[0]);
  fresh.forEach((item) => recognizing.ensure(item));
  if (empty) find("#main").focus({ preventScroll: true });
}

/** @param {File} file */
async function itemOf(file) {
  const { video, type } = await kindOf(file);
  const item = new Item(video ? "video" : "image", file.name, file);
  if (video) item.show(called(file, type));
  return item;
}

/** @param {Item} item */
function select(item) {
  if (session.item?.live && item !== session.item) webcam.stop();
  session.select(item);
}

/** @param {Item} item */
function remove(item) {
  if (item.live) webcam.stop();
  if (session.items.includes(item)) session.remove(item);
}

/** @param {Item} item */
function retry(item) {
  item.status = "waiting";
  item.problem = null;
  recognizing.ensure(item);
  session.changed();
}

/** @param {Item} item */
function tellDone(item) {
  const trouble = item.problem?.of(item.name).text;
  if (item.status === "failed") announcer.tell(trouble ?? "");
  else if (item.series) announcer.tell(trouble ?? `${item.name}: ${count(item.series.rows.length, "frame")} processed`);
  else announcer.tell(session.items.length > 1 ? `${item.name}: ${summary(item.faces)}` : summary(item.faces));
}

const actions = {
  pick: installIntake(guarded(take), notify),
  camera: () => (webcam.on ? webcam.stop() : meetModel().then(() => webcam.start())),
  heat() {
    session.set({ explain: !session.options.explain });
    session.items.forEach((item) => recognizing.ensure(item));
  },
  async sample() {
    const sample = await (await fetch(new URL("sample.webp", import.meta.url))).blob();
    await take([new File([sample], "drawn-faces.webp", { type: "image/webp" })]);
  },
  keep: async () => session.item && take([await keepFrame(stage.video, session.item)]),
  async copy() {
    if (!session.item) return;
    await copyText(JSON.stringify(documentOf(session.item, session.options.threshold), null, 1));
    announcer.tell("Copied");
    flash("copy", "Copied");
  },
  async download() {
    const { item, options } = session;
    if (item) save(await annotate(item, await loaded(item.url), options.explain), annotatedName(item.name));
  },
};

/** Runs something; what goes wrong is told above the images. @param {(...args: any[]) => any} action */
function guarded(action) {
  return async (...args) => {
    notify(null);
    try {
      await action(...args);
    } catch (error) {
      notify(Problem.from(error));
    }
  };
}

/** A button says for a moment that it is done. */
function flash(action, text) {
  const button = find(`#work [data-action=${action}]`);
  const before = (button.dataset.text ??= button.textContent);
  button.textContent = text;
  setTimeout(() => (button.textContent = before), 1500);
}

/** @param {string} url */
async function loaded(url) {
  const image = make("img", { src: url });
  await image.decode();
  return image;
}

for (const [name, action] of Object.entries(actions)) {
  const run = guarded(action);
  document.querySelectorAll(`[data-action=${name}]`).forEach((button) => button.addEventListener("click", () => run()));
}
addEventListener("pagehide", () => webcam.stop());
installThemeSwitch(find("#theme"), () => timeline.redraw());
guarded(meetModel)();
