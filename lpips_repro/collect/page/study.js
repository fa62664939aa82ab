// The study: consent, instructions, the screen, then the trials that the server says are left.

import JndPlugin from "./jnd.js";
import TwoAfcPlugin from "./twoafc.js";
import { element } from "./images.js";
import { Refused, post, state } from "./server.js";

const AHEAD = 10; // trials whose images are loaded at a time
const PLUGINS = { "2afc": TwoAfcPlugin, jnd: JndPlugin };
const TEXTS = {
  "2afc": [
    "You will see three pictures next to each other. The one in the middle is the reference. " +
      "The two others are changed versions of it.",
    "Choose the one that is more similar to the reference: click or touch it, or press the key ← or →. " +
      "If you are not sure, choose the one that seems more similar. There is no time limit.",
  ],
  jnd: [
    "You will see two pictures, one after the other, each for one second. Look at them closely.",
    "Then say whether they are the same or different: click or touch a button, or press S or D. " +
      "The first ten pairs are for practice, and you are told whether you were right.",
  ],
};
const root = document.getElementById("study");

function page(...paragraphs) {
  const holder = document.createElement("div");
  for (const text of paragraphs) element("p", text, holder);
  return holder.innerHTML;
}

function pages(texts, label) {
  return {
    type: jsPsychInstructions,
    pages: texts,
    show_clickable_nav: true,
    allow_backward: texts.length > 1,
    button_label_next: label,
    button_label_previous: "Back",
  };
}

function start(timeline) {
  root.replaceChildren();
  return initJsPsych({ display_element: element("div", "", root) }).run(timeline);
}

function end(title, text, link) {
  root.replaceChildren();
  const holder = element("div", "", root, "message");
  element("h1", title, holder);
  element("p", text, holder);
  if (link) element("a", link.text, holder, "button").href = link.href;
}

async function consent(found) {
  const paragraphs = found.consent.split(/\n\s*\n/);
  await start([pages([page(...paragraphs)], "I agree")]);
  await post("/api/consent", {});
}

// Explains the task and measures the screen; the interval of its frames in ms.
async function prepare(found) {
  let rate = null;
  await start([
    pages(TEXTS[found.kind].map((text) => page(text)), "Next"),
    {
      type: jsPsychBrowserCheck,
      features: ["width", "height", "vsync_rate"],
      on_finish: (data) => (rate = data.vsync_rate),
    },
  ]);
  return rate > 1 ? 1000 / rate : null;
}

function trials(found) {
  const url = (number, place) => `/images/${found.session}/${number}/${place}.png`;
  const urls = ({ number }) => Object.fromEntries(found.places.map((place) => [place, url(number, place)]));
  const timeline = [];
  found.trials.forEach((trial, index) => {
    if (index % AHEAD === 0) {
      const images = found.trials.slice(index, index + AHEAD).flatMap((one) => Object.values(urls(one)));
      timeline.push({ type: jsPsychPreload, images, message: page("Loading pictures"), show_progress_bar: false });
    }
    timeline.push({
      type: PLUGINS[found.kind],
      urls: urls(trial),
      progress: `${trial.training ? "Practice. " : ""}${trial.number + 1} of ${found.total}`,
      send: (data) => post("/api/answer", { session: found.session, number: trial.number, ...data }),
      ...(found.kind === "jnd" && { on_ms: found.on_ms, gap_ms: found.gap_ms, ...(found.frame_ms && { frame_ms: found.frame_ms }) }),
    });
  });
  return timeline;
}

async function judge(found) {
  const message = found.trials.length < found.total ? "Your answers so far are stored. Continue with the next one." : "The pictures fill the screen.";
  const screen = (on) => ({ type: jsPsychFullscreen, fullscreen_mode: on, message: page(message), button_label: "Begin" });
  await start([screen(true), ...trials(found), screen(false)]);
}

function finish(found) {
  if (found.completion) {
    end("Thank you", "All your answers are stored.", { text: "Complete", href: found.completion });
    location.assign(found.completion);
  } else end("Thank you", "All your answers are stored. You can close this page.", found.more && { text: "Judge more", href: "/?more" });
}

async function run() {
  let found = await state();
  if (found.state === "consent") {
    await consent(found);
    found = await state();
  }
  if (found.state === "closed") return end("Thank you", "There is no further session for you. You can close this page.");
  const more = found.state === "done" && found.more && location.search === "?more";
  if (found.state === "ready" || more) {
    const frame = await prepare(found);
    const { session } = await post("/api/session", { frame_ms: frame });
    if (session === null) return end("Thank you", "There is nothing left for you to judge. You can close this page.");
    history.replaceState(null, "", "/");
    found = await state();
  }
  if (found.state === "active") {
    await judge(found);
    found = await state();
  }
  finish(found);
}

run().catch((error) => {
  if (error instanceof Refused && error.status === 410) end("Too late", error.message, { text: "Begin again", href: "/" });
  else if (error instanceof Refused) end("This cannot go on", error.message);
  else end("No connection", "Your last answer could not be stored. Everything before it is.", { text: "Try again", href: "/" });
});
