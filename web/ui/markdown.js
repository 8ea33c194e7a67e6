// Markdown as a model writes it: a stranger's words. No picture, style or form gets through, so nothing is fetched.
(() => {
  "use strict";
  const RULES = {
    FORBID_TAGS: ["img", "picture", "video", "audio", "source", "svg", "math", "style", "link", "form", "input", "button",
                  "textarea", "select", "iframe", "object", "embed"],
    FORBID_ATTR: ["style", "class", "id", "name", "background", "srcset"],
    ALLOW_DATA_ATTR: false,
    ALLOW_ARIA_ATTR: false,
    ALLOWED_URI_REGEXP: /^(?:https?:|mailto:)/i,
  };
  DOMPurify.addHook("afterSanitizeAttributes", node => {
    if (node.tagName === "A") { node.setAttribute("rel", "noopener noreferrer nofollow"); node.setAttribute("target", "_blank"); }
  });
  const renderer = new marked.Renderer();
  // raw HTML is shown as it was written, and a picture as its words: neither is ever markup of ours
  renderer.html = token => escape(token.text);
  renderer.image = token => escape(`![${token.text}](${token.href})`);
  const escape = text => text.replace(/[&<>"']/g, sign => `&#${sign.charCodeAt(0)};`);
  const parser = new marked.Marked({renderer, gfm: true, breaks: true});

  wb.markdown = (element, text, raw = false) => {
    element.classList.toggle("raw", raw);
    if (raw) { element.textContent = text; return; }
    element.innerHTML = DOMPurify.sanitize(parser.parse(text), RULES);
    for (const box of element.querySelectorAll("pre, table")) {
      box.tabIndex = 0;  // what scrolls sideways must be reachable by keys
      box.setAttribute("role", "region");
      box.setAttribute("aria-label", box.tagName === "PRE" ? "Code" : "Table");
    }
  };
})();
