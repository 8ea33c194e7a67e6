// The bar of every page, the list of runs and the page of one job.
(() => {
  "use strict";
  const FIELDS = ["words", "kind", "state", "owner", "model"];

  wb.bar = element => wb.connect({
    path: () => "/ws/jobs?bar=true",
    heard: ({parts}) => {
      if (parts?.bar !== undefined) wb.swap(element, "bar", parts.bar);
      if (parts?.ended !== undefined) wb.notices(JSON.parse(parts.ended));
    },
  });

  // The list: filters live in the address, rows are kept by id and only those that changed are drawn again.
  wb.runs = element => {
    const root = element.querySelector("[data-runs]"), body = root.querySelector("tbody"), box = root.querySelector("[data-list]");
    const form = root.querySelector("form");
    if (wb.address()) return;
    root.hidden = false;
    let rows = {}, socket = null, timer = 0;
    const choosing = wb.choosing(root);
    const query = new URLSearchParams(location.search);
    for (const name of FIELDS) choose(form.elements[name], query.get(name) || "");

    const draw = parts => {
      for (const [name, html] of Object.entries(parts)) if (name.startsWith("row:")) {
        const id = name.slice(4);
        rows[id] ??= document.createElement("tr");
        choosing.kept(rows[id], () => { rows[id].innerHTML = html; });
      }
      if (parts.order !== undefined) {
        const ids = JSON.parse(parts.order);
        const wanted = ids.map(id => rows[id]);
        wanted.forEach((row, n) => { if (body.children[n] !== row) body.insertBefore(row, body.children[n] || null); });
        while (body.children.length > wanted.length) body.lastChild.remove();
        rows = Object.fromEntries(ids.map(id => [id, rows[id]]));
        box.hidden = ids.length === 0;
      }
      wb.freshen(body);
      if (parts.models !== undefined) for (const model of JSON.parse(parts.models)) choose(form.elements.model, model, true);
      if (parts.foot !== undefined) wb.swap(root, "foot", parts.foot);
      root.dataset.ready = "";
    };
    const listen = () => {
      socket?.close(); rows = {}; body.textContent = ""; delete root.dataset.ready;
      socket = wb.connect({
        path: () => { rows = {}; return `/ws/jobs?${query}`; },
        heard: message => draw(message.parts),
      });
    };
    const refilter = before => {
      for (const name of [...FIELDS, "before"]) query.delete(name);
      for (const name of FIELDS) if (form.elements[name].value) query.set(name, form.elements[name].value);
      if (before) query.set("before", before);
      history.replaceState(null, "", query.size ? `/runs?${query}` : "/runs");
      root.querySelector("[data-newest]").hidden = !before;
      listen();
    };
    form.onsubmit = event => { event.preventDefault(); refilter(); };
    form.oninput = event => { clearTimeout(timer); timer = setTimeout(refilter, event.target.name === "words" ? 250 : 0); };
    root.addEventListener("click", event => {
      const older = event.target.closest("[data-older]");
      if (older) { refilter(older.dataset.older); root.querySelector("h1").scrollIntoView(); }
      if (event.target.closest("[data-newest]")) refilter();
      if (event.target.closest("[data-clear]")) { form.reset(); for (const name of FIELDS) form.elements[name].value = ""; refilter(); }
    });
    root.querySelector("[data-newest]").hidden = !query.get("before");
    listen();
  };
  // Two to eight runs to be set side by side: the ticks outlast what is drawn again, and other filters.
  wb.choosing = root => {
    const MOST = 8, chosen = new Map(), box = root.querySelector("[data-chosen]"), button = box.querySelector("[data-side]"), over = box.querySelector("[data-over]");
    const draw = () => {
      const n = chosen.size;
      box.hidden = !n; button.hidden = n < 2; button.disabled = over.disabled = n > MOST;
      over.hidden = n < 2 || ![...chosen.values()].every((kind, _, [first]) => kind === first && ["sft", "reward", "rlhf"].includes(kind));
      box.querySelector("[data-chosen-said]").textContent = n > MOST ? `${n} runs chosen: at most ${MOST} fit side by side` : n === 1 ? "1 run chosen: choose another" : `${n} runs chosen`;
    };
    root.addEventListener("change", event => {
      const id = event.target.dataset.pick;
      if (!id) return;
      if (event.target.checked) chosen.set(id, event.target.dataset.kind); else chosen.delete(id);
      draw();
    });
    button.onclick = () => location.assign(`/side-by-side?jobs=${[...chosen.keys()].join(",")}`);
    over.onclick = () => location.assign(`/train?jobs=${[...chosen.keys()].join(",")}`);
    box.querySelector("[data-unchoose]").onclick = () => {
      chosen.clear(); draw();
      for (const tick of root.querySelectorAll("[data-pick]")) tick.checked = false;
    };
    return {kept: (row, draw) => {
      const isHeld = !!document.activeElement?.dataset?.pick && row.contains(document.activeElement);
      draw();
      const tick = row.querySelector("[data-pick]");
      if (!tick) return;
      tick.checked = chosen.has(tick.dataset.pick);
      if (isHeld) tick.focus();
    }};
  };
  const choose = (field, value, isOffer = false) => {  // a value that is not among the choices becomes one
    if (field.tagName === "SELECT" && value && ![...field.options].some(option => option.value === value))
      field.append(new Option(value.split("/").at(-1), value));
    if (!isOffer) field.value = value;
  };

  wb.jobPage = (element, props, watch, trigger) => {
    const root = element.querySelector("[data-job]"), job = wb.address();
    let view = null;
    if (!job) return;
    const follow = () => {
      view?.close();
      view = wb.follow(root, job, {
        changed: now => {
          root.hidden = false;
          if (root.querySelector("[data-whole] > [data-part]:not(:empty)")) root.querySelector("[data-answer]").hidden = true;
          document.title = `${root.querySelector("h1")?.textContent} · LLM Workbench`;
        },
        painted: now => { root.querySelector("[data-answer]").hidden = !now.text || !!root.querySelector("[data-compare] :not(:empty), [data-whole] > [data-part]:not(:empty)"); },
        gone: () => { root.hidden = true; element.querySelector("[data-missing]").hidden = false; },
      });
    };
    watch("value", () => {
      const {job: next, gone, advice} = props.value || {};
      if (advice !== undefined) { wb.advised(root, advice); return; }
      if (gone) location.replace("/runs");
      else if (next && next !== job) location.assign(`/runs?job=${next}`);
      else follow();
      const saved = root.querySelector("[data-saved]");
      if (saved) saved.textContent = "Saved";
    });
    root.addEventListener("submit", event => {
      const form = event.target.closest("[data-about]");
      if (!form) return;
      event.preventDefault();
      form.removeAttribute("data-dirty");
      trigger("describe", {job, name: form.elements.name.value, note: form.elements.note.value});
    });
    wb.actions(root, () => view, trigger);
    wb.advice(root, () => job, trigger);
    follow();
  };
})();
