// Pipelines: the form with its steps, and at ?job=ID the pipeline that it made.
(() => {
  "use strict";
  const PAUSE_MS = 400;

  wb.pipelines = (element, props, watch, trigger) => {
    const form = element.querySelector("[data-pipelines]"), place = form.querySelector("[data-steps]"), said = form.querySelector("[data-said]");
    const root = element.querySelector("[data-job]"), missing = element.querySelector("[data-missing]");
    let view = null, timer = 0, n = 0, drawing = 0, name = "";

    const follow = job => {
      view?.close();
      form.hidden = true;
      view = wb.follow(root, job, {
        changed: () => { root.hidden = false; document.title = `${root.querySelector("h1")?.textContent} · LLM Workbench`; },
        gone: () => { root.hidden = true; missing.hidden = false; },
      });
    };
    const press = () => { for (const each of form.querySelectorAll("[data-preset]")) each.setAttribute("aria-pressed", each.dataset.title === name); };
    const ask = () => { clearTimeout(timer); timer = setTimeout(() => trigger("ask", {steps: read(place), n: ++n}), PAUSE_MS); };

    // Whoever asks for another form twice gets the later one, in whichever order they come.
    const draw = (event, data) => { place.wbHtml = null; trigger(event, {...data, drawing: ++drawing}); };

    watch("value", () => {
      const {job, go, steps, title, sentence, n: at, drawing: drawn} = props.value || {};
      if (go) { location.assign(go); return; }
      if (job) {
        wb.forgetKey();
        if (view?.job === job) { if (view.isOver) follow(job); return; }
        history.pushState(null, "", `/pipelines?job=${job}`);
        scrollTo({top: 0});
        follow(job);
        return;
      }
      if (sentence !== undefined && at === n) said.textContent = sentence;
      if (steps !== undefined && drawn === drawing && place.wbHtml !== steps) { place.innerHTML = place.wbHtml = steps; name = title || ""; press(); place.dataset.ready = ""; ask(); }
    });

    form.addEventListener("click", event => {
      const preset = event.target.closest("[data-preset]");
      if (preset) draw("fill", {name: preset.dataset.preset});
      if (event.target.closest("[data-add]")) draw("more", {steps: read(place), kind: form.querySelector("[data-more]").value});
      if (event.target.closest("[data-remove]")) { event.target.closest("[data-step]").remove(); ask(); }
      if (event.target.closest("[data-send]") && event.detail <= 1) send();
    });
    form.addEventListener("input", event => {
      const rename = event.target.closest("[data-rename]");
      if (rename) rename.closest("[data-step]").querySelector("[data-name]").textContent = rename.value;
      ask();
    });
    const send = () => { const steps = read(place); trigger("send", {steps, name, key: wb.keyFor("pipeline", steps)}); };
    document.addEventListener("keydown", event => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && !form.hidden) send();
    });
    wb.actions(root, () => view, trigger);

    if (wb.address()) { follow(wb.address()); return; }
    form.hidden = false;
    draw("opened", Object.fromEntries(["like", "recorded"].map(name => [name, new URLSearchParams(location.search).get(name) || ""])));
  };

  // The steps as a Spec has them: what is as usual is left out.
  const read = place => [...place.querySelectorAll(":scope > [data-step]")].map(step => ({
    name: step.querySelector("[data-rename]").value.trim(),
    kind: step.dataset.kind,
    fields: Object.fromEntries([...step.querySelectorAll("[data-field]")].map(field => [field.dataset.field, ...valueOf(field)]).filter(found => found.length > 1)),
  }));
  const valueOf = field => {
    const input = field.querySelector("input, select, textarea"), sort = field.dataset.sort;
    const held = sort === "flag" ? String(input.checked) : input.value;
    if (held === field.dataset.default && !("named" in field.dataset)) return [];
    if (sort === "text") return held || field.dataset.default ? [held] : [];
    if (sort === "lines") return [held.split("\n").filter(line => line.trim())];
    if (!held.trim()) return [];
    try { return [JSON.parse(held)]; } catch { return [held]; }
  };
})();
