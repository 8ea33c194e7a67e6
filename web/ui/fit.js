// The form of “Will it fit?”: what it holds stands in the address, and every change is asked of Python, one at a time.
(() => {
  "use strict";
  const FIELDS = ["model", "context", "batch", "dtype", "attention", "train", "rank"];
  const USUAL = {context: "4,096", batch: "1", rank: "8"};
  const MOST_IN_ADDRESS = 8000, PATIENCE_MS = 10_000, TYPING_MS = 250;

  wb.fit = (element, props, watch, trigger) => {
    const form = element.querySelector("[data-asks]"), fields = form.elements;
    let asked = "", sentAt = 0, n = 0, timer = 0;

    const own = fields.model.value;  // the first of the list
    const hold = (name, value) => {
      if (name !== "model") { fields[name].value = /^\d{4,12}$/.test(value) ? (+value).toLocaleString("en") : value; return; }
      const isListed = [...fields.model.options].some(option => option.value === value && value !== "path");
      if (!isListed && fields.path) { fields.path.value = value; value = "path"; }
      else if (!isListed) fields.model.append(new Option(value, value));  // Python says what is wrong with it
      fields.model.value = value;
    };
    const held = () => {
      const values = Object.fromEntries(FIELDS.map(name => [name, fields[name].value.trim()]));
      if (values.model === "path") values.model = fields.path.value.trim();
      return values.model === "pasted" ? {...values, config: fields.config.value} : values;
    };
    const show = () => {
      for (const part of form.querySelectorAll("[data-for]")) part.hidden = part.dataset.for !== fields.model.value;
      const isAdapter = ["lora", "qlora"].includes(fields.train.value);
      fields.rank.disabled = !isAdapter;
    };
    // A pasted config stands behind the #: it is part of the link, and no server's log ever holds it.
    const remember = values => {
      const query = new URLSearchParams();
      for (const name of FIELDS) if (["model", "context", "batch"].includes(name) || (values[name] && values[name] !== USUAL[name])) query.set(name, values[name].replaceAll(/(?<=\d),(?=\d)/g, ""));
      const text = values.config ? squeezed(values.config) : "";
      const hash = text && text.length <= MOST_IN_ADDRESS ? `#${encodeURIComponent(text)}` : "";
      history.replaceState(null, "", `/fit?${query.toString().replaceAll("%2F", "/")}${hash}`);
    };
    const squeezed = text => { try { return JSON.stringify(JSON.parse(text)); } catch { return text; } };

    const ask = () => {
      const values = held(), content = JSON.stringify(values);
      show();
      if (content === asked || (sentAt && performance.now() - sentAt < PATIENCE_MS)) return;  // its answer asks again
      if (asked) remember(values);
      asked = content; sentAt = performance.now(); n += 1;
      trigger("ask", {...values, n});
    };
    const soon = () => { clearTimeout(timer); timer = setTimeout(ask, TYPING_MS); };
    form.addEventListener("input", event => event.target.tagName === "SELECT" ? ask() : soon());
    form.addEventListener("change", ask);
    form.addEventListener("submit", event => { event.preventDefault(); ask(); });
    watch("value", () => {
      sentAt = 0;
      const has = props.value?.attentions;
      for (const option of fields.attention.options) option.disabled = !!(option.value && has && !has.includes(option.value));
      ask();
    });

    const query = new URLSearchParams(location.search);
    for (const name of FIELDS) hold(name, query.get(name) || USUAL[name] || (name === "model" ? form.dataset.asks || own : ""));
    if (location.hash.length > 1) try { fields.config.value = decodeURIComponent(location.hash.slice(1)); } catch { /* no link of ours */ }
    if (fields.train.value) form.querySelector("details").open = true;
    ask();
  };
})();
