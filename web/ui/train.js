// Fine-tune: its form with presets and a preview in place, the run that it makes, and runs laid over each other.
(() => {
  "use strict";
  const AGAIN_MS = 4000;
  const query = name => new URLSearchParams(location.search).get(name) || "";
  const shows = () => { document.body.dataset.train = query("jobs") ? "over" : wb.address() ? "job" : "form"; };
  let n = 0;

  wb.train = (element, props, watch, trigger) => {
    const root = element.querySelector("[data-job]"), missing = element.querySelector("[data-missing]");
    let view = null;
    const follow = job => {
      view?.close();
      if (view?.job !== job) for (const part of root.querySelectorAll("[data-part]")) { part.innerHTML = part.wbHtml = ""; }
      missing.hidden = true;
      view = wb.follow(root, job, {
        changed: () => { root.hidden = false; document.title = `${root.querySelector("h1")?.textContent} · LLM Workbench`; },
        gone: () => { root.hidden = true; missing.hidden = false; },
      });
    };
    watch("value", () => {
      const {job, go} = props.value || {};
      if (go) { location.assign(go); return; }
      if (!job) return;
      wb.forgetKey();
      if (view?.job === job) { if (view.isOver) follow(job); return; }  // what has ended tells no news by itself
      history.pushState(null, "", `/train?job=${job}`);
      shows(); scrollTo({top: 0});
      follow(job);
    });
    wb.actions(root, () => view, trigger);
    shows();
    const asked = ["like", "model", "data", "adapter", "dtype", "reward", "judge_data", "judge_share", "judge_label", "min_chars", "max_chars"].map(name => [name, query(name)]);
    if (document.body.dataset.train === "form") trigger("opened", {...Object.fromEntries(asked), resume_from: query("resume")});
    if (document.body.dataset.train === "job") follow(wb.address());
  };

  wb.presets = (element, trigger, event) => element.addEventListener("click", click => {
    const preset = click.target.closest("[data-preset]");
    if (!preset) return;
    for (const each of element.querySelectorAll("[data-preset]")) each.setAttribute("aria-pressed", each === preset);
    trigger(event, {name: preset.dataset.preset});
    setTimeout(() => wb.refreshCommand?.(), 400);
  });

  const typed = () => [...document.querySelectorAll("#form input, #form textarea, #form select, #form [role=radio]")]
    .map(field => field.getAttribute("aria-checked") ?? (["radio", "checkbox"].includes(field.type) ? field.checked : field.value));
  wb.trainSender = (element, trigger, event) => {
    element.querySelector("#send").onclick = click => { if (click.detail <= 1) trigger(event, {key: wb.keyFor("train", typed())}); };
  };

  // A preview where one chooses: the job of the store, shown small.
  wb.peek = (element, props, watch, trigger) => {
    const root = element.querySelector("[data-job]"), button = element.querySelector("[data-peek]");
    let view = null, again = 0;
    button.onclick = () => { button.disabled = true; trigger("peek", {key: wb.keyFor("peek", typed(), again++)}); setTimeout(() => { button.disabled = false; }, 2000); };
    watch("value", () => {
      const {job} = props.value || {};
      if (!job || view?.job === job) return;
      view?.close();
      for (const part of root.querySelectorAll("[data-part]")) part.innerHTML = part.wbHtml = "";
      view = wb.follow(root, job, {
        changed: () => { root.hidden = false; },
        ended: () => { button.disabled = false; wb.refreshCommand?.(); },
        gone: () => { root.hidden = true; },
      });
    });
    wb.actions(root, () => view, trigger);
    root.addEventListener("click", event => { if (event.target.closest("[data-dismiss]")) root.hidden = true; });
  };

  // Several runs: asked for anew while one of them still runs.
  wb.over = (element, props, watch, trigger, opened) => {
    const place = element.querySelector("[data-over]"), jobs = query("jobs");
    if (!jobs) return;
    const curves = wb.curves(element), ask = () => trigger(opened, {jobs, n: ++n});
    watch("value", () => {
      const {html, curves: drawn, live} = props.value || {};
      if (html !== undefined && place.wbHtml !== html) { place.wbHtml = html; place.innerHTML = html; wb.freshen(place); }
      curves.take(drawn);
      element.dataset.ready = "";
      if (live) setTimeout(ask, AGAIN_MS);
    });
    ask();
  };

  wb.trainRuns = element => {
    const root = element.querySelector("[data-train-runs]"), body = root.querySelector("tbody");
    let rows = {};
    const choosing = wb.choosing(root);
    wb.connect({
      path: () => { rows = {}; return `/ws/jobs?kind=${root.dataset.trainRuns}`; },
      heard: message => {
        const parts = message.parts;
        for (const [name, html] of Object.entries(parts)) if (name.startsWith("row:")) {
          const row = rows[name.slice(4)] ??= document.createElement("tr");
          choosing.kept(row, () => { row.innerHTML = html; });
        }
        if (parts.order !== undefined) {
          const ids = JSON.parse(parts.order);
          ids.forEach((id, at) => { if (body.children[at] !== rows[id]) body.insertBefore(rows[id], body.children[at] || null); });
          while (body.children.length > ids.length) body.lastChild.remove();
          root.querySelector("[data-list]").hidden = !ids.length;
          root.querySelector("[data-none]").hidden = !!ids.length;
        }
        wb.freshen(body);
      },
    });
  };
  if (location.pathname === "/train") shows();
})();
