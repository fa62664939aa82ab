// A plugin for jsPsych: one image, a gap, another image, each for its time; are they the same?
// Images come and go in the callbacks of the screen's frames, and the times of these frames are stored.

import { element, fit, load, nextFrame } from "./images.js";
import { chosen } from "./twoafc.js";

const { ParameterType } = jsPsychModule;
const KEYS = { s: "same", d: "different" };

export default class JndPlugin {
  static info = {
    name: "jnd",
    version: "1.0.0",
    parameters: {
      urls: { type: ParameterType.OBJECT, default: undefined }, // by place: first, second
      on_ms: { type: ParameterType.FLOAT, default: 1000 },
      gap_ms: { type: ParameterType.FLOAT, default: 250 },
      frame_ms: { type: ParameterType.FLOAT, default: 1000 / 60 },
      progress: { type: ParameterType.STRING, default: "" },
      send: { type: ParameterType.FUNCTION, default: undefined }, // stores the answer, and says if it is right
    },
    data: {
      choice: { type: ParameterType.STRING },
      response_ms: { type: ParameterType.FLOAT },
      timing: { type: ParameterType.FLOAT, array: true }, // onset, offset, onset, offset from the first onset, in ms
    },
  };

  constructor(jsPsych) {
    this.jsPsych = jsPsych;
  }

  async trial(display, trial) {
    const images = await Promise.all(["first", "second"].map((place) => load(trial.urls[place])));
    display.replaceChildren();
    const stage = element("div", "", display, "stage");
    for (const image of images) {
      image.alt = "";
      image.classList.add("hidden");
      stage.append(image);
    }
    fit(stage, 1);
    const question = element("p", "Are they the same?", display, "question hidden");
    const row = element("div", "", display, "row answers hidden");
    const buttons = { same: element("button", "Same (S)", row), different: element("button", "Different (D)", row) };
    element("p", trial.progress, display, "progress");
    const timing = await shown(images, trial, stage);
    question.classList.remove("hidden");
    row.classList.remove("hidden");
    const answered = chosen(buttons, KEYS);
    const asked = await nextFrame();
    const { choice, time } = await answered;
    const data = { choice, timing, response_ms: Math.max(0, time - asked) };
    const { correct } = await trial.send(data);
    if (correct !== null) await feedback(display, correct, choice);
    this.jsPsych.finishTrial(data);
  }
}

// Shows the pair. If the page was hidden meanwhile, such as by another tab, the worker asks for the pair again.
async function shown(images, trial, stage) {
  for (;;) {
    let wasHidden = document.hidden;
    const note = () => (wasHidden ||= document.hidden);
    document.addEventListener("visibilitychange", note);
    const timing = await show(images, trial);
    document.removeEventListener("visibilitychange", note);
    if (!wasHidden) return timing;
    const again = element("button", "Show the pair again", stage, "again");
    await chosen({ again }, { Enter: "again" });
    again.remove();
  }
}

// Shows the images one after the other; the times of the frames at which they came and went, from the first.
async function show([first, second], { on_ms, gap_ms, frame_ms }) {
  await nextFrame();
  const start = await nextFrame();
  first.classList.remove("hidden");
  const times = [start];
  for (const [image, hide, wait] of [
    [first, true, on_ms],
    [second, false, gap_ms],
    [second, true, on_ms],
  ]) {
    let now = await nextFrame();
    while (now < times.at(-1) + wait - frame_ms / 2) now = await nextFrame();
    image.classList.toggle("hidden", hide);
    times.push(now);
  }
  return times.map((time) => Math.round(1000 * (time - start)) / 1000);
}

async function feedback(display, correct, choice) {
  const truth = correct === (choice === "same") ? "the same" : "different";
  display.replaceChildren();
  element("p", `${correct ? "Right" : "Not right"}: they were ${truth}.`, display, "question");
  const row = element("div", "", display, "row answers");
  await chosen({ next: element("button", "Continue", row) }, { Enter: "next", " ": "next" });
}
