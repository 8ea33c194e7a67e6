// A page without Gradio takes light or dark from the system, as Gradio's pages do.
(() => {
  "use strict";
  const dark = matchMedia("(prefers-color-scheme: dark)"), root = document.documentElement;
  const follow = () => root.classList.toggle("dark", dark.matches);
  dark.addEventListener("change", follow);
  follow();
})();
