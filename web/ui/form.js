// Controls that Gradio lacks: a number with its slider that can be left unset, and a choice with options that say why
// they cannot be had.
(() => {
  "use strict";

  wb.number = (element, props, watch) => {
    const number = element.querySelector("[data-number]"), range = element.querySelector("[data-range]");
    const unset = element.querySelector("[data-unset]");
    const middle = range ? String((+range.min + +range.max) / 2) : "";

    const draw = () => {
      const value = props.value === "" || props.value == null ? null : props.value;
      if (document.activeElement !== number || +number.value !== value) number.value = value ?? "";
      if (range) { range.value = value ?? middle; range.classList.toggle("unset", value === null); range.setAttribute("aria-valuetext", value ?? "not set"); }
      if (unset) unset.hidden = value === null;
    };
    const take = value => { props.value = value; draw(); };
    // what is no number is sent as it stands, so that the answer says what is wrong with it
    number.oninput = () => take(number.validity.badInput ? "not a number" : number.value === "" ? null : +number.value);
    if (range) range.oninput = () => take(+range.value);
    if (unset) unset.onclick = () => { take(null); number.focus(); };
    watch("value", draw);
    draw();
  };

  // Arrows go through all options, so that a reason can be heard too; what cannot be had is never chosen.
  wb.choose = (root, changed = () => {}) => {
    const options = [...root.querySelectorAll("[role=radio]")];
    const isOff = option => option.getAttribute("aria-disabled") === "true";
    const value = () => options.find(option => option.getAttribute("aria-checked") === "true")?.dataset.value ?? "";
    const hold = wanted => {
      for (const option of options) option.setAttribute("aria-checked", option.dataset.value === wanted);
      reach(options.find(option => option.dataset.value === wanted) || options[0]);
    };
    const reach = option => { for (const each of options) each.tabIndex = each === option ? 0 : -1; };
    const take = option => {
      option.focus(); reach(option);
      if (isOff(option)) { tell(option); return; }
      tell(null); hold(option.dataset.value); changed(value());
    };
    const tell = option => {
      for (const line of root.querySelectorAll("[data-why] p")) line.classList.toggle("told", !!option && line.dataset.of?.split(" ").includes(option.dataset.value));
    };
    root.addEventListener("click", event => { const option = event.target.closest("[role=radio]"); if (option) take(option); });
    for (const [kind, pick] of [["focusin", true], ["mouseover", true], ["focusout", false], ["mouseout", false]])
      root.addEventListener(kind, event => { const option = event.target.closest("[role=radio]"); if (option) tell(pick && isOff(option) ? option : null); });
    root.addEventListener("keydown", event => {
      const step = {ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1}[event.key], at = options.indexOf(document.activeElement);
      if (!step || at < 0) return;
      event.preventDefault();
      take(options.at((at + step) % options.length));
    });
    return {value, hold, focus: () => options.find(option => option.tabIndex === 0)?.focus()};
  };

  wb.choice = (element, props, watch) => {
    const root = element.querySelector("[data-choice]"), reasons = root.querySelector("[data-why]");
    const chooser = wb.choose(root, value => { props.value = {...props.value, is: value}; });
    const draw = () => {
      const {is = chooser.value(), why = {}} = props.value || {}, together = new Map();
      if (props.value?.is === undefined) props.value = {is, why};  // only reasons came
      for (const option of root.querySelectorAll("[role=radio]")) {
        const reason = why[option.dataset.value];
        option.toggleAttribute("aria-disabled", false);
        option.removeAttribute("aria-description");
        if (!reason) continue;
        option.setAttribute("aria-disabled", "true");
        option.setAttribute("aria-description", `Cannot run here: ${reason}`);
        together.set(reason, [...(together.get(reason) || []), option.dataset.value]);
      }
      reasons.replaceChildren(...[...together].map(([reason, names]) => {
        const line = document.createElement("p"), bold = document.createElement("b");
        bold.textContent = names.join(", "); line.dataset.of = names.join(" ");
        line.append(bold, ` cannot run here: ${reason}.`);
        return line;
      }));
      chooser.hold(is);
    };
    watch("value", () => { draw(); wb.refreshCommand?.(); });
    draw();
  };
})();
