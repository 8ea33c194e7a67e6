// A comparison wherever it is shown: its choices, its question about a card; and the form that asks for one.
(() => {
  "use strict";
  const FIELDS = ["model", "variants", "adapter", "merged", "eval_text", "recorded"];
  const MOST_CHARACTERS = 400_000, MOST_BYTES = 900_000, TYPING_MS = 300;  // the door takes bodies of a megabyte

  // Of several that only one of is shown at a time: layers by variant, outputs by how they were chosen.
  document.addEventListener("change", event => {
    const choice = event.target.closest("[data-show]");
    if (!choice) return;
    for (const part of choice.closest("[data-choices]").querySelectorAll("[data-shown]")) part.hidden = part.dataset.shown !== choice.value;
  });

  // “Recommend for my card”: asked as one chooses; the answer comes back as the value of the job's view.
  wb.advice = (root, job, trigger) => {
    let timer = 0, n = 0;
    const ask = form => { n += 1; trigger("advise", {job: job(), card: form.elements.card.value, context: form.elements.context.value, goal: form.elements.goal.value, n}); };
    root.addEventListener("input", event => {
      const form = event.target.closest("[data-advice]");
      if (!form) return;
      clearTimeout(timer);
      timer = setTimeout(() => ask(form), event.target.tagName === "SELECT" ? 0 : TYPING_MS);
    });
    root.addEventListener("submit", event => { const form = event.target.closest("[data-advice]"); if (form) { event.preventDefault(); ask(form); } });
  };
  wb.advised = (root, html) => { const place = root.querySelector("[data-advised]"); if (place) place.innerHTML = html; };

  const query = () => new URLSearchParams(location.search);
  const shows = () => { document.body.dataset.compare = wb.address() && !query().get("change") ? "job" : "form"; };

  wb.compare = (element, props, watch, trigger) => {
    const root = element.querySelector("[data-job]"), missing = element.querySelector("[data-missing]");
    let view = null;
    const follow = job => {
      view?.close();
      for (const part of root.querySelectorAll("[data-part]")) { part.innerHTML = part.wbHtml = ""; }
      missing.hidden = true;
      view = wb.follow(root, job, {
        changed: () => { root.hidden = false; document.title = `${root.querySelector("h1")?.textContent} · LLM Workbench`; },
        gone: () => { root.hidden = true; missing.hidden = false; },
      });
    };
    watch("value", () => {
      const {job, go, advice} = props.value || {};
      if (go) { location.assign(go); return; }
      if (advice !== undefined) { wb.advised(root, advice); return; }
      if (!job) return;
      wb.forgetKey();
      if (view?.job === job) return;
      history.pushState(null, "", `/compare?job=${job}`);
      shows();
      scrollTo({top: 0});
      follow(job);
    });
    wb.actions(root, () => view, trigger);
    wb.advice(root, () => view?.job, trigger);
    shows();
    const asked = Object.fromEntries(FIELDS.map(name => [name, query().get(name) || ""]));
    trigger("opened", {job: wb.address(), ...asked});
    if (document.body.dataset.compare === "job") follow(wb.address());
  };

  wb.compareSender = (element, trigger, event) => {
    const typed = () => [...document.querySelectorAll("#form input, #form textarea, #form [role=radio]")]
      .map(field => field.getAttribute("aria-checked") ?? (["radio", "checkbox"].includes(field.type) ? field.checked : field.value));
    element.querySelector("#send").onclick = click => {
      if (click.detail <= 1) trigger(event, {job: wb.address(), key: wb.keyFor("compare", typed()), own: document.querySelector("[data-own] textarea").value});
    };
  };

  // Sets of variants tick precisions and attentions; what cannot run here cannot be ticked and says why.
  wb.variants = (element, props, watch) => {
    const root = element.querySelector(".variants"), ticks = [...root.querySelectorAll("[data-of]")], sets = [...root.querySelectorAll("[data-set]")];
    const more = root.querySelector("[name=more]"), pair = root.querySelector("[data-set-of]"), texts = [more, ...pair.querySelectorAll("input")];
    const held = () => ({set: "", ticked: [], more: "", adapter: "", merged: "", why: {}, offers: {}, ...props.value});

    const take = changed => { props.value = {...held(), ...changed}; draw(); };
    const draw = () => {
      const now = held(), isPair = now.set === pair.dataset.setOf, together = new Map();
      root.querySelector("[data-ticking]").hidden = isPair; pair.hidden = !isPair;
      for (const tick of ticks) {
        const why = now.why[tick.dataset.of];
        tick.disabled = !!why; tick.checked = !why && now.ticked.includes(tick.name);
        tick.parentElement.classList.toggle("off", !!why);
        tick.toggleAttribute("aria-description", false);
        if (why) { tick.setAttribute("aria-description", `Cannot run here: ${why}`); together.set(why, [...(together.get(why) || []), tick.dataset.of]); }
      }
      for (const each of sets) each.setAttribute("aria-pressed", isPair ? each.dataset.set === now.set : !now.more.trim() && each.dataset.ticks !== "" && same(each.dataset.ticks.split(" "), now.ticked));
      for (const text of texts) if (document.activeElement !== text && text.value !== now[text.name]) text.value = now[text.name];
      if (now.more.trim()) more.closest("details").open = true;
      for (const [name, list] of [["adapter", "compare-adapters"], ["merged", "compare-models"]])
        document.getElementById(list).replaceChildren(...(now.offers[name] || []).map(each => new Option(each, each)));
      root.querySelector("[data-why]").replaceChildren(...[...together].map(([why, names]) => {
        const line = document.createElement("p"), bold = document.createElement("b");
        bold.textContent = names.join(", ");
        line.append(bold, ` cannot run here: ${why}.`);
        return line;
      }));
    };
    const same = (one, other) => one.length === other.length && one.every(each => other.includes(each));
    root.addEventListener("click", event => {
      const set = event.target.closest("[data-set]");
      if (set) take(set.dataset.ticks ? {set: "", ticked: set.dataset.ticks.split(" "), more: ""} : {set: set.dataset.set});
    });
    root.addEventListener("change", event => {
      if (event.target.dataset.of) take({ticked: ticks.filter(tick => tick.checked).map(tick => tick.name)});
    });
    for (const text of texts) text.addEventListener("input", () => take({[text.name]: text.value}));
    watch("value", () => { draw(); wb.refreshCommand?.(); });
    draw();
  };

  // A text of one's own stays in the page until it is sent; the form only holds how long it is.
  wb.ownText = (element, props, watch) => {
    const root = element.querySelector("[data-own]"), box = root.querySelector("textarea"), size = root.querySelector("[data-size]");
    const refused = root.querySelector("[data-refused]"), clear = root.querySelector("[data-clear]"), help = size.textContent;
    const measure = sentence => {
      const n = [...box.value].length;
      size.textContent = n ? `${n.toLocaleString("en")} characters` : help;
      clear.hidden = !n; refused.hidden = !sentence; refused.textContent = sentence || "";
      if (props.value?.n !== n || props.value?.text !== undefined) props.value = {n};
      wb.refreshCommand?.();
    };
    const fits = text => [...text].length <= MOST_CHARACTERS && new Blob([text]).size <= MOST_BYTES;
    const hold = (text, name) => {
      if (!fits(text)) { measure(`${name} is too long: at most ${MOST_CHARACTERS.toLocaleString("en")} characters and 900 kB. Name a file on the worker's machine instead.`); return; }
      box.value = text;
      measure("");
    };
    const read = async file => {
      if (!file) return;
      root.open = true;
      if (file.size > MOST_BYTES) { measure(`${file.name} is too long: at most ${MOST_CHARACTERS.toLocaleString("en")} characters and 900 kB. Name a file on the worker's machine instead.`); return; }
      try { hold(new TextDecoder("utf-8", {fatal: true}).decode(await file.arrayBuffer()), file.name); }
      catch { measure(`${file.name} is not UTF-8 text: save it as UTF-8 and choose it again.`); }
    };
    box.addEventListener("input", () => {
      if (fits(box.value)) { measure(""); return; }
      box.value = "";
      measure(`The text is too long: at most ${MOST_CHARACTERS.toLocaleString("en")} characters and 900 kB.`);
    });
    root.querySelector("input[type=file]").addEventListener("change", event => { read(event.target.files[0]); event.target.value = ""; });
    clear.onclick = () => { box.value = ""; measure(""); box.focus(); };
    for (const kind of ["dragover", "drop"]) root.addEventListener(kind, event => {
      event.preventDefault();
      if (kind === "drop") { const [file] = event.dataTransfer.files; if (file) read(file); else hold(event.dataTransfer.getData("text"), "The text"); }
    });
    watch("value", () => {
      const {text} = props.value || {};
      if (text === undefined) return;
      box.value = text; root.open = !!text;
      measure("");
    });
  };
  if (location.pathname === "/compare") shows();
})();
