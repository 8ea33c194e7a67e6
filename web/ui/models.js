// The Models page: what there is follows its socket, and each job that is under way has a card of its own.
(() => {
  "use strict";

  wb.models = (element, props, watch, trigger) => {
    const root = element.querySelector("[data-models]"), jobs = root.querySelector("[data-jobs]");
    const card = root.querySelector("template[data-card]"), cards = new Map();

    const send = (event, data) => trigger(event, {...data, key: wb.keyFor(event, data)});
    const follow = job => {
      if (!job || cards.has(job)) return;
      const made = card.content.firstElementChild.cloneNode(true);
      jobs.prepend(made);
      const view = wb.follow(made, job, {gone: () => made.remove()});
      cards.set(job, view);
      wb.actions(made, () => view, trigger);
      made.addEventListener("click", event => { if (event.target.closest("[data-dismiss]")) { view.close(); made.remove(); } });
    };
    wb.connect({
      path: () => "/ws/models",
      heard: ({parts}) => {
        for (const name of ["memory", "places"]) if (parts[name] !== undefined) wb.swap(root, name, parts[name]);
        if (parts.jobs !== undefined) JSON.parse(parts.jobs).reverse().forEach(follow);
        root.dataset.ready = "";
      },
      broken: is => root.classList.toggle("broken", is),
    });

    root.addEventListener("click", event => {
      const button = event.target.closest("[data-act]");
      if (!button || (button.dataset.ask && !confirm(button.dataset.ask))) return;
      if (button.dataset.act === "release") button.disabled = true;
      send(button.dataset.act, {ref: button.dataset.ref});
    });
    root.querySelector("[data-download]").addEventListener("submit", event => {
      event.preventDefault();
      const fields = event.target.elements;
      send("download", {model: fields.model.value, revision: fields.revision.value, file: fields.file.value});
    });
    watch("value", () => { wb.forgetKey(); follow(props.value?.job); });
    wb.bring = data => send("bring", data);

    const query = new URLSearchParams(location.search);
    if (query.get("load")) send("open", {ref: query.get("load"), dtype: query.get("dtype") || ""});
    if (query.get("download")) root.querySelector("[data-download]").elements.model.value = query.get("download");
  };

  // A button may be far below the place where a refusal is said.
  wb.refused = (element, watch) => watch("value", () => requestAnimationFrame(() => element.querySelector("[role=alert]")?.scrollIntoView({block: "center"})));

  // The form to load a model comes from Python each time it is opened.
  wb.loadForm = (element, props, watch) => {
    const open = () => {
      const dialog = element.querySelector("dialog");
      wb.forgetKey();
      if (!dialog || dialog.open) return;
      const choices = [...dialog.querySelectorAll("[data-choice]")].map(each => wb.choose(each));
      dialog.querySelector("[data-close]").onclick = () => dialog.close();
      dialog.querySelector("[data-load]").onsubmit = event => {
        const [dtype, attention] = choices.map(choice => choice.value());
        wb.bring({ref: dialog.dataset.ref, dtype, attention, pin: event.target.elements.pin?.checked ?? false});
      };
      dialog.onclick = event => { if (event.target === dialog) dialog.close(); };  // beside it
      dialog.onclose = () => { props.value = ""; };  // the same form again is news
      dialog.showModal();
      choices[0].focus();
    };
    watch("value", () => requestAnimationFrame(open));
  };
})();
