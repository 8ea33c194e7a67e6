// A visitor's signed name where the browser keeps no cookie for us, as in a frame on another site: the page brings one,
// this frame keeps it and shows it with each request. Where the cookie is kept, the page brings none and this does nothing.
// A browser that keeps no cookie in a frame keeps nothing else there either, but for the name of the window.
window.wbVisitor = (() => {
  "use strict";
  const KEY = "wb-visitor:", brought = document.querySelector('meta[name="wb-visitor"]')?.content || "";
  const kept = window.name.startsWith(KEY) ? window.name.slice(KEY.length) : "";
  const token = brought ? kept || brought : "";
  const keep = value => { window.name = KEY + value; };
  if (!token) return {with: path => path};
  keep(token);

  const ours = url => new URL(url, location.href).origin === location.origin;
  const sent = window.fetch;
  window.fetch = async (input, options = {}) => {
    const url = input instanceof Request ? input.url : String(input);
    if (!ours(url)) return sent(input, options);
    const headers = new Headers(options.headers || (input instanceof Request ? input.headers : {}));
    headers.set("x-workbench-visitor", token);
    const answer = await sent(input, {...options, headers});
    if (answer.status === 401 && kept) { keep(brought); location.reload(); }  // the name has run out
    return answer;
  };
  const withName = path => `${path}${path.includes("?") ? "&" : "?"}visitor=${encodeURIComponent(token)}`;
  document.addEventListener("click", event => {
    const link = event.target.closest?.('a[href^="/files/"], a[href^="/curves/"]');
    if (link && !link.href.includes("visitor=")) link.href = withName(link.getAttribute("href"));
  }, true);
  return {with: withName};
})();
