// The one live component: follows a job over its socket, puts fragments in their places and paints the text.
// A page gives it a layout with a [data-part] for each fragment it wants and a [data-text] for the text.
(() => {
  "use strict";
  const PAINT_MS = 100, SPEAK_MS = 1500;

  wb.follow = (root, job, {painted = () => {}, changed = () => {}, ended = () => {}, gone = () => {}} = {}) => {
    const place = root.querySelector("[data-text]"), status = root.querySelector("[data-status]");
    const view = {job, text: "", attempt: 0, at: 0, state: "", raw: false, isOver: false};
    let dirty = false, spoken = 0, restUntil = 0, curves = null;

    const paint = () => {
      if (!dirty || (performance.now() < restUntil && !view.isOver)) return;
      dirty = false;
      const began = performance.now();
      wb.markdown(place, view.text, view.raw);
      restUntil = performance.now() + 4 * (performance.now() - began);  // a long answer must not keep the page busy
      painted(view);
    };
    const say = text => { if (status && text) status.textContent = text; };
    const speak = () => {  // by sentence, and as it is shown: a screen reader must not hear every token
      const rest = place.innerText.slice(spoken);
      const end = view.isOver ? rest.length : Math.max(...[". ", "! ", "? ", "\n"].map(mark => rest.lastIndexOf(mark))) + 1;
      if (end > 0) { say(rest.slice(0, end).trim()); spoken += end; }
    };
    const takeText = message => {
      if (message.at === 0) { view.text = ""; spoken = 0; }
      else if (message.attempt !== view.attempt || message.at !== view.at) return;  // not where we stand
      view.text += message.text; view.attempt = message.attempt; view.at = message.end; dirty = true;
    };
    const takeParts = parts => {
      for (const [name, html] of Object.entries(parts)) {
        if (name === "state") { if (view.state !== html && view.state) say(`${root.querySelector("[data-answer]") ? "The answer" : "This job"} is ${html}.`); view.state = html; continue; }
        if (name === "curves") { (curves ??= wb.curves(root)).take(html); continue; }
        const swapped = wb.swap(root, name, html);
        for (const turn of swapped ? swapped.querySelectorAll("[data-md]") : []) { turn.wbText = turn.textContent; wb.markdown(turn, turn.wbText); }
        if (swapped) wb.drawCharts(swapped);
      }
      changed(view);
    };

    const painter = setInterval(paint, PAINT_MS), speaker = setInterval(speak, SPEAK_MS);
    const stop = () => { clearInterval(painter); clearInterval(speaker); };
    const socket = wb.connect({
      path: () => `/ws/jobs/${encodeURIComponent(job)}?attempt=${view.attempt}&at=${view.at}`,
      heard: message => {
        if (message.type === "text") takeText(message);
        else if (message.type === "parts") takeParts(message.parts);
        else { view.isOver = true; paint(); stop(); if (message.type === "gone") gone(); else { speak(); ended(view); } }
      },
      closed: code => { stop(); if (code !== 1000) gone(); },
      broken: is => root.classList.toggle("broken", is),
    });
    wb.markdown(place, "");
    return Object.assign(view, {
      show: raw => { view.raw = raw; dirty = true; restUntil = 0; paint(); },
      close: () => { stop(); socket.close(); },
    });
  };

  // What the buttons of a job do, wherever it is shown: trigger(name, data) reaches the page's handler in Python.
  wb.actions = (root, current, trigger) => root.addEventListener("click", event => {
    const button = event.target.closest("button"), view = current();
    if (!button || !view) return;
    if (button.hasAttribute("data-copy-text")) wb.copied(button, view.text);
    if (button.hasAttribute("data-copy-turn")) wb.copied(button, wb.turnText(button));
    if (button.hasAttribute("data-raw")) {
      view.show(!view.raw);
      button.setAttribute("aria-pressed", view.raw);
    }
    if (button.dataset.do && (!button.dataset.ask || confirm(button.dataset.ask))) {
      button.disabled = ["stop", "pause", "resume"].includes(button.dataset.do);
      trigger(button.dataset.do, {job: view.job, key: wb.keyFor(button.dataset.do, view.job)});
    }
  });
  wb.turnText = element => {
    const body = element.closest(".turn").querySelector(".md, .plain");
    return body.wbText ?? body.textContent;
  };
})();
