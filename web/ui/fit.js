// The form of “Will it fit?”: what it holds stands in the address, and every change is asked of Python, one at a time.
(() => {
  "use strict";
  const FIELDS = ["model", "context", "batch", "dtype", "attention", "train", "rank"];
  const NUMBERS = ["context", "batch", "rank"], ALWAYS = ["model", "context", "batch"];
  const USUAL = {context: "4,096", batch: "1", rank: "8"};
  const MOST_IN_ADDRESS = 8000, PATIENCE_MS = 10_000, TYPING_MS = 250;

  wb.fit = (element, props, watch, trigger) => {
    const form = element.querySelector("[data-asks]"), fields = form.elements;
    let asked = "", isFirst = true, n = 0, timer = 0, waiting = 0;

    const hold = (name, value) => {
      const field = fields[name];
      if (name === "model" && fields.path && !has(field, value)) { fields.path.value = value; value = "path"; }
      if (field.tagName === "SELECT" && !has(field, value)) field.append(new Option(value, value));  // Python says what is wrong with it
      field.value = NUMBERS.includes(name) && /^\d{4,12}$/.test(value) ? (+value).toLocaleString("en") : value;
    };
    const has = (field, value) => [...field.options].some(option => option.value === value);
    const held = () => {
      const values = Object.fromEntries(FIELDS.map(name => [name, fields[name].value.trim()]));
      if (values.model === "path") values.model = fields.path.value.trim() || "path";
      return values.model === "pasted" ? {...values, config: fields.config.value} : values;
    };
    const show = () => {
      for (const part of form.querySelectorAll("[data-for]")) part.hidden = part.dataset.for !== fields.model.value;
      fields.rank.disabled = !["lora", "qlora"].includes(fields.train.value);
    };
    // A pasted config stands behind the #: it is part of the link, and no server's log ever holds it.
    const remember = values => {
      const query = new URLSearchParams();
      for (const name of FIELDS) {
        const isSaid = ALWAYS.includes(name) || (values[name] && values[name] !== USUAL[name]);
        if (isSaid) query.set(name, NUMBERS.includes(name) ? values[name].replaceAll(",", "") : values[name]);
      }
      const text = values.config ? squeezed(values.config) : "";
      const hash = text && text.length <= MOST_IN_ADDRESS ? `#${encodeURIComponent(text)}` : "";
      history.replaceState(null, "", `/fit?${query.toString().replaceAll("%2F", "/")}${hash}`);
    };
    const squeezed = text => { try { return JSON.stringify(JSON.parse(text)); } catch { return text; } };

    const ask = () => {
      const values = held(), content = JSON.stringify(values);
      show();
      if (content === asked || waiting) return;  // the answer asks again
      if (!isFirst) remember(values);
      asked = content; isFirst = false; n += 1;
      waiting = setTimeout(() => { answered(); asked = ""; ask(); }, PATIENCE_MS);  // no answer: the server was away
      trigger("ask", {...values, n});
    };
    const answered = () => { clearTimeout(waiting); waiting = 0; };
    const soon = () => { clearTimeout(timer); timer = setTimeout(ask, TYPING_MS); };
    form.addEventListener("input", event => event.target.tagName === "SELECT" ? ask() : soon());
    form.addEventListener("change", ask);
    form.addEventListener("submit", event => { event.preventDefault(); ask(); });
    watch("value", () => {
      answered();
      const there = props.value?.attentions;
      for (const option of fields.attention.options) option.disabled = !!(option.value && there && !there.includes(option.value));
      ask();
    });

    const query = new URLSearchParams(location.search);
    for (const name of FIELDS) hold(name, query.get(name) || USUAL[name] || (name === "model" ? form.dataset.asks : ""));
    if (location.hash.length > 1) try { fields.config.value = decodeURIComponent(location.hash.slice(1)); } catch { /* no link of ours */ }
    if (fields.train.value) form.querySelector("details").open = true;
    ask();
  };
})();
