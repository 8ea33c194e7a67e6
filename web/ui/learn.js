// What quantization does: the form, the job that it makes, and what that found. The address holds the job.
(() => {
  "use strict";
  const OPEN = "chosen for you";

  wb.learn = (element, props, watch, trigger) => {
    const form = element.querySelector("form"), root = element.querySelector("[data-job]"), fields = form.elements;
    let view = null, n = 0, modules = [], of = "", followed = "";

    const ask = () => trigger("opened", {job: wb.address(), n: ++n});
    const options = (field, entries, value) => {
      if (value && !entries.some(entry => entry[1] === value)) entries = [...entries, [value, value]];
      field.replaceChildren(...entries.map(([title, each]) => new Option(title, each)));
      field.value = value ?? entries[0]?.[1];
    };
    const kinds = () => modules.map(one => one.kind);
    const blocks = kind => (modules.find(one => one.kind === kind)?.blocks || []).map(String);
    const offer = (kind, block) => {  // what there is to choose is known once a layer of this model was looked at
      options(fields.kind, [[OPEN, ""], ...kinds().map(one => [one, one])], kinds().includes(kind) ? kind : "");
      const there = blocks(fields.kind.value);
      options(fields.block, [[there.length || !fields.kind.value ? OPEN : "–", ""], ...there.map(one => [one, one])], there.includes(block) ? block : "");
      fields.kind.disabled = !modules.length; fields.block.disabled = !there.length;
    };
    const module = () => {
      const found = modules.find(one => one.kind === fields.kind.value), block = fields.block.value;
      if (!found) return "";
      return found.pattern.replace("{}", block || String(found.blocks[Math.floor(2 * found.blocks.length / 3)] ?? ""));
    };

    form.addEventListener("submit", event => {
      event.preventDefault();
      const revision = fields.model.value === of ? form.dataset.revision || "" : "";
      const values = {model: fields.model.value, revision, module: module(), prompt: fields.prompt.value, block_size: fields.block_size.value, head: fields.head.value};
      fields.send.disabled = true;
      setTimeout(() => { fields.send.disabled = false; }, 1000);
      trigger("send", {...values, key: wb.keyFor("inspect", values)});
    });
    fields.kind.addEventListener("change", () => offer(fields.kind.value, fields.block.value || String(form.dataset.block || "")));
    fields.model.addEventListener("change", () => { if (fields.model.value !== of) { modules = []; offer("", ""); } });

    const follow = job => {
      if (followed === job) return;
      followed = job;
      view?.close();
      for (const part of root.querySelectorAll("[data-part]")) part.innerHTML = part.wbHtml = "";
      view = wb.follow(root, job, {
        changed: () => { root.hidden = false; },
        ended: seen => { if (seen.state === "succeeded") { root.hidden = true; ask(); } },
        gone: () => { root.hidden = true; },
      });
    };
    wb.actions(root, () => view, trigger);
    root.addEventListener("click", event => { if (event.target.closest("[data-dismiss]")) root.hidden = true; });

    watch("value", () => {
      const {job, go, models, spec, ended} = props.value || {};
      if (go) { location.href = go; return; }
      if (job) {
        wb.forgetKey();
        if (job !== wb.address()) history.pushState(null, "", `/learn?job=${job}`);
        follow(job);
        return;
      }
      if (!models) return;
      if (props.value.modules) { modules = props.value.modules; of = spec.model; }
      options(fields.model, models, spec?.model || new URLSearchParams(location.search).get("model") || fields.model.value);
      form.dataset.revision = spec?.revision || "";
      if (spec) {
        fields.prompt.value = spec.prompt ?? fields.prompt.value; fields.head.value = spec.head ?? 0;
        options(fields.block_size, [...fields.block_size.options].map(one => [one.text, one.value]), String(spec.block_size ?? 64));
      }
      const named = props.value.module || "", numbers = named.match(/\.(\d+)\./);
      const kind = modules.find(one => one.pattern.replace("{}", numbers?.[1] ?? "") === named)?.kind || "";
      form.dataset.block = numbers?.[1] ?? "";
      offer(kind, numbers?.[1] ?? "");
      if (spec && (!ended || !props.value.modules)) follow(wb.address());  // it runs, or has something to say of its trouble
      element.dataset.ready = "";
    });
    offer("", "");
    ask();
  };

  wb.learned = (element, watch) => watch("value", () => requestAnimationFrame(() => { wb.freshen(element); wb.drawCharts(element); }));
})();
