// The editor of rewards in a form: a row for each, of which the fields that its kind needs are shown.
(() => {
  "use strict";
  const FRESH = {sort: "lexicon", argument: "", label: "", scale: "log-odds", weight: "1"};
  let made = 0;

  wb.rewards = (element, props, watch) => {
    const root = element.querySelector("[data-rewards]"), host = root.querySelector("[data-rows]"), add = root.querySelector("[data-add]");
    const models = root.querySelector("datalist"), most = +root.dataset.most, title = root.querySelector(".label").textContent;
    const held = () => props.value?.rows || [], offers = () => props.value?.offers || [];
    let rows = [];
    const take = () => { props.value = {...props.value, rows: rows.map(row => ({...row}))}; };
    const options = (list, given) => list.replaceChildren(...given.map(([value, label]) => Object.assign(document.createElement("option"), {value, label})));

    const fit = (box, row) => {  // what its kind does not need is not there
      for (const part of box.querySelectorAll("[data-when]")) {
        part.hidden = part.dataset.when !== row.sort;
        for (const field of part.querySelectorAll("[data-of=argument]")) if (!part.hidden && field.value !== row.argument) field.value = row.argument;
      }
      const offer = offers().find(one => one.value === row.argument), list = box.querySelector("label datalist");
      box.querySelector("[data-known]").textContent = row.sort === "model" && offer && offer.title !== offer.value ? offer.title : "";
      options(list, (offer?.labels || []).map(label => [label, label]));
    };
    const place = (row, at) => {
      const box = root.querySelector("template").content.firstElementChild.cloneNode(true), list = box.querySelector("label datalist");
      list.id = `labels-${++made}`;
      box.querySelector("[data-of=label]").setAttribute("list", list.id);
      box.setAttribute("aria-label", most > 1 ? `Reward ${at + 1}` : title);
      box.querySelector("[data-remove]").setAttribute("aria-label", most > 1 ? `Remove reward ${at + 1}` : `Remove the ${title.toLowerCase()}`);
      for (const field of box.querySelectorAll("[data-of]")) {
        field.value = row[field.dataset.of] ?? "";
        field.oninput = () => {
          if (field.dataset.of === "sort") Object.assign(row, {argument: "", label: "", scale: FRESH.scale});
          row[field.dataset.of] = field.value;
          if (field.dataset.of === "argument") knows(box, row);
          fit(box, row); take();
        };
      }
      box.querySelector("[data-remove]").onclick = () => {
        rows = rows.filter(one => one !== row);
        draw(); take(); add.hidden || add.focus();
        wb.refreshCommand?.();
      };
      fit(box, row);
      return box;
    };
    const knows = (box, row) => {  // a classifier that is known has a label to begin with
      const labels = offers().find(one => one.value === row.argument)?.labels || [];
      if (!labels.length || labels.includes(row.label)) return;
      row.label = labels.find(label => /pos/i.test(label)) || labels.at(-1);
      box.querySelector("[data-of=label]").value = row.label;
    };
    const draw = () => {
      host.replaceChildren(...rows.map(place));
      add.hidden = rows.length >= most;
    };
    add.onclick = () => { rows.push({...FRESH}); draw(); take(); host.lastElementChild.querySelector("select").focus(); wb.refreshCommand?.(); };
    watch("value", () => {
      if (props.value?.rows === undefined) props.value = {...props.value, rows};  // only offers came
      options(models, offers().map(one => [one.value, one.title]));
      if (JSON.stringify(held()) !== JSON.stringify(rows)) { rows = held().map(row => ({...row})); draw(); }
      else [...host.children].forEach((box, at) => fit(box, rows[at]));
    });
    rows = held().map(row => ({...row}));
    options(models, offers().map(one => [one.value, one.title]));
    draw();
  };
})();
