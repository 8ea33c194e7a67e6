// The Cards page follows its socket; its buttons reach the handlers in Python by the name of a row.
(() => {
  "use strict";

  wb.cards = (element, trigger, events) => {
    const root = element.querySelector("[data-cards]");
    wb.connect({
      path: () => "/ws/cards",
      heard: ({parts}) => {
        for (const name of ["cards", "lines"]) if (parts[name] !== undefined) wb.swap(root, name, parts[name]);
        root.dataset.ready = "";
      },
      broken: is => root.classList.toggle("broken", is),
    });
    root.addEventListener("click", event => {
      const button = event.target.closest("[data-act]");
      if (!button || !events.includes(button.dataset.act)) return;
      button.disabled = true;
      setTimeout(() => { button.disabled = false; }, 2000);  // where it was refused nothing is drawn anew
      trigger(button.dataset.act, {ref: button.dataset.ref});
    });
  };
})();
