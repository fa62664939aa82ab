// A plugin for jsPsych: the reference in the middle, and which of two images is more similar to it?

import { element, fit, load, nextFrame } from "./images.js";

const { ParameterType } = jsPsychModule;
const KEYS = { ArrowLeft: "left", f: "left", ArrowRight: "right", j: "right" };

export default class TwoAfcPlugin {
  static info = {
    name: "two-afc",
    version: "1.0.0",
    parameters: {
      urls: { type: ParameterType.OBJECT, default: undefined }, // by place: ref, left, right
      progress: { type: ParameterType.STRING, default: "" },
      send: { type: ParameterType.FUNCTION, default: undefined }, // stores the answer
    },
    data: { choice: { type: ParameterType.STRING }, response_ms: { type: ParameterType.FLOAT } },
  };

  constructor(jsPsych) {
    this.jsPsych = jsPsych;
  }

  async trial(display, trial) {
    const places = ["left", "ref", "right"];
    const images = await Promise.all(places.map((place) => load(trial.urls[place])));
    display.replaceChildren();
    element("p", "Which one is more similar to the picture in the middle?", display, "question");
    const row = element("div", "", display, "row pictures");
    const buttons = places.map((place, i) => {
      const holder = element(place === "ref" ? "div" : "button", "", row, `picture ${place}`);
      if (place !== "ref") holder.setAttribute("aria-label", `the ${place} picture`);
      images[i].alt = place === "ref" ? "the reference" : "";
      holder.append(images[i]);
      return holder;
    });
    fit(row, places.length);
    element("p", "Click or touch it, or press ← or →.", display, "hint");
    element("p", trial.progress, display, "progress");
    const answered = chosen({ left: buttons[0], right: buttons[2] }, KEYS);
    const shown = await nextFrame();
    const { choice, time } = await answered;
    const data = { choice, response_ms: Math.max(0, time - shown) };
    await trial.send(data);
    this.jsPsych.finishTrial(data);
  }
}

// The first choice by a click, a touch or a key, and when.
export function chosen(buttons, keys) {
  return new Promise((resolve) => {
    const stop = new AbortController();
    const choose = (choice, time) => {
      stop.abort();
      for (const button of Object.values(buttons)) button.disabled = true;
      buttons[choice].classList.add("chosen");
      resolve({ choice, time });
    };
    for (const [choice, button] of Object.entries(buttons))
      button.addEventListener("click", (event) => choose(choice, event.timeStamp), { signal: stop.signal });
    const key = (event) => {
      const choice = keys[event.key] ?? keys[event.key.toLowerCase()];
      if (choice && !event.repeat && !event.ctrlKey && !event.metaKey && !event.altKey) {
        event.preventDefault();
        choose(choice, event.timeStamp);
      }
    };
    document.addEventListener("keydown", key, { signal: stop.signal });
  });
}
