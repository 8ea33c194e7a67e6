// Controls that Gradio lacks: a number with its slider that can be left unset.
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
})();
