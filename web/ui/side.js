// Side by side: the address names the jobs, the page says what differs.
(() => {
  "use strict";
  wb.side = (element, watch, trigger, opened) => {
    const shown = () => { wb.freshen(element); };
    watch("value", () => requestAnimationFrame(shown));
    trigger(opened, {jobs: new URLSearchParams(location.search).get("jobs") || ""});
  };
})();
