// What a person says the wearer does: pressed when it begins, told when it ends or something else begins.

import * as activities from "./activities.js";
import { clock, write } from "./words.js";

const find = (id) => document.getElementById(id);
const ASKED = "Press what the wearer begins to do now.";

export class Saying {
  constructor(send, moment) {
    this.send = send;
    this.moment = moment; // now, ms on the wearer's clock; null where that is not known
    this.stream = "";
    this.begun = null;
    this.waiting = null;
    find("say").addEventListener("click", (event) => {
      const button = event.target.closest("button");
      if (button) this.press(button.dataset.activity);
    });
  }

  show(stream) {
    if (stream !== this.stream) { this.begun = null; this.stream = stream; this.tell(ASKED, false); }
    this.build();
  }

  build() {
    const names = activities.bundle().map(activities.nameOf);
    const key = JSON.stringify(names);
    if (key !== this.key) {
      this.key = key;
      find("say").replaceChildren(...names.map((name) => {
        const button = document.createElement("button");
        button.type = "button";
        button.dataset.activity = name;
        button.textContent = name;
        return button;
      }));
    }
    for (const button of find("say").children) button.setAttribute("aria-pressed", String(button.dataset.activity === this.begun?.activity));
  }

  press(activity) {
    const now = this.moment();
    if (now === null) return this.tell("Nothing has come of this stream yet.", true);
    const before = this.begun;
    this.begun = before?.activity === activity ? null : { activity, at: now };
    if (before && now > before.at) {
      this.waiting = before;
      this.send({ do: "annotate", stream: this.stream, activity: before.activity, begin_ms: Math.floor(before.at), end_ms: Math.ceil(now) });
    }
    if (this.begun) this.tell(`${activity} since ${clock(now)}. Press it again when it ends, or what begins then.`, false);
    else this.tell("Told.", false);
    this.build();
  }

  done(wrong) {
    if (wrong) this.tell(`${this.waiting?.activity ?? "It"} was not taken: ${wrong}`, true);
    this.waiting = null;
  }

  tell(text, isWrong) {
    write(find("said"), text);
    find("said").classList.toggle("wrong", isWrong);
  }
}
